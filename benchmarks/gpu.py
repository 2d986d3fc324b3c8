"""``python -m benchmarks.gpu``: everything to be learnt from a GPU that is lent for minutes."""

import ctypes
import json
import multiprocessing
import os
import signal
import sys
import time
import zipfile
from pathlib import Path

from nin_gluon.atomic_files import make_folder, replacing, write_text
from nin_gluon.checked_files import (
    BadFile,
    check_number,
    check_whole,
    parse_json,
    read_text,
    reason,
    shown,
)
from nin_gluon.cli import ArgumentParser, command, number, whole_path
from nin_gluon.errors import InputError
from nin_gluon.extras import require_torch
from nin_gluon.settings import PRESETS, positive

DESCRIPTION = """\
Find out on one NVIDIA GPU, in order of worth: whether the PyTorch engine computes what Gluon's
does; how fast it trains beside the book's code and plain PyTorch; what the textbook's recipe comes
to from several seeds, then the tuned recipe, then the paper's. MXNet is not needed.

  python -m benchmarks.gpu --minutes 9 --out gpu --data data      what fits into nine minutes
  python -m benchmarks.gpu --minutes 9 --out gpu --data data      once more: goes on from there
  python -m benchmarks.gpu --minutes 1 --out dry --device cpu     a rehearsal: tiny sizes

Each result is in gpu.json as soon as it is there, so a call that is cut off loses only what was
being done. A run that has no time left is saved, and the next call goes on with it. Take all along
in a folder: nin_gluon/, benchmarks/ and the four files of Fashion-MNIST, 40 MB.
"""

EPILOG = """\
parts, for --only: correctness, throughput, textbook, tuned, paper (which needs CIFAR-10 in --data)

Leaves in --out: gpu.json, the results; records.zip, the finished runs without their checkpoints,
for: unzip records.zip, then python -m nin_gluon.reproduce --add textbook-0 ...; runs/, the whole
runs; log.txt, what the parts printed. Exit status: 0 done or out of time, 1 something failed or
computed something else than Gluon, 2 wrong request.
"""

ONLY = ("correctness", "throughput", "textbook", "tuned", "paper")

SAVING = 20.0  # seconds that a run gets to save itself, once it is told to stop
LEAVING = 10.0  # and that any part gets to end
LONGEST = 180.0  # that a part which is no run may take: one that hangs must not take all the time
NUMBERS = ("train_images_per_s", "eval_images_per_s", "memory_mb", "seconds", "test_acc")
RUN = ("of", "seconds", "test_acc", "reached")  # what the figures of a run have beside its epochs
KEPT = ("config.json", "history.jsonl", "progress.jsonl", "diverged.txt")  # of a run, in the zip

# What a part is given, by the kind of device. On a CPU everything is tiny: a rehearsal.
SIZES = {
    "cuda": {"matrix": 8192, "batch_size": 128, "resize": 224, "images": 8192, "seconds": 6.0,
             "workers": 4, "backend": None, "dataset": "fashion-mnist", "tiny_batch_size": 16},
    "cpu": {"matrix": 128, "batch_size": 4, "resize": 67, "images": 16, "seconds": 0.05,
            "workers": 0, "backend": "eager", "dataset": "sample", "tiny_batch_size": 4},
}
DRY_RUN = ["--dataset", "sample", "--limit", "8", "--epochs", "1"]


def build_parser():
    parser = ArgumentParser(prog="python -m benchmarks.gpu", description=DESCRIPTION,
                            epilog=EPILOG)
    add = parser.add_argument
    add("--minutes", type=number(float, positive), default=9.0, metavar="N",
        help="end by then (default: 9)")
    add("--out", metavar="DIR", required=True, help="new folder for the results, or that of a call "
                                                    "before, to go on")
    add("--data", metavar="DIR", type=whole_path, help="folder with Fashion-MNIST and, for the "
                                                       "paper's recipe, CIFAR-10")
    add("--device", choices=SIZES, default="cuda", help="cpu: a rehearsal (default: cuda)")
    add("--only", nargs="+", choices=ONLY, metavar="PART", help="only these of the parts below")
    return parser


