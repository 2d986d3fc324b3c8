"""The runs of an exercise as they are kept, and what they come to.

``results/exercises/<name>.json`` holds one run a line: what `nin_gluon.experiments.records.Record` has, with
the net's parameters and MACs and how long the loss stalled at ln 10; and, where the exercise asks
for it, the signal through the untrained nets. Everything printed and drawn follows from it.
"""

import json
import math
from dataclasses import asdict, dataclass, fields
from statistics import median
from typing import Optional

from nin_gluon.analysis.signal import Signal
from nin_gluon.atomic_files import write_ours
from nin_gluon.errors import InputError
from nin_gluon.experiments.records import Record, seed_words, some, whole_record

__all__ = ["Comparison", "Run", "Signal", "compare", "format_comparison", "format_signal", "read",
           "stall_steps", "write"]

MARK = "Written by nin_gluon.exercises"
LN_10 = math.log(10)

# Fewer seeds say nothing: of two, both differences have one sign every other time.
MIN_SEEDS = 3

# Of ten classes a net that guesses gets 0.1 right; below this it has hardly learned anything.
LEARNED = 0.2


@dataclass(frozen=True)
class Run:
    """One finished run and what is told of it."""

    record: Record
    parameters: int
    macs: int  # of one image, forward
    test_images: int  # or held out for validation in their place
    steps: int  # of the whole run
    stall: Optional[int]  # steps in which the loss was no better than guessing; None if in all
    train_images: Optional[int] = None  # None in records made before it was kept
    # Classes with a score above zero for any image looked at, at the end; None if not looked at.
    alive: Optional[int] = None

    @property
    def test_acc(self):
        """After the last epoch; None for a run that diverged."""
        return None if self.record.diverged else self.record.history[-1].test_acc

    @property
    def key(self):
        return (*self.record.kind, self.record.seed)


def stall_steps(marks, steps):
    """In how many of a run's steps its loss was no better than guessing: less than 1 % below ln 10.

    Parameters
    ----------
    marks : list of dict
        A run's progress: ``epochs`` that were done, with a fraction, and the mean ``loss`` since
        the mark before, which is of a hundredth of an epoch or more.
    steps : int
        In an epoch.

    Returns
    -------
    int or None
        None if it was so in all of them.
    """
    before, stalled = 0, 0
    for mark in marks:
        if mark["loss"] > 0.99 * LN_10:
            stalled += mark["epochs"] - before
        before = mark["epochs"]
    return None if stalled == before else round(stalled * steps)


# ------------------------------------------------------------------ the file


def read(path, inits=None):
    """The runs and signals in an exercise's file; none if there is no file.

    Parameters
    ----------
    path : pathlib.Path
    inits : sequence of str, optional
        The initializations whose signals it may hold; any by default.

    Returns
    -------
    runs : list of Run
    signals : list of Signal

    Raises
    ------
    InputError
        The file is damaged; the message names it and what is wrong there.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        runs = [read_run(kept) for kept in content["runs"]]
        signals = [Signal(**{**kept, **{name: tuple(kept[name]) for name in
                                        ("size", "spread", "gradient")}})
                   for kept in content["signals"]]
        for signal in signals:
            check_signal(signal, len(signals[0].size), inits)
    except FileNotFoundError:
        return [], []
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({type(error).__name__}: {error}); bring back a whole "
                         "copy, or move it away: finished runs that are still in runs/exercises/ "
                         "are taken in again.") from None
    return runs, signals


def check_signal(signal, layers, inits):
    """Raise an error if this is not the signal through a net of so many layers."""
    title = f"the signal of {signal.init}, seed {signal.seed},"
    if inits is not None and signal.init not in inits:
        raise ValueError(f"{title} does not belong here")
    if not len(signal.size) == len(signal.spread) == len(signal.gradient) == layers > 0:
        raise ValueError(f"{title} is not that of every layer")
    for value in (*signal.size, *signal.spread, *signal.gradient, signal.seed):
        if not 0 <= value < math.inf:  # which nan is not, either
            raise ValueError(f"{title} has {value}")


def read_run(kept):
    """A run from its JSON fields."""
    kept = {"train_images": None, "alive": None, **kept}
    facts = {field.name: kept[field.name] for field in fields(Run) if field.name != "record"}
    for name, value in facts.items():
        if value is None and name in ("stall", "train_images", "alive"):
            continue
        if type(value) is not int or value < (0 if name in ("stall", "alive") else 1):
            raise ValueError(f"{name} is {value!r}")
    rest = {name: value for name, value in kept.items() if name not in facts}
    return Run(whole_record(rest, rest.pop("history")), **facts)


def write(path, exercise, runs, signals):
    """Write an exercise's file, the same to the byte for the same runs in any order."""

    def line(fields):
        return "  " + json.dumps(fields)

    def order(run):
        return json.dumps(run.record.kind, sort_keys=True), run.record.seed

    lines = []
    for run in sorted(runs, key=order):
        facts = {f.name: getattr(run, f.name) for f in fields(Run) if f.name != "record"}
        lines.append(line({**asdict(run.record), **facts}))
    signals = sorted(signals, key=lambda s: (s.dataset, s.resize, s.init, s.seed))
    text = ('{{\n "about": {},\n "exercise": {},\n "question": {},\n "runs": [\n{}\n ],\n'
            ' "signals": [\n{}\n ]\n}}\n')
    text = text.format(*map(json.dumps, (MARK, exercise.name, exercise.question)),
                       ",\n".join(lines), ",\n".join(line(asdict(signal)) for signal in signals))
    write_ours(path, text.encode(), MARK)


