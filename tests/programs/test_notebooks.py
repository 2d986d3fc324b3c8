"""Running notebooks: what becomes of the file and its copy. (That they run: test_run.py.)"""

import json

import nbformat
import pytest

from nin_gluon.errors import InputError
from nin_gluon.programs import notebooks
from nin_gluon.programs.preparation import Options


def write(path, *sources, **outputs):
    cells = [nbformat.v4.new_code_cell(source, **outputs) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.mark.parametrize("text, said", [
    ("not JSON", "is not a Jupyter notebook"), ("[]", "is not a Jupyter notebook"),
    ('{"cells": 3, "metadata": {}, "nbformat": 4, "nbformat_minor": 2}', "not a Jupyter notebook"),
])
def test_what_is_no_notebook(text, said, tmp_path):
    path = tmp_path / "book.ipynb"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as error:
        notebooks.run_notebook(path, tmp_path / "copy.ipynb", Options())
    assert "\n" not in str(error.value)
    assert not (tmp_path / "copy.ipynb").exists()


def test_a_file_that_is_not_ours_is_not_overwritten(tmp_path):
    path = write(tmp_path / "book.ipynb", "1")
    copy = write(notebooks.copy_of(path), "# mine, and it says \"executed_by_nin_gluon\"")
    before = copy.read_bytes()
    with pytest.raises(InputError, match=r"book.executed.ipynb is there and was not written"):
        notebooks.run_notebook(path, copy, Options())
    assert copy.read_bytes() == before


def test_a_copy_with_a_users_work_is_not_overwritten(tmp_path):
    """Whoever opens the copy in Jupyter and writes into it; or names the notebook as its copy."""
    path = write(tmp_path / "book.ipynb", "1")
    copy = notebooks.copy_of(path)
    assert notebooks.run_notebook(path, copy, Options()) == 0
    ours = nbformat.read(copy, as_version=4)
    ours.cells.append(nbformat.v4.new_markdown_cell("my notes"))
    nbformat.write(ours, copy)
    before = copy.read_bytes()
    with pytest.raises(InputError, match="has been edited since it was written"):
        notebooks.run_notebook(path, copy, Options())
    del ours.metadata[notebooks.MARK]["cells"]
    nbformat.write(ours, copy)
    with pytest.raises(InputError, match="was written by an earlier version, so it may have been"):
        notebooks.run_notebook(path, copy, Options())
    nbformat.write(nbformat.from_dict(json.loads(before)), copy)
    with pytest.raises(InputError, match="is the notebook itself"):
        notebooks.run_notebook(copy, copy, Options())
    assert json.loads(copy.read_bytes()) == json.loads(before)


def test_a_kernel_that_dies_is_a_failed_cell_and_then_the_copy_is_of_this_run_only(tmp_path):
    """A run over our own copy of an earlier one, whose outputs would pass for those of this run."""
    old = [nbformat.v4.new_output("stream", text="old")]
    path = tmp_path / "book.ipynb"
    copy = notebooks.copy_of(path)
    for sources, said in ((["import os\nos._exit(7)"], "The kernel died"),
                          (["1 / 0", "2"], r"cell 1 of 2 failed:(.|\n)*1 / 0")):
        write(path, *sources, outputs=old)
        with pytest.raises(notebooks.CellFailed, match=said):
            notebooks.run_notebook(path, copy, Options(images=7))
    kept = json.loads(copy.read_text())
    kinds = [[output["output_type"] for output in cell["outputs"]] for cell in kept["cells"]]
    assert kinds == [["error"], []]
    # It says what was changed.
    assert kept["metadata"]["executed_by_nin_gluon"]["notebook"] == "book.ipynb"
    assert "first 7 training" in kept["metadata"]["executed_by_nin_gluon"]["changes"][0]
    nbformat.validate(nbformat.read(copy, as_version=4))