@command
def main(argv=None):
    started = time.monotonic()
    args = build_parser().parse_args(argv)
    require_torch()
    check_build(args.device)
    check_data(args)
    out = Path(args.out)
    results = Results(out, args.device)
    load_once(args.device)
    for name, part, settings in plan(args, results):
        left = started + 60 * args.minutes - time.monotonic()
        if part != "train":
            left = min(left, LONGEST)
        elif args.device != "cpu":
            left -= SAVING
        if left < 1:
            print(f"out of time before: {name}; the same command goes on", file=sys.stderr)
            break
        print(f"{name} ({left:.0f} s left)", file=sys.stderr, flush=True)
        results.parts.pop(name, None)  # how it failed in an earlier call
        for found, figures in isolated(name, part, settings, left, out / "log.txt"):
            results.keep(found, figures)
            print(f"  {found}: {brief(figures)}", file=sys.stderr, flush=True)
        if "failed" in results.parts["machine"]:
            raise InputError(f"the GPU cannot be used: {results.parts['machine']['failed']}")
        if part == "train":
            keep_records(out)
    print(table(results.parts))
    failed = [name for name, figures in results.parts.items()
              if "failed" in figures or figures.get("passed") is False]
    if failed:
        print(f"failed: {', '.join(failed)}; see {out / 'gpu.json'} and {out / 'log.txt'}",
              file=sys.stderr)
    return int(bool(failed))


def check_build(device):
    """Raise `InputError` if this PyTorch is for CPUs; CUDA itself is left to the parts."""
    import torch

    if device == "cuda" and not torch.backends.cuda.is_built():
        raise InputError("this is a build of PyTorch for the CPU; install one for CUDA, or give "
                         "--device cpu for a rehearsal.")


def check_data(args):
    """Raise `InputError` unless Fashion-MNIST is there; nothing is downloaded."""
    from nin_gluon.data.sets import FASHION_MNIST

    wanted = set(args.only or ONLY) - {"correctness", "paper"}
    if args.device == "cuda" and wanted and not is_there(FASHION_MNIST, args.data):
        raise InputError(f"--data {args.data or '(not given)'}: the four files of Fashion-MNIST "
                         "are not all there, nor below it in fashion-mnist/.")


def is_there(image_set, root):
    """Whether the files of a data set are in a folder; of CIFAR-10 one batch will do."""
    from nin_gluon.data.folders import data_folders, find_file

    files = [file for split in image_set.splits.values()
             for file in (split[:1] if image_set.own else split)]
    return all(find_file(image_set, file, data_folders(image_set, root)) for file in files)


def load_once(device):
    """Import what the parts need: they are forks of this process, which must not touch CUDA."""
    import matplotlib.figure  # noqa: F401

    from benchmarks import gpu_parts  # noqa: F401
    from nin_gluon.data.sets import load_image_set

    load_image_set("sample", "train")  # drawn in a second, for all
    if device == "cpu":
        import torch._dynamo  # noqa: F401  (which three parts would import, a second each)

        load_image_set("sample", "test")


# ------------------------------------------------------------------ what is done


def plan(args, results):
    """The parts that are still missing: (name, function in `gpu_parts.PARTS`, its settings).

    A generator, for what comes later depends on what was found.
    """
    wanted = [name for name in ONLY if name in (args.only or ONLY)]
    shared = {**SIZES[args.device], "device": "cuda:0" if args.device == "cuda" else "cpu",
              "data_dir": args.data}
    if "machine" not in results.whole():
        yield "machine", "machine", shared
    for name in wanted:
        if name == "correctness":
            yield from correctness(args.device, shared, results)
        elif name == "throughput":
            yield from throughput(args.device, shared, results, later=False)
        else:
            if name == "paper" and "throughput" in wanted:
                yield from throughput(args.device, shared, results, later=True)
            yield from runs(name, args, results)
    if "paper" not in wanted and "throughput" in wanted:
        yield from throughput(args.device, shared, results, later=True)


def correctness(device, shared, results):
    """Parity, resume, DDP."""
    cases = [("textbook", "auto")] if device == "cpu" else [
        *((preset, "auto") for preset in PRESETS), ("textbook", "eager"), ("textbook", "compile")]
    missing = [case for case in cases if "parity {} {}".format(*case) not in results.whole()]
    if missing:
        yield "parity", "parity", {**shared, "cases": missing}
    for name in ("resume", "ddp"):
        if name not in results.whole():
            yield name, name, shared


def throughput(device, shared, results, later):
    """The variants; those that can wait come later, and not in a rehearsal."""
    from benchmarks.gpu_throughput import VARIANTS

    for name, variant in VARIANTS.items():
        left_out = device == "cpu" and (later or name == "ours-tf32")
        if variant.later == later and not left_out and f"throughput {name}" not in results.whole():
            yield f"throughput {name}", "throughput", {**shared, "variant": name}


