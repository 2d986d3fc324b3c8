"""Preparing a process for somebody else's MXNet program."""

import functools
import random
import sys
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional

from nin_gluon import runtime
from nin_gluon.programs.epochs import FewerEpochs, cap_functions

__all__ = ["Options", "prepare", "prepare_kernel", "start_line"]

# The modules with the book's functions: the package, what it was called before, and what the later
# editions have.
D2LZH, GLUONBOOK, D2L = "d2lzh.utils", "gluonbook.utils", "d2l.mxnet"

# Names that NumPy 1.24 removed and programs of MXNet's days use. (`bool` is `numpy.bool_` because
# MXNet needs that.)
NUMPY_NAMES = {"float": float, "int": int, "object": object, "complex": complex, "str": str,
               "long": int, "unicode": str}


@dataclass(frozen=True)
class Options:
    """What may be different from the program as it was written.

    Attributes
    ----------
    fast : bool
        Functions of d2lzh are replaced by ours; see `nin_gluon.programs.fast`.
    epochs : int, optional
        At most so many epochs; see `nin_gluon.programs.epochs`.
    images : int, optional
        Gluon's image sets have at most so many training and as many test images.
    seed : int, optional
        Python's, NumPy's and MXNet's random numbers start from this seed.
    """

    fast: bool = False
    epochs: Optional[int] = None
    images: Optional[int] = None
    seed: Optional[int] = None

    def describe(self) -> List[str]:
        """A line for each option that is given."""
        lines: Dict[str, str] = {
            "fast": "--fast: d2lzh.train_ch5, d2lzh.evaluate_accuracy and "
                    "d2lzh.load_data_fashion_mnist are replaced by nin_gluon's; Sequential nets "
                    "are hybridized in them",
            "epochs": f"--epochs {self.epochs}: num_epochs is lowered to {self.epochs} where the "
                      "program writes a larger number, or gives one to a function of the book",
            "images": f"--images {self.images}: MNIST, Fashion-MNIST and CIFAR have their first "
                      f"{self.images} training and {self.images} test images",
            "seed": f"--seed {self.seed}: Python's, NumPy's and MXNet's random numbers start "
                    "from it"}
        return [lines[name] for name, value in asdict(self).items() if value not in (None, False)]


def prepare(options: Options) -> None:
    """Prepare this process; what is not imported yet is changed when it is.

    Parameters
    ----------
    options : Options
    """
    after = runtime.after_import
    runtime.install()
    after("numpy", restore_names)
    after("IPython.display", runtime.restore_matplotlib_formats)
    after("multiprocessing.spawn", functools.partial(prepare_children, options=options))
    after("mxnet.gluon.data.vision.datasets", functools.partial(datasets, images=options.images))
    after("mxnet.gluon.data.dataloader", data_loader)
    if options.fast:
        for book in (D2LZH, GLUONBOOK):
            after(book, functools.partial(fast, images=options.images))
    if options.epochs is not None:
        for book in (D2LZH, GLUONBOOK, D2L):
            after(book, functools.partial(cap_functions, most=options.epochs))
    if options.seed is not None:
        random.seed(options.seed)
        for module in ("numpy", "mxnet"):
            after(module, functools.partial(seed, number=options.seed))


def prepare_kernel(options: Options) -> None:
    """Prepare the IPython kernel that this process is."""
    from IPython import get_ipython

    prepare(options)
    shell = get_ipython()
    if options.epochs is not None:
        shell.ast_transformers.append(FewerEpochs(options.epochs))
    if options.seed is not None:
        # The kernel draws random numbers while it starts.
        def seed_first_cell(info: Any) -> None:
            random.seed(options.seed)
            shell.events.unregister("pre_run_cell", seed_first_cell)

        shell.events.register("pre_run_cell", seed_first_cell)


def prepare_installed_kernel(options: Options) -> None:
    """The same for a kernel that nobody has told what is changed: it says so when it happens."""
    def say(module: ModuleType) -> None:
        for line in options.describe():
            print(line, file=sys.stderr)

    prepare_kernel(options)
    runtime.after_import(D2LZH, say)


def start_line(options: Options, function: str) -> str:
    """A line of Python that prepares a process that starts with it, and leaves no name behind.

    Parameters
    ----------
    options : Options
    function : str
        The function of this module to call with them.
    """
    given = {name: value for name, value in asdict(options).items() if value not in (None, False)}
    arguments = ", ".join(f"{name}={value!r}" for name, value in given.items())
    return (f"(lambda it: it.{function}(it.Options({arguments})))(__import__("
            f"{__name__!r}, fromlist=['Options']))")


# ---------------------------------------------------------------- changes to modules


def restore_names(numpy: ModuleType) -> None:
    """Give NumPy back the names that it removed."""
    for name, replacement in {"bool": getattr(numpy, "bool_", bool), **NUMPY_NAMES}.items():
        if name not in vars(numpy):
            setattr(numpy, name, replacement)


def prepare_children(spawn: ModuleType, options: Options) -> None:
    """Prepare the processes, too, that multiprocessing starts anew; forked ones are prepared."""
    theirs: Callable[..., List[str]] = vars(spawn)["get_command_line"]

    def get_command_line(**kwargs: Any) -> List[str]:
        words = theirs(**kwargs)
        if "-c" in words:
            at = words.index("-c") + 1
            words[at] = f"{start_line(options, 'prepare')}; {words[at]}"
        return words

    spawn.get_command_line = get_command_line  # type: ignore[attr-defined]


def datasets(module: ModuleType, images: Optional[int]) -> None:
    from nin_gluon.programs.datasets import take_official_files

    take_official_files(module, images)


def data_loader(module: ModuleType) -> None:
    from nin_gluon.programs.data_loader import limit_workers

    limit_workers(module)


def fast(module: ModuleType, images: Optional[int]) -> None:
    from nin_gluon.programs.fast import replace_functions

    replace_functions(module, images)


def seed(module: ModuleType, number: int) -> None:
    """Seed NumPy or MXNet."""
    set_seed: Callable[[int], None] = module.random.seed
    set_seed(number)
