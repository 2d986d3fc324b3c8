"""A script or a module is run in this process, as ``python`` runs it."""

import ast
import logging
import runpy
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Callable, Sequence

from nin_gluon.errors import InputError, why
from nin_gluon.programs.epochs import FewerEpochs
from nin_gluon.programs.missing import advice
from nin_gluon.programs.preparation import Options, prepare

__all__ = ["run_module", "run_script"]


def run_script(path: Path, args: Sequence[str], options: Options) -> int:
    """Run ``python SCRIPT ARGS`` in this process, prepared.

    Parameters
    ----------
    path : Path
        A file of Python.
    args : sequence of str
        What the script finds in ``sys.argv`` after its own name.
    options : Options

    Returns
    -------
    int
        The exit status that Python would have.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {why(error)}.") from error

    def run() -> None:
        tree = ast.parse(source, str(path))
        if options.epochs is not None:
            tree = FewerEpochs(options.epochs).visit(tree)
        # The program must find itself in `__main__`: pickle looks there for its classes.
        module = ModuleType("__main__")
        module.__file__ = str(path)
        module.__builtins__ = __builtins__  # type: ignore[attr-defined]
        sys.modules["__main__"] = module
        exec(compile(tree, str(path), "exec", dont_inherit=True), vars(module))

    sys.argv = [str(path), *args]
    search_first(path.resolve().parent)
    return run_as_python_does(run, options)


def run_module(name: str, args: Sequence[str], options: Options) -> int:
    """Run ``python -m NAME ARGS`` in this process, prepared; otherwise as `run_script`."""
    sys.argv = [name, *args]
    search_first(Path.cwd())
    return run_as_python_does(
        lambda: runpy.run_module(name, run_name="__main__", alter_sys=True), options)


def search_first(folder: Path) -> None:
    """Put the program's folder where Python puts it: first, in the place of this command's own."""
    if not getattr(sys.flags, "safe_path", False):  # python -P puts nothing there
        del sys.path[0]
    sys.path.insert(0, str(folder))


def run_as_python_does(run: Callable[[], object], options: Options) -> int:
    """Prepare this process, call `run`, and return the exit status that Python would have."""
    for handler in list(logging.root.handlers):  # the command's; the program may want its own
        logging.root.removeHandler(handler)
    prepare(options)
    try:
        run()
    except SystemExit as end:
        return exit_status(end)
    except BaseException as error:
        show(error)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    finally:
        sys.stdout.flush()
    return 0


def exit_status(end: SystemExit) -> int:
    """What ``sys.exit(...)`` comes to; a text goes to stderr."""
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1


def show(error: BaseException) -> None:
    """Show an exception as the program would have it shown, without our own calls."""
    ours = {__file__, runpy.__file__, "<frozen runpy>", ast.__file__}
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename in ours:
        trace = trace.tb_next
    try:
        sys.excepthook(type(error), error.with_traceback(trace), trace)
    except Exception:  # the program's own hook failed
        traceback.print_exc()
    if isinstance(error, ModuleNotFoundError):
        print(advice(str(error)), end="", file=sys.stderr)
