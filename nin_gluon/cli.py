"""What the commands share, and ``nin-gluon VERB``, which reaches all of them."""

import argparse
import functools
import importlib
import io
import logging
import os
import re
import shlex
import shutil
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Optional, Set

from nin_gluon.errors import InputError, why
from nin_gluon.extras import require_torch
from nin_gluon.runtime import MXNetUnavailable
from nin_gluon.settings import DTYPES, ENGINES, Range, Settings, parse_number, setting_of

if TYPE_CHECKING:
    from nin_gluon.analysis.trained_net import TrainedNet

__all__ = ["ArgumentParser", "add_net_options", "add_settings", "command", "dataset_name",
           "given_settings", "known_dataset", "load_net", "main", "new_picture", "number",
           "seed_list", "silence_stdout", "this_python", "utf8_path", "whole_path"]

# Verb -> (module, what it does). The module has `main(argv)`.
VERBS = {
    "train": ("nin_gluon.train", "train a net and leave a run folder"),
    "launch": ("nin_gluon.launch", "start a distributed job: scheduler, servers and workers"),
    "reproduce": ("nin_gluon.reproduce", "compare a published log with runs of several seeds"),
    "exercises": ("nin_gluon.exercises", "answer the chapter's exercises by running them"),
    "atlas": ("nin_gluon.atlas", "show how every published run ended, beside our own"),
    "shapes": ("nin_gluon.shapes", "print the output shape of each layer of a net"),
    "resources": ("nin_gluon.resources", "count parameters, multiply-adds and memory of a net"),
    "confidence": ("nin_gluon.confidence", "show where in an image a run's net finds each class"),
    "predict": ("nin_gluon.predict", "say what pictures of your own show"),
    "evaluate": ("nin_gluon.evaluate", "measure a trained net on the test images"),
    "demo": ("nin_gluon.demo", "open a page in the browser that shows a trained net at work"),
    "compare": ("nin_gluon.compare", "put runs side by side: settings, results, curves"),
    "export": ("nin_gluon.export", "write a run's net for other programs: ONNX, safetensors ..."),
    "run": ("nin_gluon.run", "run any MXNet 1.x script, module or notebook, unchanged"),
    "kernel": ("nin_gluon.kernel", "add a Jupyter kernel for MXNet notebooks, or take it away"),
    "doctor": ("nin_gluon.doctor", "say what this machine has for the chapter, and what it lacks"),
    "torch_edition": ("nin_gluon.torch_edition.__main__", "train the chapter's net in PyTorch"),
}


# ------------------------------------------------------------------ options


class ArgumentParser(argparse.ArgumentParser):
    """argparse's parser, but an error is one line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> Any:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def add_settings(parser: Any, names: Iterable[str], help: Optional[Dict[str, str]] = None,
                 types: Optional[Dict[str, Callable[[str], Any]]] = None) -> None:
    """Add an option for each of these settings; one that is not given is None.

    Parameters
    ----------
    parser : argparse.ArgumentParser or one of its groups
    names : iterable of str
        Fields of `Settings`.
    help : dict, optional
        Help texts that differ from the setting's own.
    types : dict, optional
        Functions from text to value that are stricter than the setting's own.
    """
    for name in names:
        described = setting_of(name)
        parse = (types or {}).get(name) or option_type(described.parse)
        parser.add_argument(f"--{name.replace('_', '-')}", type=parse,
                            choices=described.choices or None, metavar=described.metavar,
                            help=(help or {}).get(name, described.help))


def given_settings(args: argparse.Namespace) -> Dict[str, Any]:
    """The settings that the user gave as options: {name: value}."""
    return {f.name: getattr(args, f.name) for f in fields(Settings)
            if getattr(args, f.name, None) is not None}


def option_type(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """An argparse type that says what `parse` says when it raises ValueError."""

    def parse_option(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_option


def number(kind: type, allowed: Range) -> Callable[[str], Any]:
    """An argparse type: a finite int or float of the allowed range."""
    return option_type(lambda text: parse_number(text, kind, allowed))


def whole_path(text: str) -> str:
    """An argparse type: the absolute path, because --resume may be called from elsewhere."""
    return os.path.abspath(os.path.expanduser(utf8_path(text)))


def utf8_path(text: str) -> str:
    """An argparse type: a path that can be printed and kept in a file."""
    if any(character < " " or "\ud800" <= character <= "\udfff" for character in text):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be printed; give a path in UTF-8 "
                                         "without control characters")
    return text


@option_type
def seed_list(text: str) -> List[int]:
    """An argparse type: '0-2,5' -> [0, 1, 2, 5], each seed once and in order."""
    seeds: Set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,18})(?:-([0-9]{1,18}))?\s*", part)
        if not match:
            raise ValueError(f"{text!r} is not a list of seeds such as 0-9 or 0,3,7")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < first + 10000:
            raise ValueError(f"{part.strip()!r} is not a range of 1 to 10000 seeds")
        seeds.update(range(first, last + 1))
    return sorted(seeds)


def new_picture(path: str, option: str = "--out") -> Path:
    """The path of a picture to be made, once it is clear that it can be written.

    `option` is the one that named it, for the message.
    """
    picture = Path(path)
    if picture.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise InputError(f"{option} {path} is no picture's name; end it in .png, .pdf or .svg.")
    if picture.exists():
        raise InputError(f"{option} {path} is there already; choose another name.")
    if not picture.parent.is_dir():
        raise InputError(f"{option} {path}: there is no folder {picture.parent}; make it first.")
    return picture


def dataset_name(text: str) -> str:
    """An argparse type: a data set's usual name."""
    from nin_gluon.data.sets import ALIASES

    return ALIASES.get(text, text)