def runs(preset, args, results):
    """The runs of a preset by the train command: ten seeds of the textbook's, three tuned."""
    from nin_gluon.data.sets import CIFAR10

    dry = args.device == "cpu"
    if preset == "paper" and not dry and not is_there(CIFAR10, args.data):
        print("paper: left out, because --data holds no CIFAR-10", file=sys.stderr)
        return
    dtype = "float32" if preset == "textbook" or dry else "bfloat16"
    for seed in range(1 if dry or preset == "paper" else 10 if preset == "textbook" else 3):
        name = f"{preset} {seed}"
        if results.whole().get(name, {}).get("finished"):
            continue
        where = ["--ctx", "cpu" if dry else "gpu", "--mode", best_mode(dtype, results.parts)]
        where += ["--data-dir", args.data] if args.data else []
        options = ["--engine", "torch", "--preset", preset, "--dtype", dtype, "--seed", str(seed),
                   *where]
        if dry:
            options += [*DRY_RUN, *(["--resize", "67"] if preset == "tuned" else [])]
        yield name, "train", {"name": name, "options": options, "where": where,
                              "folder": str(Path(args.out, "runs", f"{preset}-{seed}"))}


def best_mode(dtype, parts):
    """The --mode that trained fastest in this arithmetic, of those that compute what Gluon does.

    Without such a figure it is ``eager``, the one that cannot fail.
    """
    from benchmarks.gpu_throughput import VARIANTS

    checks = {mode: [figures.get("passed") for name, figures in parts.items()
                     if name.startswith("parity") and name.endswith(f" {check}")]
              for mode, check in (("graph", "auto"), ("compile", "compile"), ("eager", "eager"))}
    rates = {variant.mode: parts.get(f"throughput {name}", {}).get("train_images_per_s")
             for name, variant in VARIANTS.items() if variant.mode and variant.dtype == dtype}
    rates = {mode: rate for mode, rate in rates.items()
             if rate and checks[mode] and all(checks[mode])}
    on_gpu = parts.get("machine", {}).get("device") == "cuda"
    return max(rates, key=rates.get) if rates and on_gpu else "eager"


# ------------------------------------------------------------------ processes


def isolated(name, part, settings, seconds, log):
    """Run a part in a process of its own; yield what it finds, as it comes.

    A part that breaks, crashes or takes too long ends with figures that say so under ``failed``.
    A run of the train command that takes too long is told to save itself.
    """
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(name, part, settings, sending, str(log)))
    process.start()
    sending.close()
    deadline, out_of_time = time.monotonic() + seconds, False
    try:
        while True:
            if receiving.poll(max(0, deadline - time.monotonic())):
                try:
                    yield json.loads(receiving.recv_bytes())
                except EOFError:
                    break
            elif part == "train" and not out_of_time:
                out_of_time = True
                process.terminate()
                deadline = time.monotonic() + SAVING
            else:
                out_of_time = True
                break
        process.join(0 if out_of_time and part != "train" else LEAVING)
        if process.exitcode != 0:
            yield name, {"failed": "out of time" if out_of_time else
                         f"exit status {process.exitcode}; see {log.name}"}
    finally:
        stop(process)


def stop(process):
    """End a part's process, if it is still there, and all that it has started."""
    if process.is_alive():
        process.terminate()  # a run saves itself
        process.join(LEAVING)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
    process.join()


def child(name, part, settings, sending, log):
    """In the new process: run the part, print into the log, send what it finds."""
    from benchmarks.gpu_parts import PARTS

    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: do not outlive the command
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(opened, 1)
    os.dup2(opened, 2)
    sys.stdout = sys.stderr = os.fdopen(1, "w", 1, closefd=False)
    print(f"--- {part} {json.dumps(settings)}", flush=True)
    try:
        for found, figures in PARTS[part](settings):
            sending.send_bytes(json.dumps([found, figures]).encode())
    except InputError as error:
        sending.send_bytes(json.dumps([name, {"failed": str(error)}]).encode())
    finally:
        sys.stdout.flush()


# ------------------------------------------------------------------ results


class Results:
    """``gpu.json``: {name: figures} of all that was found, written anew with each.

    Parameters
    ----------
    folder : Path
        New, empty, or with the results of an earlier call on such a device.
    device : str
    """

    def __init__(self, folder, device):
        self.path = folder / "gpu.json"
        make_folder(folder)
        self.parts = {}
        if self.path.exists():
            self.parts = read_results(self.path)
            before = self.parts.get("machine", {}).get("device", device)
            if before != device:
                raise InputError(f"{folder} holds results of --device {before}; choose another "
                                 "--out.")
        elif any(path.name != "log.txt" for path in folder.iterdir()):
            raise InputError(f"--out {folder} holds other things; choose a new folder.")

    def whole(self):
        """What was found without failing."""
        return {name: figures for name, figures in self.parts.items() if "failed" not in figures}

    def keep(self, name, figures):
        """Take a result in."""
        self.parts[name] = figures
        write_text(self.path, json.dumps(self.parts, indent=1) + "\n")


