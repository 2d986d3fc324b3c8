"""A stand-in for the CUDA driver, and fresh interpreters to use it in.

The dynamic loader finds the driver. It reads ``LD_LIBRARY_PATH`` once, when a process starts, so
whatever depends on the driver can only be tested in a process of its own.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# First the functions that libmxnet.so of mxnet-cu112 1.9.1 takes from libcuda.so.1 (found with
# `nm -D --undefined-only`): it does not load unless all are there. Then those that
# `nin_gluon.runtime.cuda` calls.
SOURCE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, NOT_INITIALIZED = 3, NO_DEVICE = 100 };

#define MISSING(name) int name() { return NO_DEVICE; }
MISSING(cuDeviceGet)
MISSING(cuDevicePrimaryCtxRetain)
MISSING(cuGetErrorString)
MISSING(cuGraphKernelNodeGetParams)
MISSING(cuGraphNodeGetType)
MISSING(cuLaunchKernel)
MISSING(cuModuleGetFunction)
MISSING(cuModuleLoadData)
MISSING(cuModuleLoadDataEx)
MISSING(cuModuleUnload)

/* "8.6,9.0": two devices and their compute capabilities; unset or empty: no device. */
static const char *devices(void) {
    const char *list = getenv("CUDA_STUB_CAPABILITIES");
    return list ? list : "";
}

static int initialized = 0;

int cuInit(unsigned flags) {
    initialized = *devices() != 0;
    return initialized ? SUCCESS : NO_DEVICE;
}

int cuDeviceGetCount(int *count) {
    if (!initialized)
        return NOT_INITIALIZED;
    *count = 0;
    for (const char *at = devices(); at && *at; at = strchr(at + 1, ','))
        ++*count;
    return SUCCESS;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
    const char *at = devices();
    while (at && device--)
        if ((at = strchr(at, ',')))
            ++at;
    if (!at || !*at || (attribute != 75 && attribute != 76))
        return INVALID_VALUE;
    *value = atoi(attribute == 75 ? at : strchr(at, '.') + 1);
    return SUCCESS;
}

int cuDeviceGetName(char *name, int length, int device) {
    snprintf(name, length, "Stub GPU %d", device);
    return SUCCESS;
}

int cuDriverGetVersion(int *version) {
    *version = 12040;
    return SUCCESS;
}
"""


def build_cuda_stub(folder):
    """Compile the stand-in into ``folder/libcuda.so.1`` and return the folder.

    The environment variable ``CUDA_STUB_CAPABILITIES`` names its devices, for example ``8.6,9.0``.
    Skips the test if there is no C compiler.
    """
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.skip("no C compiler to build a CUDA driver stub with")
    folder = Path(folder)
    source = folder / "cuda_stub.c"
    source.write_text(SOURCE, "utf-8")
    command = [compiler, "-std=gnu99", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1",
               "-o", str(folder / "libcuda.so.1"), str(source)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


def build_broken_driver(folder):
    """Put a ``libcuda.so.1`` that does not load into the folder and return the folder.

    The loader gives up there, so this hides the driver of a machine that has one.
    """
    folder = Path(folder)
    (folder / "libcuda.so.1").write_text("not a library\n", "utf-8")
    return folder


def run_python(*arguments, cwd=None, only_root=False, **environment):
    """Run this interpreter in a new process, without what nin_gluon set in this one.

    Parameters
    ----------
    *arguments : str
        For the interpreter, for example ``"-c", "print(1)"``.
    cwd : path, optional
        Folder to run in.
    only_root : bool
        Leave out the caller's PYTHONPATH. The checkout is on the path in any case.
    **environment : str or None
        Variables to set; None unsets one.

    Returns
    -------
    subprocess.CompletedProcess
        With stdout and stderr as text.
    """
    path = [str(ROOT)]
    if not only_root and os.environ.get("PYTHONPATH"):
        path.append(os.environ["PYTHONPATH"])
    settings = {"OMP_NUM_THREADS": None, "DNNL_MAX_CPU_ISA": None, "PYTHONWARNINGS": None,
                "MPLBACKEND": "Agg", "PYTHONPATH": os.pathsep.join(path), **environment}
    variables = {k: v for k, v in {**os.environ, **settings}.items() if v is not None}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=variables, text=True,
                          capture_output=True, timeout=120)


def output(*arguments, **options):
    """What `run_python` prints on stdout; fails if the process does."""
    done = run_python(*arguments, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
