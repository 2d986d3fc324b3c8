"""Damage every file that the package reads, 20,000 times, and see what its readers do.

  python -m tests.fuzz                                          all readers; ``make fuzz``
  python -m tests.fuzz --reader config.json --cases 1000        some of it (see --list)
  python -m tests.fuzz --reader config.json --seed 17           one case once more

Each reader runs in a process of its own, which may take little memory and 30 seconds a case. Prints
a Markdown table. Exits with 1 if anything but success or a refusal in one line came out: an
exception, a crash, too much memory or time. Each such case is printed with its seed.
"""

import argparse
import importlib
import json
import logging
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.cases import MEGABYTE, run_case

CASES = 20_000
SECONDS = 30  # that a case may take
SPARE = 512 * MEGABYTE  # of address space, beside what a reader may take

# What a child keeps in a file, so that its parent knows it after a crash: the seed of the case
# under way, how many were refused and accepted, bytes, seconds, and the slowest case's seed.
NOTES = struct.Struct("<qqqqdq")

HEAD = ["reader", "cases", "refused", "accepted", "escapes", "largest memory", "slowest case"]


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--reader", action="append", metavar="NAME", help="only this one; may be given repeatedly")
    add("--cases", type=int, default=CASES, metavar="N",
        help="of each reader (default: %(default)s)")
    add("--first", type=int, default=0, metavar="SEED", help="the first seed (default: 0)")
    add("--seed", type=int, metavar="N", help="this case only, in this process")
    add("--jobs", type=int, default=os.cpu_count(), metavar="N",
        help="processes at a time (default: %(default)s)")
    add("--seconds", type=int, default=SECONDS, metavar="N",
        help="that a case may take (default: %(default)s)")
    add("--list", action="store_true", help="print the readers' names")
    add("--table", default="tests.fuzz.readers", help=argparse.SUPPRESS)  # the module of READERS
    add("--notes", help=argparse.SUPPRESS)  # given to a child
    args = parser.parse_args(argv)
    readers = importlib.import_module(args.table).READERS
    chosen = args.reader or list(readers)
    unknown = [name for name in chosen if name not in readers]
    if unknown:
        parser.error(f"{unknown[0]!r} is not a reader; see --list")
    if args.list:
        print("\n".join(readers))
        return 0
    logging.disable()
    try:
        if args.seed is not None:
            return repeat(readers, chosen, args.seed)
        if args.notes:
            return run_cases(readers[chosen[0]], args)
        return run_readers(chosen, args)
    finally:
        logging.disable(logging.NOTSET)


# ------------------------------------------------------------------ in a child


def run_cases(make, args):
    """Run the cases of one reader; print each escape as a line of JSON."""
    first, last = args.first, args.first + args.cases
    with tempfile.TemporaryDirectory() as folder:
        sample = make(Path(folder))
        sample.file.write_bytes(sample.contents[0])
        sample.read()
        limit_memory(sample)
        kinds = {"refused": 0, "accepted": 0, "escape": 0}
        memory, slowest, slowest_seed = 0, 0.0, first
        with open(args.notes, "wb", buffering=0) as file:
            for seed in range(first, last):
                os.pwrite(file.fileno(), NOTES.pack(seed, kinds["refused"], kinds["accepted"],
                                                    memory, slowest, slowest_seed), 0)
                signal.alarm(args.seconds)  # ends the process, wherever it hangs
                outcome = run_case(sample, seed)
                signal.alarm(0)
                kinds[outcome.kind] += 1
                memory = max(memory, outcome.memory)
                if outcome.seconds > slowest:
                    slowest, slowest_seed = outcome.seconds, seed
                if outcome.kind == "escape":
                    print(json.dumps({"seed": seed, "words": outcome.words}), flush=True)
            os.pwrite(file.fileno(), NOTES.pack(last, kinds["refused"], kinds["accepted"], memory,
                                                slowest, slowest_seed), 0)
    return 0


def limit_memory(sample):
    """Let the system refuse memory beyond what the reader may take."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = used + sample.most_memory + SPARE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


# ------------------------------------------------------------------ in the parent


def run_readers(names, args):
    """Run the readers, some at a time; print the table, row by row; return the exit status."""
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}", flush=True)
    began, escapes, total = time.time(), [], 0
    with ThreadPoolExecutor(args.jobs) as pool:
        running = [(name, pool.submit(run_reader, name, args)) for name in names]
        for name, found in running:
            row, escaped = found.result()
            print(f"| {' | '.join([name, *row])} |", flush=True)
            escapes += [f"--reader {name!r} --seed {seed}: {words[:300]}"
                        for seed, words in escaped]
            total += args.cases
    print(f"\n{total:,} cases, {len(escapes)} escapes, in {(time.time() - began) / 60:.0f} minutes")
    print("\n".join(escapes), end="\n" if escapes else "")
    return 1 if escapes else 0


def run_reader(name, args):
    """All cases of one reader, in a new process after each crash: (row of the table, escapes)."""
    first, last = args.first, args.first + args.cases
    refused = accepted = memory = 0
    slowest, escapes = (0.0, first), []
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder, "notes")
        while first < last:
            notes.write_bytes(b"")
            child = subprocess.run(
                [sys.executable, "-m", "tests.fuzz", "--table", args.table, "--reader", name,
                 "--first", str(first), "--cases", str(last - first),
                 "--seconds", str(args.seconds), "--notes", str(notes)],
                capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
            escapes += [(found["seed"], found["words"])
                        for found in map(json.loads, child.stdout.splitlines())]
            if not notes.stat().st_size:
                raise SystemExit(f"{name}: no case could be run\n{child.stderr}")
            first, *counts, seconds, seed = NOTES.unpack(notes.read_bytes())
            refused, accepted = refused + counts[0], accepted + counts[1]
            memory, slowest = max(memory, counts[2]), max(slowest, (seconds, seed))
            if first < last:  # the process has ended in the case of this seed
                escapes.append((first, ending(child, args.seconds)))
                first += 1
    return [f"{args.cases:,}", f"{refused:,}", f"{accepted:,}", f"{len(escapes):,}",
            f"{memory / 1e6:.2f} MB", f"{slowest[0]:.2f} s (seed {slowest[1]})"], escapes


def ending(child, seconds):
    """How a child that should not have ended did end."""
    if child.returncode == -signal.SIGALRM:
        return f"took more than {seconds} seconds"
    words = child.stderr.strip().splitlines()[-1:] or ["without a word"]
    return f"ended the process (status {child.returncode}): {words[0]}"


def repeat(readers, names, seed):
    """Run one case of some readers in this process, and say how it ended."""
    status = 0
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            outcome = run_case(readers[name](Path(folder)), seed)
            print(f"{name}: {outcome.kind}, {outcome.memory:,} bytes, {outcome.seconds:.3f} s: "
                  f"{outcome.words or 'nothing to say'}")
            status = max(status, outcome.kind == "escape")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
