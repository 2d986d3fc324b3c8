"""``python -m nin_gluon.doctor``: what this machine has for the chapter, and what is in the way."""

import json
import sys
from typing import Any, Dict, List, Optional, Tuple

from nin_gluon.cli import ArgumentParser, command
from nin_gluon.text_tables import columns

__all__ = ["format_report", "main"]

DESCRIPTION = """\
Say whether the chapter runs on this machine, with what, and what stands in the way. Add the report
to a question or a bug report. Nothing is changed, written or downloaded; neither your name nor
the path of your home folder is in it.

  python -m nin_gluon.doctor           for people
  python -m nin_gluon.doctor --json    for programs

The exit status is 0 if the report could be made, whatever it says. The JSON's "usable" says
whether the chapter runs here.
"""

Report = Dict[str, Any]
Rows = List[Tuple[str, str]]

STATES = {
    "official": "complete, checksums right",
    "archive": "complete, to be unpacked when it is first used",
    "own": "files of your own",
    "damaged": "damaged or foreign",
    "incomplete": "incomplete",
    "missing": "not found",
    "unreadable": "cannot be looked for",
}


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m nin_gluon.doctor", description=DESCRIPTION)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


@command
def main(argv: Optional[List[str]] = None) -> int:
    args = build_parser().parse_args(argv)

    from nin_gluon.diagnosis import environment_report

    report = environment_report()
    print(json.dumps(report, indent=1) if args.json else format_report(report))
    return 0


# ------------------------------------------------------------------ wording


def format_report(report: Report) -> str:
    """The report as text, in sections."""
    sections = [("Software", software(report)), ("Machine", machine(report["processor"])),
                ("GPU", gpus(report)), ("Data", data(report)),
                ("Extras, all optional", extras(report["extras"]))]
    lines = [report["summary"]]
    for title, rows in sections:
        lines += ["", title, *(f"  {line}" for line in columns(rows, left=2))]
    for title in ("notes", "problems"):
        if report[title]:
            lines += ["", title.capitalize()]
            lines += [f"  {i}. {text}" for i, text in enumerate(report[title], 1)]
    if not report["problems"]:
        lines += ["", "No problems found."]
    return "\n".join(lines)


def software(report: Report) -> Rows:
    """Versions, and whether the engines work."""
    ours, python, packages = report["nin_gluon"], report["python"], report["packages"]
    rows = [("nin_gluon", f"{ours['version']}, {ours['path']}"),
            ("Python", f"{python['version']}, {python['path']}"),
            ("platform", report["platform"])]
    rows += [(title, packages[title.lower()] or "not installed")
             for title in ("NumPy", "matplotlib")]
    for title, engine in zip(("MXNet", "PyTorch"), report["engines"].values()):
        rows.append((title, engine_line(engine)))
    return rows + list(report["variables"].items())


def engine_line(engine: Report) -> str:
    """Version, build, verdict and features of an engine."""
    if not engine["installed"]:
        return "not installed"
    build = f" ({engine['build']} build)" if engine["build"] else ""
    verdict = "works" if engine["works"] else "does not load, see the problems"
    features = " ".join(engine.get("features", ()))
    return f"{engine['version']}{build}: {verdict}" + (f"; {features}" if features else "")


def machine(processor: Report) -> Rows:
    """Processor, arithmetic and memory."""
    arithmetic, memory = processor["arithmetic"], processor["memory_bytes"]
    given = processor["threads_given"]
    return [
        ("processor", processor["name"]),
        ("processors", f"{processor['usable']} of {processor['cpus']} usable, "
                       + (f"OMP_NUM_THREADS={given}" if given else "OMP_NUM_THREADS not set")),
        ("features", " ".join(processor["features"]) or "none known"),
        ("arithmetic", f"fastest here: {arithmetic['fastest']} ({arithmetic['why']})"),
        ("memory", f"{memory / 2**30:.1f} GiB" if memory else "unknown"),
    ]


def gpus(report: Report) -> Rows:
    """The driver, and for each GPU what can use it."""
    gpu, engines = report["gpu"], report["engines"]
    rows = [("driver", f"{gpu['driver'] or 'version unknown'}, CUDA {gpu['cuda']} at most")
            if gpu["cuda"] else ("driver", "no NVIDIA driver (libcuda.so.1 does not load)")]
    rows += [("nvidia-smi", line) for line in gpu["nvidia_smi"] or ()]
    for i, device in enumerate(gpu["devices"] or ()):
        rows.append((f"gpu({i})", f"{device['name']}, compute capability {device['capability']}"))
        for title, engine in zip(("MXNet", "PyTorch"), engines.values()):
            rows.append(("", f"{title}: {gpu_verdict(engine, i)}"))
    if gpu["devices"] == []:
        rows.append(("GPUs", "CUDA finds none"))
    return rows


def gpu_verdict(engine: Report, device: int) -> str:
    """Whether an engine can use a GPU. Why it cannot is among the notes or the problems."""
    if not engine["works"]:
        return "is not installed" if not engine["installed"] else "does not load"
    problems = engine["gpu_problems"]
    if device >= len(problems):  # each asks the driver for itself, and a driver may change its mind
        return "unknown"
    return "can use it" if problems[device] is None else "cannot use it, see below"


def data(report: Report) -> Rows:
    """The data sets, and the folders that are written to."""
    rows = []
    for found in report["data"]:
        where = f": {', '.join(found['folders'])}" if found["folders"] else ""
        rows.append((found["title"], STATES[found["state"]] + where))
    for place in report["places"]:
        state = "writable" if place["writable"] else "not writable"
        free = place["free_bytes"]
        room = f", {free / 2**30:.1f} GiB free" if free is not None else ""
        rows.append((place["what"], f"{place['path'] or 'unknown'}: {state}{room}"))
    return rows


def extras(found: Report) -> Rows:
    """The packages of each extra."""
    rows = []
    for extra, packages in found.items():
        text = ", ".join(f"{name} {version or 'missing'}" for name, version in packages.items())
        if None in packages.values():
            text += f" (in a checkout: pip install -e '.[{extra}]')"
        rows.append((extra, text))
    return rows


if __name__ == "__main__":
    sys.exit(main())
