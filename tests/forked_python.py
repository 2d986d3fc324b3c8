"""Processes that find MXNet imported, because they are forked from one that has not used it yet.

To import MXNet takes a second, and a distributed job has seven Python processes and more. For
tests of what processes do to one another; whether they start is the subject of others.
"""

import atexit
import ctypes
import functools
import gc
import inspect
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.linux_processes import AVAILABLE

ROOT = Path(__file__).parents[1]

# The process that the others are forked from. It is told commands, and tells what became of them.
PARENT = """
import json, subprocess, sys
import pytest  # test modules import it
from nin_gluon import launch, train
from nin_gluon.training import gluon_run
from tests import forked_python
forked_python.fork_python()
for line in sys.stdin:
    command, environment = json.loads(line)
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(json.dumps([done.returncode, done.stdout]), flush=True)
"""

CALL = """
import importlib, json, sys
module, function, *arguments = sys.argv[1:]
returned = getattr(importlib.import_module(module), function)(*arguments)
print("\\n" + json.dumps(returned))
"""

# Room for the environments of forked processes where /proc shows them.
ROOM = {"ROOM": 4000 * "."}


def call(function, *arguments):
    """Call a function of a test module, with words, in a forked process; return what it returns.

    It must not fail, and returns what JSON can hold. The Python processes that it starts are
    forked, too. (Where there is no Linux, all are new.)
    """
    module = Path(inspect.getfile(function)).relative_to(ROOT).with_suffix("")
    command = [sys.executable, "-c", CALL, ".".join(module.parts), function.__name__,
               *map(str, arguments)]
    if AVAILABLE:
        parent().stdin.write(json.dumps([command, dict(os.environ)]) + "\n")
        parent().stdin.flush()
        status, said = json.loads(parent().stdout.readline())
    else:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              cwd=ROOT)
        status, said = done.returncode, done.stdout
    assert status == 0, said
    return json.loads(said.splitlines()[-1])


@functools.lru_cache(maxsize=None)
def parent():
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, text=True,
                               stdout=subprocess.PIPE, cwd=ROOT,
                               env={**os.environ, **ROOM, "OMP_NUM_THREADS": "1"})
    atexit.register(process.communicate)  # closes its input, and so ends it
    return process


def fork_python():
    """From now on the processes that this one starts are forked, if they are to run Python."""
    subprocess.Popen = ForkedPython
    gc.freeze()  # a collection would write to the memory that the processes share


class ForkedPython(subprocess.Popen):
    """Popen that does not start Python anew for ``python -c`` and ``python -m``."""

    def __init__(self, command, env=None, preexec_fn=None, **kwargs):
        def go_on():
            if preexec_fn:
                preexec_fn()
            become(command[1:], env)

        forked = command[0] == sys.executable and command[1] in ("-c", "-m")
        super().__init__(command, env=env, preexec_fn=go_on if forked else preexec_fn, **kwargs)


def become(words, environment):
    """Do what Python does with these words, in the child that Popen has made; never return."""
    os.closerange(3, 1024)  # as exec does; one of them tells the parent that this process runs
    for name, handler in (("SIGINT", signal.default_int_handler), ("SIGTERM", signal.SIG_DFL),
                          ("SIGPIPE", signal.SIG_IGN)):
        signal.signal(getattr(signal, name), handler)
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(fd, "w", closefd=False),
                                               write_through=True) for fd in (1, 2))
    if environment is not None:
        os.environ.clear()
        os.environ.update(environment)
        show(environment)
    option, program, *sys.argv[1:] = words
    if option == "-m":  # a command of ours, which leaves nothing for Python to do at the end
        program = f"import os, {program}; os._exit({program}.main())"
    ended = ctypes.pythonapi.PyRun_SimpleString(program.encode())  # returns unless it is SystemExit
    ctypes.pythonapi.Py_Exit(bool(ended))


def show(environment):
    """Let /proc show this environment; it would show that of the first process."""
    start, end = map(int, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[47:49])
    text = "".join(f"{name}={value}\0" for name, value in environment.items() if name not in ROOM)
    shown = text.encode().ljust(end - start, b"\0")
    assert len(shown) == end - start, "more room is needed; see ROOM"
    ctypes.memmove(start, shown, end - start)
