"""Variants of an exercise, compared seed by seed; what that comes to, as tables and sentences."""

import math
from dataclasses import dataclass
from statistics import median
from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from nin_gluon.analysis.signal import Signal
from nin_gluon.experiments.exercises.exercise import Part
from nin_gluon.experiments.records import Record
from nin_gluon.experiments.statistics import sign_test_p
from nin_gluon.experiments.wording import seed_words
from nin_gluon.text_tables import columns, counted

__all__ = ["Comparison", "compare", "format_comparison", "format_signals"]

# Fewer seeds say nothing: of two, both differences have one sign every other time.
MIN_SEEDS = 3

# A sign test below this, divided by the number of variants compared, counts as a difference.
SIGNIFICANT = 0.05

# Of ten classes a net that guesses gets 0.1 right; below this it has hardly learned anything.
LEARNED = 0.2


@dataclass(frozen=True)
class Comparison:
    """The runs of one part of an exercise: of one engine, arithmetic, kind of device and set.

    Attributes
    ----------
    part : nin_gluon.experiments.exercises.exercise.Part
    dtype, device : str
    own_data : str or None
        As in `nin_gluon.experiments.records.Record`.
    engine : {"gluon", "torch"}
    rows : dict of str to dict of int to Record
        By variant and seed.
    """

    part: Part
    dtype: str
    device: str
    own_data: Optional[str]
    engine: str
    rows: Mapping[str, Mapping[int, Record]]

    @property
    def title(self) -> str:
        settings = self.part.settings_of(self.part.reference, self.dtype)
        # The set may hold fewer than --limit. (A variant may have a limit of its own.)
        known = [record.train_images for by_seed in self.rows.values()
                 for record in by_seed.values()
                 if record.train_images and record.settings.limit == settings.limit]
        images = "all" if not settings.limit else f"{min([settings.limit, *known]):,}"
        own = f" (own files, {self.own_data})" if self.own_data else ""
        return (f"{self.part.title}: {settings.dataset}{own} at {settings.resize}x"
                f"{settings.resize}, {images} images, {counted(settings.epochs, 'epoch')}, "
                f"{self.arithmetic}")

    @property
    def arithmetic(self) -> str:
        """'float32 on cpu', with the engine if it is not Gluon."""
        engine = ", PyTorch" if self.engine == "torch" else ""
        return f"{self.dtype} on {self.device}{engine}"

    # -------------------------------------------------------------- values

    def accuracies(self, label: str) -> Dict[int, float]:
        """Test accuracy after the last epoch, by seed, of the runs that did not diverge."""
        return {seed: record.test_acc for seed, record in sorted(self.rows[label].items())
                if record.test_acc is not None}

    def differences(self, label: str) -> Dict[int, float]:
        """Accuracy less that of the reference, by the seeds that both have."""
        ours = self.accuracies(label)
        theirs = self.accuracies(self.part.reference) if self.part.reference in self.rows else {}
        return {seed: ours[seed] - theirs[seed] for seed in ours if seed in theirs}

    def published_difference(self, label: str) -> Optional[float]:
        """The same of the published figures; None where there are not both."""
        published = self.part.published
        if label == self.part.reference or not {label, self.part.reference} <= set(published):
            return None
        return published[label] - published[self.part.reference]

    # -------------------------------------------------------------- in words

    def sentences(self, stall: bool = False) -> List[str]:
        """What it comes to, a sentence each; `stall`: also how long losses stalled at ln 10."""
        best = max([value for label in self.rows for value in self.accuracies(label).values()],
                   default=1)
        if best < LEARNED:
            return [f"No net has learned more than guessing (the best has {best:.4f}), so the "
                    "differences say nothing; give --epochs or --limit more."]
        lines = [line for label in self.rows for line in self.variant_sentences(label)]
        further = [self.order_sentence()]
        further += [self.stall_sentence(), self.dead_sentence()] if stall else []
        lines += [line for line in further if line]
        if self.part.reference not in self.rows:
            return [*lines, f"Nothing to compare with: {self.part.reference} has not been run."]
        lines.append(self.weight())
        if self.part.published:
            lines.append(f"Published: {self.part.source}.")
        return lines

    def weight(self) -> str:
        """How much the differences mean."""
        reference = self.rows[self.part.reference]
        seeds = min(len(self.differences(label)) for label in self.rows)
        if seeds < MIN_SEEDS:
            return (f"Fewer than {MIN_SEEDS} seeds to compare say nothing yet"
                    + (" of some." if seeds < len(reference) else "."))
        images = next(iter(reference.values())).test_images or 1
        usual = median(self.accuracies(self.part.reference).values())
        error = math.sqrt(usual * (1 - usual) / images)
        return (f"{seeds} differences of one sign come by chance 1 time in {2 ** (seeds - 1):,}; "
                f"an accuracy of {usual:.2f} on {images:,} {self.part.judged_by} images is good to "
                f"{error:.4f} (one standard error).")

    def variant_sentences(self, label: str) -> Iterator[str]:
        """What the runs of one variant say about it."""
        diverged = [record.seed for record in self.rows[label].values() if record.diverged]
        if diverged:
            yield f"{label}: seed {seed_words(diverged)} diverged."
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
            level = SIGNIFICANT / max(1, len(self.rows) - 1)
            yield f"{label}: " + mixed_words(values, self.part.reference, level)
        published = self.published_difference(label)
        if published is not None:
            same = sum(value * published > 0 for value in values)
            yield (f"{label}: the published difference is {published:+.4f}; ours has its sign at "
                   f"{same} of {len(values)} seeds.")

    def order_sentence(self) -> Optional[str]:
        """Whether the published order of three or more variants appears; None without one."""
        published = self.part.published
        order = sorted(published, key=lambda label: published[label], reverse=True)
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

    def stall_sentence(self) -> Optional[str]:
        """How long the losses stalled at ln 10: the reference's, the fewest steps, the most."""
        if self.part.reference not in self.rows:
            return None
        steps = {label: [math.inf if record.stall is None else record.stall
                         for record in by_seed.values()] for label, by_seed in self.rows.items()}
        order = sorted(steps, key=lambda label: (median(steps[label]), min(steps[label])))
        named = list(dict.fromkeys([self.part.reference, order[0], order[-1]]))
        return ("Steps in which the loss was no better than guessing, less than 1 % below ln 10: "
                + "; ".join(f"{label} {stall_words(self.rows[label].values())}" for label in named)
                + ("; the last two have the fewest and the most by the median."
                   if len(named) == 3 else "."))

    def dead_sentence(self) -> Optional[str]:
        """Which runs have lost all of their classes; None if none has."""
        dead = {label: [seed for seed, record in by_seed.items() if record.living_classes == 0]
                for label, by_seed in self.rows.items()}
        named = [f"{label} (seed {seed_words(seeds)})" for label, seeds in dead.items() if seeds]
        if not named:
            return None
        return (f"No class is alive at the end of {', '.join(named)}: the maps are zero for every "
                "image, and no gradient brings them back.")


