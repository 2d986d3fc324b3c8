"""Every notebook runs from start to end, on small settings, and keeps the outputs it was given."""

import io
import re
import tokenize
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.util import run_sync

ROOT = Path(__file__).parent.parent
ALL = sorted((ROOT / "notebooks").glob("*.ipynb"))
CHINESE = [path for path in ALL if path.name.endswith(".zh-CN.ipynb")]
NOTEBOOKS = [path for path in ALL if path not in CHINESE]  # the code of both languages is the same

# Goes after the cell tagged "parameters" of each notebook: a few images, the smallest size.
SMALL = {
    "exercises": """
dataset = {dataset!r}
sizes.update(epochs=2, limit=8, batch_size=4)
checked.update(size=67, batch=1)
from nin_gluon.analysis import memory
from tests import slim_nin
slim_nin.slim("mxnet", setattr=patch.setattr)  # the figures are other tests' subject, and
patch.setattr(memory, "WAYS", dict(list(memory.WAYS.items())[-1:]))  # the memory in all ways
patch.setattr(memory, "CHILD", "from tests import slim_nin; slim_nin.slim('mxnet'); "
              "from nin_gluon.analysis import memory; memory.SETTLE = 0; " + memory.CHILD)
""",
    "mlpconv": """
dataset = {dataset!r}
changes = {{"epochs": 2, "limit": 8, "batch_size": 4, "resize": 67}}
""",
    "nin": """
preset, dataset = "quick", {dataset!r}
changes = {{"epochs": 2, "limit": 8, "batch_size": 4}}
""",
    "pytorch": """
dataset = {dataset!r}
settings.update(num_epochs=2, limit=8, batch_size=4)
""",
    "paper": """
dataset = {dataset!r}
changes = {{"epochs": 2, "limit": 6, "batch_size": 2}}
""",
}

# The notebooks share a kernel, which takes longer to start than most of them to run. It reads the
# images once, and draws pictures small and once: to cut off the margins, they are drawn twice.
START = """
from functools import lru_cache
import nin_gluon
from nin_gluon.data.sets import DATASETS
get_ipython().config.InlineBackend.print_figure_kwargs = {{"bbox_inches": None, "dpi": 30}}
DATASETS[{dataset!r}] = DATASETS[{dataset!r}]._replace(load=lru_cache(DATASETS[{dataset!r}].load))
%reset -f
"""

# Each notebook is between these cells, and finds and leaves no names. %reset collects garbage, a
# third of a second each time if it went through all libraries.
FIRST = """
assert get_ipython().run_line_magic("who_ls", "") == []
from pytest import MonkeyPatch as patch
patch = patch()
"""
LAST = """
patch.undo()
__import__("gc").freeze()
%reset -f
"""


@pytest.fixture(scope="module")
def execute(request):
    """Function of a notebook, which it runs in the kernel: a new one after one that failed."""
    kernels = []

    def execute(notebook):
        cells = [nbformat.v4.new_code_cell(FIRST), *notebook.cells,
                 nbformat.v4.new_code_cell(LAST)]
        if not kernels:
            kernels.append(AsyncKernelManager(kernel_name="python3"))
            start = START.format(dataset=request.config.dataset)
            cells.insert(0, nbformat.v4.new_code_cell(start))
        whole = nbformat.v4.new_notebook(cells=cells)
        try:
            NotebookClient(whole, km=kernels[0], timeout=300).execute(cwd=ROOT)
        except BaseException:
            end(kernels.pop())
            raise

    def end(kernel):
        run_sync(kernel.shutdown_kernel)(now=True)

    yield execute
    for kernel in kernels:
        end(kernel)


def test_there_are_notebooks():
    assert {path.stem for path in NOTEBOOKS} == set(SMALL)
    assert {path.name.partition(".")[0] for path in CHINESE} == {"nin", "exercises"}


def test_the_readers_index_names_each_of_them():
    index = (NOTEBOOKS[0].parent / "README.md").read_text("utf-8")
    assert set(re.findall(r"\]\(([\w.-]+\.ipynb)\)", index)) == {path.name for path in ALL}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_start_to_end(path, request, execute):
    from nin_gluon.data.sets import DATASETS

    if path.stem == "pytorch" and find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    dataset = request.config.dataset
    assert dataset in DATASETS
    notebook = nbformat.read(path, as_version=4)
    at = [i for i, cell in enumerate(notebook.cells)
          if "parameters" in cell.metadata.get("tags", [])]
    assert len(at) == 1
    small = SMALL[path.stem].format(dataset=dataset)
    notebook.cells.insert(at[0] + 1, nbformat.v4.new_code_cell(small))
    execute(notebook)
    printed = "".join(output.get("text", "") for cell in notebook.cells
                      if cell.cell_type == "code" for output in cell.outputs)
    assert "epoch 2, loss " in printed


def code_of(path):
    """The tokens of each code cell but for comments, with magics as they are."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    return [[token.string for token in tokenize.generate_tokens(io.StringIO(
        re.sub(r"^( *)(%.*)$", r"\1magic(r'''\2''')", cell.source, flags=re.M)).readline)
        if token.type not in (tokenize.COMMENT, tokenize.NL)] for cell in cells]


@pytest.mark.parametrize("path", CHINESE, ids=lambda path: path.stem)
def test_the_chinese_version_is_the_same_notebook(path):
    english = path.with_name(path.name.replace(".zh-CN", ""))
    cells, others = (nbformat.read(each, as_version=4).cells for each in (path, english))
    assert [(cell.id, cell.cell_type) for cell in cells] == \
        [(cell.id, cell.cell_type) for cell in others]
    assert code_of(path) == code_of(english)
    assert path.name in others[0].source and english.name in cells[0].source
    for cell in cells:
        if cell.cell_type == "markdown":
            assert re.search("[\u4e00-\u9fff]", cell.source), cell.source


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_its_kept_outputs_come_from_one_run_without_errors(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    pictures = {"image/png", "image/jpeg"}
    assert [output for output in outputs if pictures & set(output.get("data", {}))]


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_its_first_cell_installs_what_is_missing(path, monkeypatch):
    """Where the package is installed, as here, it does nothing."""
    first = next(cell for cell in nbformat.read(path, as_version=4).cells
                 if cell.cell_type == "code")
    assert first.outputs == []
    code = re.sub(r"^( +)%pip (.*)$", r"\1installed.append(\2)", first.source.replace(
        "install --quiet ", ""), flags=re.M)
    for there in (True, False):
        installed = []
        monkeypatch.setattr("importlib.util.find_spec", lambda name, there=there: there or None)
        exec(compile(code, "cell", "exec"), {"installed": installed})
        assert bool(installed) != there