# ------------------------------------------------------------------ what they come to


class Comparison:
    """The runs of one part of an exercise, in one arithmetic, on one kind of device, on one set.

    Attributes
    ----------
    rows : dict of str to dict of int to Run
        By variant and seed.
    """

    def __init__(self, part, dtype, device, own_data, rows):
        self.part, self.dtype, self.device, self.rows = part, dtype, device, rows
        self.own_data = own_data

    @property
    def title(self):
        settings = self.part.settings_of(self.part.reference, self.dtype)
        # The set may hold fewer than --limit. (A variant may have a limit of its own.)
        known = [run.train_images for by_seed in self.rows.values() for run in by_seed.values()
                 if run.train_images and run.record.settings["limit"] == settings["limit"]]
        images = "all" if not settings["limit"] else f"{min([settings['limit'], *known]):,}"
        own = f" (own files, {self.own_data})" if self.own_data else ""
        return ("{}: {dataset}{} at {resize}x{resize}, {} images, {}, {} on {}"
                .format(self.part.title, own, images, some(settings["epochs"], "epoch"),
                        self.dtype, self.device, **settings))

    def accuracies(self, label):
        """Test accuracy after the last epoch, by seed, of the runs that did not diverge."""
        return {seed: run.test_acc for seed, run in sorted(self.rows[label].items())
                if run.test_acc is not None}

    def differences(self, label):
        """Accuracy less that of the reference, by the seeds that both have."""
        ours = self.accuracies(label)
        theirs = self.accuracies(self.part.reference) if self.part.reference in self.rows else {}
        return {seed: ours[seed] - theirs[seed] for seed in ours if seed in theirs}

    def published_difference(self, label):
        """The same of the published figures; None where there are not both."""
        published = self.part.published
        if label == self.part.reference or not {label, self.part.reference} <= set(published):
            return None
        return published[label] - published[self.part.reference]

    def sentences(self, stall=False):
        """What it comes to, a sentence each; `stall`: also how long losses stalled at ln 10."""
        best = max([value for label in self.rows for value in self.accuracies(label).values()],
                   default=1)
        if best < LEARNED:
            return [f"No net has learned more than guessing (the best has {best:.4f}), so the "
                    "differences say nothing; give --epochs or --limit more."]
        lines = [line for label in self.rows for line in self.about(label)]
        lines += [line for line in (self.about_order(), stall and self.about_stall(),
                                    stall and self.about_lost()) if line]
        if self.part.reference not in self.rows:
            return [*lines, f"Nothing to compare with: {self.part.reference} has not been run."]
        seeds = min(len(self.differences(label)) for label in self.rows)
        if seeds < MIN_SEEDS:
            lines.append(f"Fewer than {MIN_SEEDS} seeds to compare say nothing yet"
                         + (" of some." if seeds < len(self.rows[self.part.reference]) else "."))
        else:
            images = next(iter(self.rows[self.part.reference].values())).test_images
            usual = median(self.accuracies(self.part.reference).values())
            error = math.sqrt(usual * (1 - usual) / images)
            lines.append(f"{seeds} differences of one sign come by chance 1 time in "
                         f"{2 ** (seeds - 1)}; an accuracy of {usual:.2f} on {images:,} "
                         f"{self.part.judged_by} images is good to {error:.4f} (one standard "
                         "error).")
        if self.part.published:
            lines.append(f"Published: {self.part.source}.")
        return lines

    def about(self, label):
        """What the runs of one variant say about it."""
        lost = [run.record.seed for run in self.rows[label].values() if run.record.diverged]
        if lost:
            yield f"{label}: seed {seed_words(lost)} diverged."
        if label == self.part.reference or self.part.reference not in self.rows:
            return
        values = sorted(self.differences(label).values())
        against = f"than {self.part.reference}"
        if len(values) < MIN_SEEDS:
            return
        if values[0] > 0:
            yield (f"{label}: higher {against} at each of {len(values)} seeds, by {values[0]:.4f} "
                   f"to {values[-1]:.4f}.")
        elif values[-1] < 0:
            yield (f"{label}: lower {against} at each of {len(values)} seeds, by {-values[-1]:.4f} "
                   f"to {-values[0]:.4f}.")
        else:
            yield (f"{label}: not to be told from {self.part.reference} with {len(values)} seeds: "
                   f"the difference goes from {values[0]:+.4f} to {values[-1]:+.4f}.")
        published = self.published_difference(label)
        if published is not None:
            same = sum(value * published > 0 for value in values)
            yield (f"{label}: the published difference is {published:+.4f}; ours has its sign at "
                   f"{same} of {len(values)} seeds.")

    def about_order(self):
        """Whether the published order of three or more variants appears; None without one."""
        order = sorted(self.part.published, key=self.part.published.get, reverse=True)
        if len(order) < 3 or not set(order) <= set(self.rows):
            return None
        accuracies = [self.accuracies(label) for label in order]
        seeds = sorted(set.intersection(*map(set, accuracies)))
        if len(seeds) < MIN_SEEDS:
            return None
        falls = {seed: all(a[seed] > b[seed] for a, b in zip(accuracies, accuracies[1:]))
                 for seed in seeds}
        medians = [median(a[seed] for seed in seeds) for a in accuracies]
        in_medians = all(a > b for a, b in zip(medians, medians[1:]))
        verdict = ("appears" if all(falls.values()) else
                   "does not appear" if not any(falls.values()) and not in_medians else
                   "does not appear reliably")
        ours = sorted(zip(order, medians), key=lambda pair: -pair[1])
        return (f"The published order, {' before '.join(order)}, {verdict}: it holds at "
                f"{sum(falls.values())} of {len(seeds)} seeds (by chance, each 1 time in "
                f"{math.factorial(len(order))}) and {'holds' if in_medians else 'not'} in the "
                "medians, which are "
                + ", ".join(f"{label} {value:.4f}" for label, value in ours) + ".")

    def about_stall(self):
        """How long the losses stalled at ln 10: the reference's, the shortest, the longest."""
        if self.part.reference not in self.rows:
            return None
        steps = {label: [math.inf if run.stall is None else run.stall for run in by_seed.values()]
                 for label, by_seed in self.rows.items()}
        order = sorted(steps, key=lambda label: (median(steps[label]), min(steps[label])))
        told = list(dict.fromkeys([self.part.reference, order[0], order[-1]]))
        return ("Steps in which the loss was no better than guessing, less than 1 % below ln 10: "
                + "; ".join(f"{label} {stall_words(self.rows[label].values())}" for label in told)
                + (", the shortest and the longest last." if len(told) == 3 else "."))

    def about_lost(self):
        """Which runs have lost all of their classes; None if none has."""
        lost = {label: [seed for seed, run in by_seed.items() if run.alive == 0]
                for label, by_seed in self.rows.items()}
        lost = [f"{label} (seed {seed_words(seeds)})" for label, seeds in lost.items() if seeds]
        if not lost:
            return None
        return (f"No class is alive at the end of {', '.join(lost)}: the maps are zero for every "
                "image, and no gradient brings them back.")