def compare(parts: Sequence[Part], records: Sequence[Record], dtype: Optional[str] = None,
            device: Optional[str] = None, engine: Optional[str] = None) -> List[Comparison]:
    """The comparisons that the runs allow: of one arithmetic, device and engine, or of all.

    A run belongs to a variant whose settings it has, every one of them.
    """
    by_kind: Dict[Tuple[str, str, Optional[str], str], List[Record]] = {}
    for record in records:
        kind = record.settings.dtype, record.device, record.own_data, record.settings.engine
        wanted = dtype, device, None, engine
        if all(want in (found, None) for want, found in zip(wanted, kind)):
            by_kind.setdefault(kind, []).append(record)
    found = []
    for part in parts:
        for kind in sorted(by_kind, key=str):
            rows = {label: {record.seed: record for record in by_kind[kind] if
                            record.settings.but(seed=0) == part.settings_of(label, kind[0],
                                                                            engine=kind[3])}
                    for label in part.variants}
            rows = {label: by_seed for label, by_seed in rows.items() if by_seed}
            if rows:
                found.append(Comparison(part, *kind, rows))
    return found


# ------------------------------------------------------------------ text


def mixed_words(differences: Sequence[float], reference: str, level: float) -> str:
    """What differences of both signs say, in order of size; with many seeds that may be a lot.

    `level` is what p has to be below to count.
    """
    seeds, spread = len(differences), f"{differences[0]:+.4f} to {differences[-1]:+.4f}"
    above = sum(value > 0 for value in differences)
    below = sum(value < 0 for value in differences)
    p = sign_test_p(above, below)
    chance = f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
    if p >= level:
        possible = sign_test_p(seeds, 0) < level
        tested = f" (sign test, {chance}; p counts below {level:.2g})" if possible else ""
        return (f"not to be told from {reference} with {seeds} seeds{tested}: the difference goes "
                f"from {spread}.")
    return (f"{'higher' if above > below else 'lower'} than {reference} at {max(above, below)} of "
            f"{seeds} seeds (sign test, {chance}); the difference goes from {spread}.")


