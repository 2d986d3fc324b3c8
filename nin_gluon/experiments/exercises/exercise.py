"""What an exercise is: variants of one recipe, trained from the same seeds on the same data."""

from dataclasses import dataclass, field, replace
from typing import Dict, Optional, Tuple

from nin_gluon.experiments.records import settings_of

__all__ = ["Exercise", "Part", "chosen_parts"]


@dataclass(frozen=True)
class Part:
    """Variants to be held against one another, and what they have in common.

    Settings are those of the train command, as `nin_gluon.settings` has them.
    """

    name: str  # for --part and for files
    title: str  # for people
    settings: dict  # that every variant has, sized for a CPU
    # Label -> the settings that this variant changes. The first is what the others are compared to.
    variants: Dict[str, dict]
    full: dict = field(default_factory=dict)  # what --full changes in the settings
    published: Dict[str, float] = field(default_factory=dict)  # label -> test accuracy
    source: str = ""  # of the published figures, and how they were made
    published_on: str = ""  # the data set of the published figures, if it is another

    def settings_of(self, label, dtype):
        """All settings of one variant's runs."""
        return settings_of({**self.settings, "dtype": dtype, **self.variants[label]})

    @property
    def published_title(self):
        """What the published figures are called in tables and pictures."""
        return f"published, {self.published_on}" if self.published_on else "published"

    @property
    def judged_by(self):
        """Whose accuracy it is: "test", or "validation" where training images are held out."""
        return "validation" if self.settings.get("validation") else "test"

    @property
    def reference(self):
        """The label of what the others are compared to."""
        return next(iter(self.variants))


@dataclass(frozen=True)
class Exercise:
    """One exercise of the chapter, to be answered by running its parts."""

    name: str
    question: str  # in a line, for the list of exercises
    method: str  # how it is answered, for --help
    parts: Tuple[Part, ...]
    minutes: int  # by default, about, on two cores with AMX
    stall: bool = False  # whether the table tells of the stall at ln 10 and the classes alive
    signal: Optional[Tuple[str, ...]] = None  # initializations to send a signal through


def chosen_parts(exercise, names=None, full=False, given=None):
    """The parts that are asked for, with the settings they are asked to have.

    Parameters
    ----------
    exercise : Exercise
    names : list of str, optional
        Of the parts; all by default.
    full : bool
        In the published sizes instead of those for a CPU.
    given : dict, optional
        Settings for all parts. Variants that would change them are left out, and parts that
        thereby become equal are given once.

    Returns
    -------
    list of Part
    """
    chosen = []
    for part in exercise.parts:
        if names and part.name not in names:
            continue
        changed = {**part.settings, **(part.full if full else {}), **(given or {})}
        changed["dataset"] = changed["dataset"] or "fashion-mnist"
        variants = {label: changes for label, changes in part.variants.items()
                    if not changes.keys() & (given or {}).keys()}
        part = replace(part, settings=changed, variants=variants)
        if not any((part.settings, part.variants) == (other.settings, other.variants)
                   for other in chosen):
            chosen.append(part)
    return chosen
