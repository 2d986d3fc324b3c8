"""What the commands share, and ``nin-gluon <verb>``, which reaches all of them."""

import argparse
import functools
import importlib
import logging
import os
import sys

from nin_gluon.errors import InputError
from nin_gluon.runtime import MXNetUnavailable

__all__ = ["ArgumentParser", "command", "main", "silence_stdout"]

VERBS = {
    "train": "train a net and leave a run folder",
    "launch": "start a distributed job: scheduler, servers and workers",
    "reproduce": "hold a published log against runs of several seeds",
    "exercises": "answer the chapter's exercises by running them",
    "shapes": "print the output shape of each layer of a net",
    "resources": "count parameters, multiply-adds and memory of a net",
    "confidence": "show where in an image a run's net finds each class",
    "torch_edition": "train the chapter's net in PyTorch",
}


class ArgumentParser(argparse.ArgumentParser):
    """argparse's parser, saying what is wrong in one line."""

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, **kwargs)

    def error(self, message):
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def command(main):
    """Turn a command's ``main(argv)`` into one that reports errors as the project does.

    What the user can mend (`InputError`, no usable MXNet, a file system that refuses) becomes one
    line on stderr and exit status 2; Ctrl-C becomes status 130. Notices of the library go to
    stderr as well.
    """

    @functools.wraps(main)
    def wrapped(argv=None):
        logging.basicConfig(format="%(message)s", stream=sys.stderr)
        try:
            return main(argv) or 0
        except BrokenPipeError:  # `... | head`: the reader has seen enough
            silence_stdout()
            return 0
        except (InputError, MXNetUnavailable, OSError) as error:
            # __spec__ knows the module's name even when it runs as __main__.
            module = getattr(main.__globals__["__spec__"], "name", main.__module__)
            print(f"{module}: error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    return wrapped


def silence_stdout():
    """Send what is still printed nowhere, once nobody reads it any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(argv=None):
    """``nin-gluon <verb> ...`` is ``python -m nin_gluon.<verb> ...``."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:{width}}  {what}" for verb, what in VERBS.items())
    parser = ArgumentParser(
        prog="nin-gluon",
        description="The Network in Network chapter of Dive into Deep Learning, running today.",
        epilog=f"verbs:\n{verbs}",
    )
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help="one of those below")
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="...",
                        help="the verb's own; see nin-gluon VERB --help")
    args = parser.parse_args(argv)
    return importlib.import_module(f"nin_gluon.{args.verb}").main(args.options)


if __name__ == "__main__":
    sys.exit(main())