def format_comparison(comparison: Comparison, stall: bool = False) -> str:
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
    table += [row_of(comparison, label, in_all, stall) for label in rows]
    if len({len(by_seed) for by_seed in rows.values()}) > 1:
        runs = ["runs", "", *(str(len(by_seed)) for by_seed in rows.values())]
        table = [[row[0], count, *row[1:]] for row, count in zip(table, runs)]
    head = f"{comparison.title}; {counted(len(seeds), 'seed')}: {seed_words(seeds)}"
    return "\n".join([head, "", *columns(table), "", *comparison.sentences(stall)])


def row_of(comparison: Comparison, label: str, in_all: bool, stall: bool) -> List[str]:
    """A variant's row of the table."""
    part, by_seed = comparison.part, comparison.rows[label]
    values = sorted(comparison.accuracies(label).values())
    apart = sorted(comparison.differences(label).values())
    any_run = next(iter(by_seed.values()))
    seconds = [sum(e.seconds for e in r.history) if in_all else r.seconds or 0.0
               for r in by_seed.values() if r.history]
    cells = [label] + ([f"{v:.4f}" for v in (values[0], median(values), values[-1])]
                       if values else ["-"] * 3)
    known = apart and label != part.reference
    cells += [f"{v:+.4f}" for v in (apart[0], apart[-1])] if known else ["", ""]
    cells += [f"{median(seconds):.1f}" if seconds else "-", f"{any_run.parameters:,}",
              f"{(any_run.macs or 0) / 1e6:,.1f} M"]
    if stall:
        cells += [stall_words(by_seed.values()), alive_words(by_seed.values())]
    if part.published:
        value, change = part.published.get(label), comparison.published_difference(label)
        cells += ["" if value is None else f"{value:.4f}",
                  "" if change is None else f"{change:+.4f}"]
    return cells


def stall_words(records: Iterable[Record]) -> str:
    """How long the runs' losses stalled at ln 10: '96 to 112', 'all 314' for one to its end."""
    values = sorted(((record.steps or 0) + 1, f"all {record.steps}") if record.stall is None
                    else (record.stall, str(record.stall)) for record in records)
    (_, low), (_, high) = values[0], values[-1]
    return low if low == high else f"{low} to {high}"


def alive_words(records: Iterable[Record]) -> str:
    """How many classes are alive at the end: '0 to 7'; '-' where nobody has counted."""
    known = (record.living_classes for record in records)
    values = [living for living in known if living is not None]
    if not values:
        return "-"
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def format_signals(signals: Sequence[Signal], inits: Sequence[str]) -> str:
    """What becomes of the signal with each initialization: medians over the seeds."""
    layers, first = len(signals[0].size), signals[0]
    table = [["ReLU", *(f"{init}: size" for init in inits), *(f"{init}: spread" for init in inits)]]
    for layer in range(layers):
        table.append([str(layer + 1), *(two_digits(medians(signals, init, name)[layer])
                                        for name in ("size", "spread") for init in inits)])
    lines = [f"The signal in the untrained net, {first.dataset} at {first.resize}x{first.resize}, "
             f"float32, {counted(len({s.seed for s in signals}), 'seed')}, in units of the "
             "input's; spread: what differs from image to image", "", *columns(table), ""]
    for init in inits:
        last = medians(signals, init, "spread")[-1]
        gradients = medians(signals, init, "gradient")
        lasts = sorted(signal.spread[-1] for signal in signals if signal.init == init)
        change = (f"shrinks to 1/{1 / last:,.0f}" if 0 < last < 0.5 else f"is {two_digits(last)}")
        lines.append(f"{init}: what tells images apart {change} of the input's after {layers} "
                     f"ReLUs (by seed {two_digits(lasts[0])} to {two_digits(lasts[-1])}), a factor "
                     f"of {last ** (1 / layers):.2f} a layer; a first step with rate 0.1 changes "
                     f"the weights by {two_digits(10 * gradients[0])} % in the first layer and by "
                     f"{two_digits(10 * min(gradients))} % where least.")
    if "identity" in inits:
        lines.append("(identity starts with all classes alike, so the first step is the last "
                     "layers' alone and the gradient comes with the second.)")
    return "\n".join(lines)


def medians(signals: Sequence[Signal], init: str, name: str) -> List[float]:
    """The median over the seeds, after each ReLU."""
    return [median(values) for values in zip(*(getattr(signal, name) for signal in signals
                                               if signal.init == init))]


def two_digits(value: float) -> str:
    """Two significant digits: 0.0012, 1.3, 12."""
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"