def add_net_options(parser: Any) -> None:
    """Add the options that say how a trained net is computed; `load_net` obeys them."""
    parser.add_argument("--ctx", metavar="DEVICE", default="auto",
                        help="auto, cpu, gpu or gpu(1) (default: auto)")
    parser.add_argument("--engine", choices=ENGINES,
                        help="what computes: MXNet Gluon, or PyTorch (default: the run's, or the "
                             "other where that cannot compute here)")
    parser.add_argument("--dtype", choices=DTYPES,
                        help="arithmetic of the convolutions (default: the run's; float32 for "
                             "the package's net)")
    parser.add_argument("--data-dir", metavar="DIR", type=whole_path,
                        help="folder with the data set's files (default: the run's)")


def load_net(run: Optional[str], args: argparse.Namespace) -> "TrainedNet":
    """The net of a run folder, or the trained net of the package if none is named.

    Parameters
    ----------
    run : str or None
    args : argparse.Namespace
        With the options of `add_net_options`.
    """
    if args.engine == "torch":
        require_torch()
    from nin_gluon.training.run_folder import read_config

    if run is None:
        from nin_gluon.analysis.trained_net import load_pretrained

        return load_pretrained("nin", args.ctx, args.engine, args.dtype or "float32",
                               args.data_dir)
    config = read_config(Path(run))
    from nin_gluon.analysis.trained_net import load_run

    data_dir = args.data_dir or config.environment.data_dir
    settings = config.settings.but(dtype=args.dtype or config.settings.dtype)
    config = replace(config, settings=settings,
                     environment=replace(config.environment, data_dir=data_dir))
    return load_run(Path(run), config, args.ctx, args.engine)


@option_type
def known_dataset(text: str) -> str:
    """An argparse type: the usual name of a data set that exists."""
    from nin_gluon.data.sets import DATASETS

    name = dataset_name(text)
    if name not in DATASETS:
        raise ValueError(f"unknown data set {text!r}; the data sets are: {', '.join(DATASETS)}")
    return name


# ------------------------------------------------------------------ commands


def command(main: Callable[..., Optional[int]], escape: bool = True) -> Callable[..., int]:
    """Turn a command's ``main(argv)`` into one that reports errors as the project does.

    What the user can mend (`InputError`, no usable MXNet, a file system that refuses) becomes one
    line on stderr and exit status 2. Ctrl-C becomes status 130. The library's notices go to
    stderr, too. What the terminal cannot show is escaped, unless `escape` is False: the output of
    another program is that program's own.
    """

    @functools.wraps(main)
    def wrapped(argv: Optional[List[str]] = None) -> int:
        logging.basicConfig(format="%(message)s", stream=sys.stderr)
        if escape and isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.closed:
            # As stderr does: a name that the terminal cannot show is no reason to stop.
            sys.stdout.reconfigure(errors="backslashreplace")
        status = 0
        try:
            status = main(argv) or 0
            flush_stdout()  # here, where a full disk can still be told in a line
            return status
        except BrokenPipeError:  # `... | head`: the reader has seen enough
            silence_stdout()
            return status
        except (InputError, MXNetUnavailable) as error:
            sentence = str(error)
        except OSError as error:  # one that nobody expected more closely
            sentence = f"{error.filename}: {why(error)}" if error.filename else why(error)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        try:
            flush_stdout()
        except OSError:  # what it holds cannot be written; Python would try once more at its end
            silence_stdout()
        # __spec__ knows the module's name even when it runs as __main__.
        module = getattr(main.__globals__["__spec__"], "name", main.__module__)
        print(f"{module.replace('.__main__', '')}: error: {sentence}", file=sys.stderr)
        return 2

    return wrapped


def flush_stdout() -> None:
    if sys.stdout is not None:  # as it is where the shell has closed it
        sys.stdout.flush()


def silence_stdout() -> None:
    """Discard what is still printed, once nobody reads it any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def this_python() -> str:
    """How the user can call the Python that runs this: 'python' if that is the one."""
    found = shutil.which("python")
    return "python" if found == sys.executable else shlex.quote(sys.executable)


def main(argv: Optional[List[str]] = None) -> int:
    """``nin-gluon VERB ...`` is ``python -m nin_gluon.VERB ...``."""
    from nin_gluon import __version__

    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:{width}}  {what}" for verb, (_, what) in VERBS.items())
    parser = ArgumentParser(
        prog="nin-gluon",
        description="The Network in Network chapter of Dive into Deep Learning, running today.",
        epilog=f"verbs:\n{verbs}",
    )
    parser.add_argument("--version", action="version", version=f"nin_gluon {__version__}")
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help="one of those below")
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="...",
                        help="the verb's own; see nin-gluon VERB --help")
    args = parser.parse_args(argv)
    module, _ = VERBS[args.verb]
    status: int = importlib.import_module(module).main(args.options)
    return status


if __name__ == "__main__":
    sys.exit(main())
