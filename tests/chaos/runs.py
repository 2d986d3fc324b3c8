"""Kill a short run at random moments and see that nothing is lost.

  python -m tests.chaos.runs --times 100 --seed 0

Each run gets a SIGKILL at a moment drawn from the time that it takes: while it prepares, in a step,
while it saves, evaluates or draws. Preparing takes half of the time of so short a run, so three of
four moments are drawn from the time after the first checkpoint. The run is then resumed, and killed
again half of the time, until it ends. Its log and parameters must be those of a run that was never
killed, bit for bit. A run that was killed before it began has nothing to resume: the same command
starts it again.

Prints a Markdown table, and exits with 1 if anything was lost.
"""

import argparse
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from nin_gluon import train
from nin_gluon.training.history import EpochRecord, read_history
from tests import slim_nin

OPTIONS = ["--dataset", "sample", "--resize", "67", "--batch-size", "8", "--limit", "96",
           "--epochs", "2", "--init", "he", "--lr", "0.01", "--momentum", "0.9",
           "--checkpoint-every", "2", "--no-progress", "--ctx", "cpu"]


def start(options, log):
    """Run the train command in a child of this process; return its process id.

    MXNet is imported but not used here, so a child starts at once and with a clean slate.
    """
    child = os.fork()
    if child:
        return child
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    os.dup2(1, 2)
    os._exit(train.main(options))


def wait(child):
    """The child's exit status; 128 + n if signal n ended it."""
    return exit_status(os.waitpid(child, 0)[1])


def exit_status(status):
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def kill_after(child, seconds, saved=None):
    """Kill the child after so many seconds; return its exit status, 137 if the kill was in time.

    The seconds count from the first checkpoint in the run folder `saved`, if one is given.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or (saved and not has_checkpoint(saved)):
        if saved and not has_checkpoint(saved):
            deadline = time.monotonic() + seconds
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return exit_status(status)
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    return wait(child)


def has_checkpoint(folder):
    return any(folder.glob("checkpoint/epoch-*"))


def outcome(folder):
    """What must not depend on kills: the log without its times, and the parameters."""
    log = [(r.epoch, r.loss, r.train_acc, r.test_acc)
           for r in read_history(folder / "history.jsonl")]
    return log, hashlib.sha256((folder / "model-0002.params").read_bytes()).hexdigest()


def state_of(folder):
    """Where the kill found the run."""
    if not (folder / "config.json").exists():
        return "preparing"
    saved = sorted(path.name for path in folder.glob("checkpoint/epoch-*-step-*"))
    if not saved:
        return "before the first checkpoint"
    leftovers = [path.name for path in folder.rglob(".*-*") if path.is_dir()]
    return f"after {saved[-1]}" + (", while writing" if leftovers else "")


def one(folder, whole, longest, training, draw):
    """Kill and resume one run until it ends; return a row of the table."""
    log, saved = folder.with_suffix(".log"), draw.random() < 0.75
    moment = draw.uniform(0, training if saved else longest)
    status = kill_after(start([*OPTIONS, "--out", str(folder)], log), moment,
                        folder if saved else None)
    state, kills = state_of(folder), int(status == 137)
    while status:
        begun = (folder / "config.json").exists()
        child = start(["--resume", str(folder)] if begun else [*OPTIONS, "--out", str(folder)], log)
        again = kills < 4 and draw.random() < 0.5
        status = kill_after(child, draw.uniform(0, longest)) if again else wait(child)
        kills += status == 137
        if status not in (0, 137):
            return moment, state, kills, f"lost: status {status}"
    return moment, state, kills, "the same" if outcome(folder) == whole else "lost: another result"


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.runs", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=100, help="runs to kill (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    args = parser.parse_args(argv)

    slim_nin.slim("mxnet")
    slim_nin.small_sample(96, 96)
    # What a child would import or prepare first, so that it trains at once.
    import mxnet  # noqa: F401

    from nin_gluon import plots
    from nin_gluon.training import gluon_run, run  # noqa: F401

    plots.png(plots.draw_curves([EpochRecord(1, 2.0, 0.5, 0.5, 1.0)]), "")  # finds the fonts
    draw, rows = random.Random(args.seed), []
    with tempfile.TemporaryDirectory() as place:
        started = time.monotonic()
        child, folder = start([*OPTIONS, "--out", f"{place}/whole"],
                              f"{place}/whole.log"), Path(place, "whole")
        while not has_checkpoint(folder) and time.monotonic() < started + 60:
            time.sleep(0.001)
        saved = time.monotonic()
        if wait(child):
            sys.exit(Path(place, "whole.log").read_text("utf-8"))
        ended, whole = time.monotonic(), outcome(folder)
        print("| run | killed after, s | it was | kills | resumed |\n"
              "| ---: | ---: | --- | ---: | --- |", flush=True)
        for number in range(1, args.times + 1):
            rows.append(one(Path(place, f"run-{number}"), whole, ended - started,
                            ended - saved, draw))
            print("| {} | {:.2f} | {} | {} | {} |".format(number, *rows[-1]), flush=True)
    lost = sum(row[-1] != "the same" for row in rows)
    print(f"\n{len(rows)} runs, {sum(row[2] for row in rows)} kills, {lost} lost; seed "
          f"{args.seed}.")
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