def read_results(path):
    """The results in a ``gpu.json``; `InputError` if they are none."""
    try:
        parts = parse_json(read_text(path))
        if not isinstance(parts, dict):
            raise ValueError("it is not a JSON object")
        for name, figures in parts.items():
            if not isinstance(figures, dict):
                raise ValueError(f"{shown(name)} has no figures")
            check_figures(figures)
    except BadFile:
        raise
    except ValueError as error:
        raise InputError(f"{path} cannot be read ({reason(error)}); choose another --out."
                         ) from None
    return parts


def check_figures(figures):
    """Raise ValueError unless the figures that are used here are what they should be."""
    for name, value in figures.items():
        if name == "device" and value not in list(SIZES):
            raise ValueError(f"device is {shown(value)}, not one of {', '.join(SIZES)}")
        if name in ("passed", "finished") and not isinstance(value, bool):
            raise ValueError(f"{name} is {shown(value)}, neither true nor false")
        if name in ("epochs", "of"):
            check_whole(name, value)
        if name in ("matrix_tflops", "reached"):
            if not isinstance(value, dict):
                raise ValueError(f"{name} is {shown(value)}, not a JSON object")
            for key, each in value.items():
                if each is not None or name == "matrix_tflops":
                    check_number(shown(key), each, lowest=1e-9)
        if name in NUMBERS and not (name == "test_acc" and value is None):
            check_number(name, value)
    for needed, others in (("train_images_per_s", NUMBERS[:3]), ("epochs", RUN)):
        if needed in figures and not set(others) <= set(figures):
            raise ValueError(f"beside {needed} there is not all of {', '.join(others)}")
    if figures.get("epochs") and figures["test_acc"] is None:
        raise ValueError("test_acc is missing")


def keep_records(out):
    """Write ``records.zip``: what `nin_gluon.reproduce --add` needs of the finished runs."""
    from benchmarks.gpu_parts import run_figures

    with replacing(out / "records.zip") as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for folder in sorted((out / "runs").glob("*")):
                if run_figures(folder)["finished"]:
                    for name in KEPT:
                        if (folder / name).exists():
                            archive.write(folder / name, f"{folder.name}/{name}")


def brief(figures):
    """Figures in a line."""
    if "failed" in figures:
        return f"failed: {figures['failed']}"
    shown = {name: f"{value:.4g}" if isinstance(value, float) else value
             for name, value in figures.items() if not isinstance(value, (dict, list))}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def table(parts):
    """What was found, as Markdown."""
    from benchmarks.gpu_throughput import VARIANTS, training_flops

    machine = parts.get("machine", {})
    ceilings = machine.get("matrix_tflops", {})
    checks = {name: figures for name, figures in parts.items() if "passed" in figures}
    lines = ["A rehearsal on a CPU, in tiny sizes: the figures say nothing.", ""] if (
        machine.get("device") == "cpu") else []
    lines += [f"On {machine.get('gpu') or machine.get('cpu', '?')}, PyTorch "
             f"{machine.get('torch', '?')}; matrix products: " + ", ".join(
                 f"{dtype} {value:.3g} TFLOP/s" for dtype, value in ceilings.items()) + ".",
             f"{sum(figures['passed'] for figures in checks.values())} of {len(checks)} checks "
             "passed.", "",
             "| | arithmetic | training, images/s | evaluation, images/s | memory, MB | TFLOP/s | "
             "of the matrix rate |", "| --- | --- | --- | --- | --- | --- | --- |"]
    flops = training_flops(SIZES[machine.get("device", "cuda")]["resize"]) / 1e12
    for name, variant in VARIANTS.items():
        figures = parts.get(f"throughput {name}", {})
        if "train_images_per_s" in figures:
            reached = figures["train_images_per_s"] * flops
            share = f"{reached / ceilings[variant.dtype]:.2f}" if variant.dtype in ceilings else ""
            lines.append(f"| {variant.title} | {variant.dtype} | "
                         f"{figures['train_images_per_s']:.0f} | "
                         f"{figures['eval_images_per_s']:.0f} | {figures['memory_mb']:.0f} | "
                         f"{reached:.3g} | {share} |")
    lines += ["", "| run, seed | epochs | s | test acc | s to 0.544 | to 0.885 | to 0.93 |",
              "| --- | --- | --- | --- | --- | --- | --- |"]
    for name, figures in parts.items():
        if figures.get("epochs"):
            marks = [f"{seconds:.0f}" if seconds is not None else "-"
                     for seconds in figures["reached"].values()]
            lines.append(f"| {name} | {figures['epochs']} of {figures['of']} | "
                         f"{figures['seconds']:.0f} | {figures['test_acc']:.3f} | "
                         + " | ".join(marks) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