def compare(parts, runs, dtype=None, device=None):
    """The comparisons that the runs allow, of one arithmetic and device or of all there are.

    A run belongs to a variant whose settings it has, every one of them.

    Returns
    -------
    list of Comparison
    """
    kinds = {(run.record.settings["dtype"], run.record.device, run.record.own_data)
             for run in runs}
    found = []
    for part in parts:
        for kind in sorted(kinds, key=str):
            if not (dtype in (kind[0], None) and device in (kind[1], None)):
                continue
            rows = {label: {run.record.seed: run for run in runs if run.record.kind ==
                            (part.settings_of(label, kind[0]), *kind[1:])}
                    for label in part.variants}
            if any(rows.values()):
                found.append(Comparison(part, *kind, {label: by_seed for label, by_seed in
                                                      rows.items() if by_seed}))
    return found


# ------------------------------------------------------------------ text


def format_comparison(comparison, stall=False):
    """The table of a comparison, a variant a row, and below it what it comes to."""
    part, rows = comparison.part, comparison.rows
    seeds = sorted({seed for by_seed in rows.values() for seed in by_seed})
    # Seconds an epoch, unless these are of different lengths in images or number.
    in_all = any({"epochs", "limit"} & changes.keys() for changes in part.variants.values())
    table = [["", f"{part.judged_by} acc", "", "", "difference", "",
              "s in all" if in_all else "s/epoch", "parameters", "MACs"],
             ["", "min", "median", "max", "min", "max", "median", "", ""]]
    if stall:
        table[0] += ["steps at ln 10", "classes alive"]
        table[1] += ["min to max", "min to max"]
    if part.published:
        table[0] += [part.published_title, ""]
        table[1] += ["test acc", "difference"]
    for label, by_seed in rows.items():
        values = sorted(comparison.accuracies(label).values())
        apart = sorted(comparison.differences(label).values())
        run = next(iter(by_seed.values()))
        seconds = [sum(e.seconds for e in r.record.history) if in_all else r.record.seconds
                   for r in by_seed.values() if r.record.history]
        cells = [label] + ([f"{v:.4f}" for v in (values[0], median(values), values[-1])]
                           if values else ["-"] * 3)
        known = apart and label != part.reference
        cells += [f"{v:+.4f}" for v in (apart[0], apart[-1])] if known else ["", ""]
        cells += [f"{median(seconds):.1f}" if seconds else "-", f"{run.parameters:,}",
                  f"{run.macs / 1e6:,.1f} M"]
        if stall:
            cells += [stall_words(by_seed.values()), alive_words(by_seed.values())]
        if part.published:
            value, change = part.published.get(label), comparison.published_difference(label)
            cells += ["" if value is None else f"{value:.4f}",
                      "" if change is None else f"{change:+.4f}"]
        table.append(cells)
    head = f"{comparison.title}; {some(len(seeds), 'seed')}: {seed_words(seeds)}"
    return "\n".join([head, "", *aligned(table), "", *comparison.sentences(stall)])


