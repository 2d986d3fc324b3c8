"""``python -m nin_gluon.run``: scripts and modules, each in a process as a user starts it."""

import contextlib
import io
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import nbformat
import pytest

from nin_gluon import run as run_command
from tests import forked_python

ROOT = Path(__file__).resolve().parents[2]


def run(*words, cwd=None, **environment):
    """Run the command; its process, finished."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run([sys.executable, "-m", "nin_gluon.run", *map(str, words)], text=True,
                          capture_output=True, cwd=cwd,
                          env={**os.environ, "PYTHONPATH": path, **environment})


def script(folder, text, name="program.py"):
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


def test_a_script_finds_what_python_would_give_it(tmp_path):
    script(tmp_path, "answer = 42\n", "beside.py")
    program = script(tmp_path, """
        import pickle, sys
        import beside

        class Mine:
            pass

        if __name__ == "__main__":
            print(sys.argv[1:], beside.answer, __file__)
            assert sys.modules["__main__"].Mine is Mine
            assert type(pickle.loads(pickle.dumps(Mine()))) is Mine
            assert "mxnet" not in sys.modules and "numpy" not in sys.modules
        """)
    done = run(program, "--fast", "x")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"['--fast', 'x'] 42 {program}\n"
    assert done.stderr == ""


@pytest.mark.parametrize("ending, status, said", [
    ("sys.exit(3)", 3, ""),
    ("sys.exit()", 0, ""),
    ("sys.exit('no such thing')", 1, "no such thing\n"),
    ("raise KeyboardInterrupt", 130, "KeyboardInterrupt\n"),
    ("raise OSError(2, 'gone', 'file')", 1, "FileNotFoundError: [Errno 2] gone: 'file'\n"),
])
def test_the_exit_status_is_the_programs(tmp_path, ending, status, said):
    done = run(script(tmp_path, f"import sys\n{ending}\n"))
    assert done.returncode == status
    assert done.stderr.endswith(said)
    assert "nin_gluon" not in done.stderr  # a traceback shows the program's own lines


def test_a_traceback_begins_in_the_program(tmp_path):
    done = run(script(tmp_path, "def f():\n    1 / 0\n\nf()\n"))
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert 'program.py", line 4, in <module>' in lines[1]
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_a_missing_package_of_the_book_gets_advice(tmp_path, capsys):
    done = run(script(tmp_path, "import gluonbook\n"))
    assert done.returncode == 1
    error, advice = done.stderr.splitlines()[-2:]
    assert error == "ModuleNotFoundError: No module named 'gluonbook'"
    assert advice.startswith("gluonbook is what d2lzh was before")
    assert run_command.main([str(notebook(tmp_path, "import gluonbook"))]) == 1
    assert advice in capsys.readouterr().err
    done = run(script(tmp_path, "import another_package\n"))
    assert done.stderr.endswith("No module named 'another_package'\n")


def test_a_syntax_error_is_shown_as_python_shows_it(tmp_path):
    done = run(script(tmp_path, "x = = 1\n"))
    assert done.returncode == 1
    assert "program.py\", line 1" in done.stderr and done.stderr.endswith("invalid syntax\n")


def test_a_module_is_run_as_by_python_m(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    script(package, "", "__init__.py")
    script(package, "import sys\nprint(__name__, __package__, sys.argv[1:])\n", "tool.py")
    done = run("-m", "package.tool", "--lr", "0.1", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "__main__ package ['--lr', '0.1']\n"), done.stderr


def test_of_a_module_epochs_lowers_what_the_books_functions_get(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "train.py").write_text("num_epochs = 5\nprint(num_epochs)\n")
    done = run("--epochs", "1", "-m", "package.train", cwd=tmp_path)
    assert done.stdout == "5\n"
    assert "but not in the text of package.train: of a module, --epochs" in done.stderr


def test_the_programs_own_logging_is_its_own(tmp_path):
    done = run(script(tmp_path, """
        import logging
        logging.basicConfig(level=logging.INFO, format="mine: %(message)s")
        logging.info("hello")
        """))
    assert done.stderr == "mine: hello\n"


def test_names_that_numpy_removed_are_there_before_mxnet_is_imported(tmp_path):
    done = run(script(tmp_path, """
        import numpy as np
        print(np.float is float, np.object is object, np.bool is np.bool_)
        """))
    assert done.stdout == "True True True\n", done.stderr


def test_mxnet_d2lzh_and_their_data_work(tmp_path):
    """All options at once, in a program that spells out none of this; and all but --fast."""
    program = script(tmp_path, """
        import random
        import d2lzh as d2l
        from IPython.display import set_matplotlib_formats
        from mxnet import gluon, nd
        from mxnet.gluon import nn

        if __name__ == "__main__":
            set_matplotlib_formats("svg")
            print(random.random(), nd.random.uniform(shape=1).asscalar())
            train, test = d2l.load_data_fashion_mnist(16)
            net = nn.Sequential()
            net.add(nn.Dense(10))
            net.initialize()
            trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
            d2l.train_ch5(net, train, test, 16, trainer, d2l.try_gpu(), 5)
            print(type(train).__module__)
        """)
    data = os.environ.get("NIN_GLUON_DATA")
    if not data:
        pytest.skip("needs the real files")
    options = ["--epochs", 2, "--images", 48, "--seed", 4, program]
    done = run("--fast", *options)
    assert done.returncode == 0, done.stderr
    outputs = []
    for text, module in ((forked_python.call(run_here, *options), "mxnet.gluon.data.dataloader"),
                         (done.stdout, "nin_gluon.data.loader")):
        *log, loader = text.splitlines()
        outputs.append([line.split(", time")[0] for line in log])
        assert loader == module
    assert outputs[0] == outputs[1]
    assert [line.split(",")[0] for line in outputs[0][2:]] == ["epoch 1", "epoch 2"]
    said = done.stderr.splitlines()
    assert [line.split()[0].strip(":") for line in said[:4]] == [
        "--fast", "--epochs", "--images", "--seed"]
    assert "d2lzh.train_ch5" in said[0] and "48 training and 48 test images" in said[2]


def run_here(*words):
    """What the command prints in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert run_command.main(list(words)) == 0
    return said.getvalue()


