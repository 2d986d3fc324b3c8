"""What an exercise is: variants of one recipe, trained from the same seeds on the same data."""

from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from nin_gluon.settings import Settings

__all__ = ["Changes", "Exercise", "Part", "chosen_parts"]

# Settings that differ from those of a recipe, as `Settings.but` takes them: {name: value}.
Changes = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """Variants to compare, and what they have in common.

    Attributes
    ----------
    name : str
        For --part and for files.
    title : str
        For people.
    settings : Settings
        Of every variant, sized for a CPU.
    variants : dict of str to Changes
        Label -> what this variant changes in the settings. The first is the reference, to which
        the others are compared.
    full : Settings or None
        The settings in the published sizes, for --full.
    published : dict of str to float
        Label -> published test accuracy.
    source : str
        Of the published figures, and how they were made.
    published_on : str
        The data set of the published figures, if it is another.

    Raises
    ------
    InputError, TypeError
        A variant changes a setting to an illegal value, or one that does not exist.
    """

    name: str
    title: str
    settings: Settings
    variants: Mapping[str, Changes]
    full: Optional[Settings] = None
    published: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    published_on: str = ""

    def __post_init__(self) -> None:
        for changes in self.variants.values():
            self.settings.but(**changes)
            if self.full:
                self.full.but(**changes)

    def settings_of(self, label: str, dtype: str, seed: int = 0,
                    engine: str = "gluon") -> Settings:
        """All settings of one variant's run."""
        return self.settings.but(**{"dtype": dtype, "seed": seed, "engine": engine,
                                    **self.variants[label]})

    @property
    def published_title(self) -> str:
        """What the published figures are called in tables and pictures."""
        return f"published, {self.published_on}" if self.published_on else "published"

    @property
    def judged_by(self) -> str:
        """Whose accuracy it is: "test", or "validation" where training images are held out."""
        return "validation" if self.settings.validation else "test"

    @property
    def reference(self) -> str:
        """The label of the variant to which the others are compared."""
        return next(iter(self.variants))


@dataclass(frozen=True)
class Exercise:
    """One exercise of the chapter, to be answered by running its parts."""

    name: str
    question: str  # in a line, for the list of exercises
    method: str  # how it is answered, for --help
    parts: Tuple[Part, ...]
    minutes: int  # by default, about, on two cores with AMX
    stall: bool = False  # whether the table shows the stall at ln 10 and the classes alive
    signals: Tuple[str, ...] = ()  # initializations whose untrained nets a signal goes through
    odds: bool = False  # whether classes are followed from before the first step to the end
    seeds: range = range(3)  # by default


def chosen_parts(exercise: Exercise, names: Optional[Sequence[str]] = None, full: bool = False,
                 given: Optional[Changes] = None) -> List[Part]:
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
    """
    given = given or {}
    chosen: List[Part] = []
    for part in exercise.parts:
        if names and part.name not in names:
            continue
        settings = (part.full or part.settings if full else part.settings).but(**given)
        variants: Dict[str, Changes] = {label: changes for label, changes in part.variants.items()
                                        if not changes.keys() & given.keys()}
        part = replace(part, full=None, variants=variants,
                       settings=settings.but(dataset=settings.dataset or "fashion-mnist"))
        if not any((part.settings, part.variants) == (other.settings, other.variants)
                   for other in chosen):
            chosen.append(part)
    return chosen
