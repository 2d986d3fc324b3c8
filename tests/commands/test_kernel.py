"""``python -m nin_gluon.kernel``, in a Jupyter folder of its own."""

import json
import sys

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

from nin_gluon import kernel


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    """The folder of this user's kernels."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    return tmp_path / "jupyter" / "kernels"


def test_install_and_remove(kernels, capsys):
    assert kernel.main(["install"]) == 0
    folder = kernels / "nin-gluon-mxnet"
    assert capsys.readouterr().out == f"kernel: MXNet 1.9 (nin_gluon)\nfolder: {folder}\n"
    spec = KernelSpecManager().get_kernel_spec("nin-gluon-mxnet")
    assert spec.display_name == "MXNet 1.9 (nin_gluon)" and spec.language == "python"
    assert spec.argv[0] == sys.executable and spec.env == {}
    assert kernel.main(["install", "--fast"]) == 0
    assert kernel.main(["install"]) == 0  # again: it is there as it should be
    assert sorted(path.name for path in kernels.iterdir()) == [
        "nin-gluon-mxnet", "nin-gluon-mxnet-fast"]
    capsys.readouterr()
    assert kernel.main(["remove"]) == 0
    assert capsys.readouterr().out.count("removed: ") == 2
    assert not list(kernels.iterdir())
    assert kernel.main(["remove"]) == 0
    assert capsys.readouterr().err == "there was nothing to remove\n"


def test_what_is_not_ours_stays(kernels, capsys):
    folder = kernels / "nin-gluon-mxnet"
    folder.mkdir(parents=True)
    foreign = json.dumps({"argv": ["other"], "display_name": "Mine", "language": "python"})
    (folder / "kernel.json").write_text(foreign)
    assert kernel.main(["install"]) == 2
    assert "was not written by this command" in capsys.readouterr().err
    assert kernel.main(["remove"]) == 0
    assert (folder / "kernel.json").read_text() == foreign
    (folder / "kernel.json").unlink()
    (folder / "logo-64x64.png").write_bytes(b"a picture")
    assert kernel.main(["install"]) == 0
    assert kernel.main(["remove"]) == 0
    assert [path.name for path in folder.iterdir()] == ["logo-64x64.png"]


def test_remove_takes_no_options(kernels, capsys):
    assert kernel.main(["remove", "--fast"]) == 2
    assert "leave out --fast" in capsys.readouterr().err


def test_mxnet_and_plots_work_from_the_first_cell(kernels, capsys):
    """In the installed kernel, as JupyterLab starts it."""
    assert kernel.main(["install", "--fast"]) == 0
    cells = ["before = set(dir())\nimport mxnet as mx, numpy as np\n"
             "mx.nd.arange(4).sum().asscalar()",
             "import d2lzh as d2l\nd2l.semilogy([1, 2], [3, 4], 'x', 'y')",
             "d2l.train_ch5.__module__, np.float, [n for n in before if 'nin_gluon' in n]"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=300, startup_timeout=300,
                   kernel_name="nin-gluon-mxnet-fast").execute()
    first, second, third = (cell.outputs for cell in notebook.cells)
    assert first[-1]["data"]["text/plain"] == "6.0"
    assert second[0].name == "stderr" and second[0].text.startswith("--fast: d2lzh.train_ch5")
    assert any("image/svg+xml" in output.get("data", {}) for output in second)
    assert third[-1]["data"]["text/plain"] == "('nin_gluon.programs.fast', float, [])"
    assert [cell.execution_count for cell in notebook.cells] == [1, 2, 3]
