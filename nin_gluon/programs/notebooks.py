"""A notebook is run cell by cell in a prepared kernel; a copy of it keeps the outputs."""

import hashlib
import json
import logging
import re
import sys
import time
import warnings
from pathlib import Path
from typing import Any, Dict, List, Optional

import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from tqdm import tqdm

from nin_gluon.atomic_files import read_ours, write_ours
from nin_gluon.errors import InputError, why
from nin_gluon.programs.kernel_spec import kernel_spec
from nin_gluon.programs.missing import advice
from nin_gluon.programs.preparation import Options

__all__ = ["CellFailed", "copy_of", "run_notebook"]

MARK = "executed_by_nin_gluon"
PATIENCE = 300  # seconds for the kernel to start, on a busy machine


class CellFailed(Exception):
    """A cell raised an error, or the kernel died in it. The message shows the cell."""


def copy_of(path: Path) -> Path:
    """Where the copy with outputs goes: ``NAME.executed.ipynb``, beside the notebook."""
    return path.with_name(f"{path.stem}.executed.ipynb")


def run_notebook(path: Path, copy: Path, options: Options, allow_errors: bool = False) -> int:
    """Run every cell of a notebook; what they print goes to stdout, too.

    Parameters
    ----------
    path : Path
        The notebook. It is not changed. Its folder is the working directory of the cells.
    copy : Path
        Gets the notebook with its outputs, anew after each cell.
    options : Options
    allow_errors : bool
        Go on after a cell that fails.

    Returns
    -------
    int
        How many cells failed.

    Raises
    ------
    InputError
        The file is no notebook, or something that is not ours, or a copy that has been edited,
        is in the way of the copy.
    CellFailed
        A cell failed, and errors are not allowed. The copy has the outputs so far.
    """
    notebook = read_notebook(path)
    check_copy(path, copy)
    notebook.metadata[MARK] = {"notebook": path.name, "changes": options.describe(),
                               "cells": digest_of(notebook)}
    clear_outputs(notebook)
    save(notebook, copy)  # before any time is spent
    client = PrintingClient(
        notebook, km=kernel_manager(options), timeout=None, startup_timeout=PATIENCE,
        allow_errors=allow_errors, resources={"metadata": {"path": str(path.resolve().parent)}})
    client.coalesce_streams = True  # one output for what a cell prints (nbclient 0.10 and later)
    cells = [i for i, cell in enumerate(notebook.cells)
             if cell.cell_type == "code" and cell.source.strip()]
    failed = 0
    with client.setup_kernel(), tqdm(cells, path.name, unit="cell", disable=None) as progress:
        for number, index in enumerate(progress, 1):
            cell = notebook.cells[index]
            started = time.time()
            try:
                client.execute_cell(cell, index)
            except CellExecutionError:
                raise CellFailed(shown(cell, number, len(cells), trace_in(cell))) from None
            except DeadKernelError:
                raise CellFailed(shown(cell, number, len(cells), "The kernel died; there may not "
                                       "have been enough memory.\n")) from None
            finally:
                cell.metadata[MARK] = {"seconds": round(time.time() - started, 1)}
                save(notebook, copy)
            failed += any(output.output_type == "error" for output in cell.outputs)
    return failed


class PrintingClient(NotebookClient):
    """Runs cells, and repeats at once on stdout what they print."""

    def process_message(self, msg: Dict[str, Any], cell: Any, cell_index: int) -> Any:
        if msg["msg_type"] == "stream" and msg["content"]["name"] == "stdout":
            tqdm.write(msg["content"]["text"], file=sys.stdout, end="")
            sys.stdout.flush()
        return super().process_message(msg, cell, cell_index)


class OneSpec(KernelSpecManager):
    """Knows one kernel, which need not be installed anywhere."""

    spec: Optional[KernelSpec] = None

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        assert self.spec is not None
        return self.spec


def kernel_manager(options: Options) -> AsyncKernelManager:
    """What starts the prepared kernel, whatever kernel the notebook names."""
    # Jupyter's own warnings, about its sockets, mean nothing to somebody who runs a program.
    logging.getLogger("traitlets").setLevel(logging.ERROR)
    specs, spec = OneSpec(), kernel_spec(options, "prepare_kernel")
    specs.spec = KernelSpec(**{**spec, "argv": [*spec["argv"], "--log-level=ERROR"]})
    return AsyncKernelManager(kernel_spec_manager=specs, kernel_name="nin_gluon")


def read_notebook(path: Path) -> Any:
    """The notebook, in the current format.

    Raises
    ------
    InputError
        It cannot be read, or is no notebook.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what old notebooks lack
            notebook = nbformat.read(path, as_version=4)
            nbformat.validate(notebook)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {why(error)}.") from error
    except Exception as error:  # nbformat has no error of its own for every kind of damage
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path} is not a Jupyter notebook ({reason}); give a file that Jupyter "
                         "opens.") from error
    return notebook


def check_copy(path: Path, copy: Path) -> None:
    """Raise `InputError` unless the copy's place is free or holds a copy that nobody has edited."""
    if copy.exists() and copy.samefile(path):
        raise InputError(f"{copy} is the notebook itself; give another --output.")
    if read_ours(copy, f'"{MARK}"') is None:
        return
    before = read_notebook(copy)
    noted = before.metadata.get(MARK, {}).get("cells")
    if noted != digest_of(before):
        what = ("has been edited since it was written" if noted else "was written by an earlier "
                "version, so it may have been edited")
        raise InputError(f"{copy} {what}; move it away, or give another --output.")


def digest_of(notebook: Any) -> str:
    """What tells whether the cells are what they were; outputs do not count."""
    cells = [[cell.cell_type, cell.source] for cell in notebook.cells]
    return hashlib.sha256(json.dumps(cells).encode("utf-8")).hexdigest()


def clear_outputs(notebook: Any) -> None:
    """Take away the outputs of an earlier run; the copy has those of this run only."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None


def save(notebook: Any, copy: Path) -> None:
    """Write the copy, over one of our own only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = nbformat.writes(notebook)
    write_ours(copy, text.encode("utf-8"), f'"{MARK}"')


def trace_in(cell: Any) -> str:
    """The traceback among a cell's outputs, without colours, and what to do about it."""
    lines = [line for output in cell.outputs if output.output_type == "error"
             for line in output.traceback]
    trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines)) + "\n"
    return trace + advice(trace)


def shown(cell: Any, number: int, count: int, trace: str) -> str:
    """The failed cell and its traceback, for the terminal."""
    rule = "-" * 40
    lines: List[str] = [f"cell {number} of {count} failed:", rule, cell.source, rule, trace]
    return "\n".join(lines)
