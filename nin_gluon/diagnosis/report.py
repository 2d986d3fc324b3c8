"""The whole report: what was found, which of it is a problem, and what to do about each."""

import getpass
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any, Dict, List

from nin_gluon.diagnosis.frameworks import describe_gluon, describe_torch, extras, version_of
from nin_gluon.diagnosis.hardware import describe_gpus, describe_processor
from nin_gluon.diagnosis.storage import describe_data, describe_places

__all__ = ["environment_report", "find_notes", "find_problems", "without_names"]

Report = Dict[str, Any]

FORMAT = 1  # of the JSON

TITLES = {"gluon": "MXNet", "torch": "PyTorch"}

# The variables that change what is found or how it is computed. None of them holds a secret.
VARIABLES = ("CUDA_VISIBLE_DEVICES", "DNNL_MAX_CPU_ISA", "LD_LIBRARY_PATH", "MXNET_HOME",
             "NIN_GLUON_DATA", "NIN_GLUON_PRETRAINED")


def environment_report() -> Report:
    """Find out what the chapter needs and what is here.

    Returns
    -------
    dict
        JSON values. ``usable``: whether an engine works. ``summary``: that as a sentence.
        ``problems`` and ``notes``: lists of one-line texts; a problem ends with what to do. The
        rest is what `nin_gluon.diagnosis`'s other files find. Neither the user's name nor the
        path of the home folder is in it.
    """
    import nin_gluon

    report: Report = {
        "format": FORMAT,
        "nin_gluon": {"version": nin_gluon.__version__,
                      "path": str(Path(nin_gluon.__file__).parent)},
        "python": {"version": platform.python_version(), "path": sys.executable},
        "platform": platform.platform(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "packages": {name: version_of(name) for name in ("numpy", "matplotlib")},
        "extras": extras(),
        "processor": describe_processor(),
        "engines": {"gluon": describe_gluon(), "torch": describe_torch()},
        "gpu": describe_gpus(),
        "data": describe_data(),
        "places": describe_places(),
    }
    report["usable"] = any(engine["works"] for engine in report["engines"].values())
    report["summary"] = summary(report)
    report["notes"] = find_notes(report)
    report["problems"] = find_problems(report)
    shortened: Report = without_names(report)
    return shortened


# ------------------------------------------------------------------ what it comes to


def usable_gpus(engine: Report) -> List[str]:
    """The GPUs that an engine can use: ``gpu(0)`` ..."""
    return [f"gpu({i})" for i, problem in enumerate(engine["gpu_problems"]) if problem is None]


def summary(report: Report) -> str:
    """One sentence: whether the chapter runs here, and on what."""
    gluon, torch = report["engines"]["gluon"], report["engines"]["torch"]
    if not report["usable"]:
        return ("The chapter does not run here yet: neither MXNet nor PyTorch can be used. The "
                "problems below say what to do.")
    if not gluon["works"]:
        where = ", ".join(usable_gpus(torch)) or "the CPU"
        return f"The chapter runs here, with PyTorch in place of MXNet, on {where}."
    if usable_gpus(gluon):
        return f"The chapter runs here, with MXNet, on {', '.join(usable_gpus(gluon))}."
    text = "The chapter runs here, with MXNet, on the CPU."
    if usable_gpus(torch):
        text += f" PyTorch can use {', '.join(usable_gpus(torch))}: --engine torch --ctx gpu."
    return text


def find_notes(report: Report) -> List[str]:
    """What is worth knowing but stops nothing."""
    gluon, torch = report["engines"]["gluon"], report["engines"]["torch"]
    processor = report["processor"]
    notes = []
    if gluon["alias_needed"]:
        notes.append(f"NumPy {report['packages']['numpy']} has no numpy.bool, so `import mxnet` "
                     "fails by itself; it works after `import nin_gluon`, and in programs that "
                     "`nin-gluon run` runs.")
    if report["usable"]:
        notes += [engine["problem"] for engine in (gluon, torch) if not engine["installed"]]
    notes += gpus_that_cannot_be_used(report, but_by_another=True)
    given = processor["threads_given"] or ""
    if re.fullmatch(r"\d{1,9}", given) and int(given) < processor["usable"]:
        notes.append(f"OMP_NUM_THREADS={given} leaves processors idle: this process may use "
                     f"{processor['usable']}. Without the variable, all of them are used.")
    for found in report["data"]:
        if found["state"] in ("missing", "incomplete"):
            lacking = "files" if found["state"] == "missing" else ", ".join(found["missing"])
            notes.append(f"{found['title']}: {lacking} not found. What is missing is downloaded "
                         "when it is first used; without a network, name the folder that holds "
                         "it with --data-dir or NIN_GLUON_DATA.")
        if found["state"] == "own":
            notes.append(f"{found['title']}: these are not the official files. They are used as "
                         "a data set of your own.")
    return [sentence(text) for text in notes]


def find_problems(report: Report) -> List[str]:
    """What stops something, each with what to do."""
    engines, gpu = report["engines"], report["gpu"]
    problems = []
    if sys.version_info >= (3, 13):
        problems.append(f"Python {report['python']['version']}: MXNet needs a NumPy below 2, which "
                        "this Python cannot have; use Python 3.8 to 3.12.")
    for name, engine in engines.items():
        if engine["problem"] and (engine["installed"] or not report["usable"]):
            problems.append(f"{TITLES[name]}: {engine['problem']}.")
    problems += gpu_problems(gpu)
    problems += gpus_that_cannot_be_used(report, but_by_another=False)
    problems += [f"{found['title']}: {found['problem']}" for found in report["data"]
                 if found["problem"]]
    problems += [f"The folder of {place['what']}: {place['problem']}"
                 for place in report["places"] if place["problem"]]
    return [sentence(text) for text in problems]


def sentence(text: str) -> str:
    """The text with a full stop at its end."""
    return f"{text.rstrip('.')}."


def gpus_that_cannot_be_used(report: Report, but_by_another: bool) -> List[str]:
    """Why an engine cannot use a GPU, of the GPUs that the other can use or of those that none can.
    """
    working = {TITLES[name]: engine["gpu_problems"] for name, engine in report["engines"].items()
               if engine["works"]}
    return [f"{title}: {problem}" for verdicts in zip(*working.values())
            if (None in verdicts) == but_by_another
            for title, problem in zip(working, verdicts) if problem is not None]


def gpu_problems(gpu: Report) -> List[str]:
    """What is wrong with the driver."""
    if gpu["problem"]:
        return [f"NVIDIA: {gpu['problem']}; load or reinstall the driver, then see whether "
                "nvidia-smi lists the GPU."]
    if gpu["nvidia_smi"] and gpu["devices"] is None:
        return ["NVIDIA: nvidia-smi lists a GPU, but libcuda.so.1 does not load; in a container, "
                "start it with --gpus all and NVIDIA_DRIVER_CAPABILITIES=compute,utility."]
    if gpu["nvidia_smi"] and not gpu["devices"]:
        return ["NVIDIA: nvidia-smi lists a GPU, but CUDA finds none; see whether "
                "CUDA_VISIBLE_DEVICES hides it."]
    if gpu["devices"] and gpu["cuda"] and float(gpu["cuda"]) < 11:
        return [f"NVIDIA: the driver runs CUDA {gpu['cuda']} at most, and MXNet's GPU build needs "
                "11; install a driver of version 450.80 or later."]
    return []


# ------------------------------------------------------------------ names


# What stands before a path in a sentence or a list, and after a name in a path.
PATH_BEGINS = r"""(?<![^\s:;,='"(])"""
NAME_ENDS = r"""(?![^/\\\s:;,'")])"""


def without_names(value: Any) -> Any:
    """The same value with ``~`` for the home folder, and no user name in any path."""
    if isinstance(value, dict):
        return {key: without_names(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_names(each) for each in value]
    if not isinstance(value, str):
        return value
    for home in homes():
        value = re.sub(PATH_BEGINS + re.escape(home) + NAME_ENDS, "~", value)
    user = user_name()
    if user:
        value = re.sub(r"(?<=[/\\])" + re.escape(user) + NAME_ENDS, "USER", value)
    # Names of files need not be text. What cannot be decoded cannot be printed either.
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def homes() -> List[str]:
    """The home folder, as it is called and as it is; the longer one first."""
    home = os.path.expanduser("~")
    known = {home.rstrip("/\\"), os.path.realpath(home).rstrip("/\\")}
    return sorted((each for each in known if len(Path(each).parts) > 1), key=len, reverse=True)


def user_name() -> str:
    """The user's name; empty if the system does not know one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""
