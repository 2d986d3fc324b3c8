"""The atlas in words and tables, and as data."""

from collections import Counter
from dataclasses import asdict
from statistics import median
from typing import Any, Dict, List, Sequence

from nin_gluon.experiments.atlas.groups import (
    CLASSES,
    OURS,
    OUTCOMES,
    Comparison,
    Group,
    Run,
    comparisons,
)
from nin_gluon.text_tables import columns, counted

__all__ = ["report", "report_data"]


def report(groups: Sequence[Group]) -> str:
    """The atlas in words and tables, for a terminal."""
    own = sum(len(group.runs) for group in groups if group.framework == OURS)
    published = sum(len(group.runs) for group in groups) - own
    parts = [f"Final test accuracy of {published} published runs and {own} of our own. Before it, "
             "how many classes\nmust be alive for it; in brackets, how many are, where counted. "
             "The book's own run: *",
             *(group_words(group) for group in groups),
             "How they ended, with 95 % confidence intervals (Wilson)\n\n" + outcome_table(groups),
             *(comparison_words(comparison) for comparison in comparisons(groups)),
             CAUTION]
    return "\n\n".join(parts)


CAUTION = """\
Read with care. These runs are no random sample, and many come from the book's own builds. An
accuracy below 1 - k/10 does not prove k dead classes, least of all after few epochs. One class more
may be dead if it is the first, which images without any score are taken for. Groups of fewer than
10 runs are not compared, and a run counts only where its accuracy after that epoch is known.
p counts below 0.05 divided by the number of comparisons."""


def group_words(group: Group) -> str:
    """The runs of a group, a line for each number of living classes."""
    kinds = Counter(run.kind for run in group.runs if run.kind)
    lines = [f"{group.title}: {counted(len(group.runs), 'run')}, median "
             f"{median(run.final for run in group.runs):.3f}"
             + (f" ({', '.join(f'{count} in {kind}' for kind, count in kinds.items())})"
                if kinds else "")]
    by_living: Dict[str, List[str]] = {}
    for run in group.runs:
        accuracy = f"{run.final:.3f}{'*' * run.book}"
        accuracy += "" if run.counted is None else f" ({run.counted})"
        by_living.setdefault(living_words(run), []).append(accuracy)
    per_line = 12 if all(run.counted is None for run in group.runs) else 7
    for living, accuracies in by_living.items():
        lines += [f"  {living if not start else '':>8}  "
                  + " ".join(accuracies[start:start + per_line])
                  for start in range(0, len(accuracies), per_line)]
    return "\n".join(lines)


def living_words(run: Run) -> str:
    """'5', or '9 or 10'."""
    return "9 or 10" if run.living >= CLASSES - 1 else str(run.living)


def outcome_table(groups: Sequence[Group]) -> str:
    rows = [["", "runs", *OUTCOMES]]
    for group in groups:
        cells = []
        for name, count in group.counts.items():
            _, low, high = group.share(name)
            cells.append(f"{count:2d} ({100 * low:.0f}-{100 * high:.0f} %)")
        rows.append([group.title, str(len(group.runs)), *cells])
    meaning = (f"{name}: {what}" for name, what in OUTCOMES.items())
    return "\n".join([*columns(rows), "", *meaning])


def comparison_words(comparison: Comparison) -> str:
    """What was compared, what came out, what would change it."""
    when = "at the end" if comparison.epoch is None else f"after epoch {comparison.epoch}"
    width = max(map(len, comparison.shares))
    shares = "\n".join(f"  {title:{width}}  {above:3d} of {runs}"
                       for title, (above, runs) in comparison.shares.items())
    verdict = ("They differ by more than chance explains" if comparison.significant else
               "Chance may explain it: no difference is shown")
    if comparison.change is None:
        change = ("No other ends of the group with the lowest share alone would bring p across "
                  f"{comparison.level:g}.")
    else:
        title, moved = comparison.change
        side = "no longer be below" if comparison.significant else "be below"
        change = (f"p would {side} it if {abs(moved)} {'more' if moved > 0 else 'fewer'} of "
                  f"{title} were above 0.8.")
    return (f"Do the frameworks differ? Published runs above 0.8 {when}:\n\n{shares}\n\n"
            f"The shares differ by up to {100 * comparison.difference:.0f} points. They differ as "
            f"much in {share_words(comparison.p)} random deals of\nthe runs to the groups "
            f"(permutation test, p = {comparison.p:.2g}).\n{verdict} (p counts below "
            f"{comparison.level:g}).\n{change}")


def share_words(p: float) -> str:
    return f"{100 * p:.0f} of 100" if p >= 0.01 else "fewer than 1 of 100"


def report_data(groups: Sequence[Group]) -> Dict[str, Any]:
    """The same as `report`, for programs: JSON values."""
    return {
        "groups": [{
            "framework": group.framework, "recipe": group.recipe, "epochs": group.epochs,
            "title": group.title,
            "outcomes": {name: dict(zip(("count", "share", "low", "high"),
                                        (count, *group.share(name))))
                         for name, count in group.counts.items()},
            "runs": [{"label": run.label, "final_test_acc": run.final, "living": run.living,
                      "counted": run.counted, "outcome": run.outcome,
                      "book": run.book, "test_acc": list(run.test_acc)} for run in group.runs],
        } for group in groups],
        "comparisons": [asdict(comparison) for comparison in comparisons(groups)],
    }