def stall_words(runs):
    """How long the runs' losses stalled at ln 10: '96 to 112', 'all 314' for one to its end."""
    values = sorted((run.steps + 1, f"all {run.steps}") if run.stall is None
                    else (run.stall, str(run.stall)) for run in runs)
    (_, low), (_, high) = values[0], values[-1]
    return low if low == high else f"{low} to {high}"


def alive_words(runs):
    """How many classes are alive at the end: '0 to 7'; '-' where nobody has looked."""
    values = [run.alive for run in runs if run.alive is not None]
    if not values:
        return "-"
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def format_signal(signals, inits):
    """What becomes of the signal with each initialization: medians over the seeds."""
    layers = len(signals[0].size)
    first = signals[0]
    table = [["ReLU", *(f"{init}: size" for init in inits), *(f"{init}: spread" for init in inits)]]
    for layer in range(layers):
        table.append([str(layer + 1), *(number(middle(signals, init, "size")[layer])
                                        for init in inits),
                      *(number(middle(signals, init, "spread")[layer]) for init in inits)])
    lines = [f"The signal in the untrained net, {first.dataset} at {first.resize}x{first.resize}, "
             f"float32, {some(len({s.seed for s in signals}), 'seed')}, in units of the input's; "
             "spread: what differs from image to image", "",
             *aligned(table), ""]
    for init in inits:
        last = middle(signals, init, "spread")[-1]
        gradients = middle(signals, init, "gradient")
        lasts = sorted(signal.spread[-1] for signal in signals if signal.init == init)
        change = f"shrinks to 1/{1 / last:,.0f}" if 0 < last < 0.5 else f"is {number(last)}"
        lines.append(f"{init}: what tells images apart {change} of the input's after {layers} "
                     f"ReLUs (by seed {number(lasts[0])} to {number(lasts[-1])}), a factor of "
                     f"{last ** (1 / layers):.2f} a layer; a first step with "
                     f"rate 0.1 changes the weights by {number(10 * gradients[0])} % in the first "
                     f"layer and by {number(10 * min(gradients))} % where least.")
    if "identity" in inits:
        lines.append("(identity starts with all classes alike, so the first step is the last "
                     "layers' alone and the gradient comes with the second.)")
    return "\n".join(lines)


def middle(signals, init, name):
    """The median over the seeds, after each ReLU."""
    return [median(values) for values in zip(*(getattr(signal, name) for signal in signals
                                               if signal.init == init))]


def number(value):
    """Two significant digits: 0.0012, 1.3, 12."""
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def aligned(table):
    """Rows of cells as lines: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return ["  ".join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in
                                                   zip(row[1:], widths[1:])]).rstrip()
            for row in table]