def test_processes_that_the_program_starts_anew_are_prepared_too(tmp_path):
    done = run(script(tmp_path, """
        import multiprocessing

        def work(n):
            import numpy
            return numpy.float(n) + 1

        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.map(work, [1, 2]))
        """))
    assert done.stdout == "[2.0, 3.0]\n", done.stderr


@pytest.mark.parametrize("words, said", [
    ([], "no program is given"),
    (["no-such-file.py"], "no-such-file.py cannot be read: it is not there"),
    (["no-such-file.ipynb"], "no-such-file.ipynb cannot be read: it is not there"),
    (["notebook.ipynb", "--epochs", "1"], "a notebook takes no arguments (--epochs 1)"),
    (["--output", "x.ipynb", "program.py"], "are for notebooks"),
])
def test_wrong_requests_are_one_line_and_status_2(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_command.main(words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_seed_beyond_numpys_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        run_command.main(["--seed", str(2**32), "program.py"])
    assert stop.value.code == 2
    assert "'4294967296' is not a whole number from 0 to 4294967295" in capsys.readouterr().err


def notebook(folder, *sources):
    path = folder / "book.ipynb"
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_a_notebook_that_runs(tmp_path):
    path = notebook(tmp_path, "num_epochs = 5\nprint('epochs:', num_epochs)",
                    "import random\nrandom.random()")
    before = path.read_bytes()
    done = run("--epochs", 2, "--seed", 1, path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "epochs: 2\n"
    assert done.stderr.splitlines()[-1] == f"outputs: {tmp_path / 'book.executed.ipynb'}"
    assert path.read_bytes() == before
    copy = nbformat.read(tmp_path / "book.executed.ipynb", as_version=4)
    assert copy.cells[0].source.startswith("num_epochs = 5")
    import random

    random.seed(1)
    assert copy.cells[1].outputs[0]["data"]["text/plain"] == repr(random.random())


def test_a_notebook_with_a_cell_that_fails(tmp_path, capsys):
    """The command in this process, for it runs the cells in another anyway."""
    path = notebook(tmp_path, "a = 1", "print(a)\na / 0", "print('after')")
    assert run_command.main([str(path)]) == 1
    error = capsys.readouterr().err
    assert "cell 2 of 3 failed:" in error and "a / 0" in error
    assert "ZeroDivisionError" in error
    copy = json.loads((tmp_path / "book.executed.ipynb").read_text())
    kinds = [[output["output_type"] for output in cell["outputs"]] for cell in copy["cells"]]
    assert kinds == [[], ["stream", "error"], []]
    output = ["--output", str(tmp_path / "all.ipynb")]
    assert run_command.main(["--allow-errors", *output, str(path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == "1\nafter\n" and "1 cell(s) failed" in printed.err
