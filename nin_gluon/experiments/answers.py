"""An exercise in the sizes asked for: its jobs, its file, its picture, its text."""

import itertools
import logging
import re
from pathlib import Path
from typing import List, Optional, Sequence

from nin_gluon.errors import InputError
from nin_gluon.experiments import measurements
from nin_gluon.experiments.comparisons import compare, format_comparison, format_signals
from nin_gluon.experiments.exercises.exercise import Changes, Exercise, chosen_parts
from nin_gluon.experiments.jobs import Job, Runner
from nin_gluon.experiments.odds import format_odds, known_rows
from nin_gluon.experiments.records import Record
from nin_gluon.experiments.stores import EXERCISE_SIGNATURE, ExerciseFile
from nin_gluon.runtime.engine_choice import is_installed

__all__ = ["RUNS", "Answer"]

log = logging.getLogger(__name__)

RUNS = Path("runs", "exercises")


class Answer:
    """One exercise in the sizes asked for.

    Sizes other than the exercise's own have files and run folders of their own, named after what
    differs.

    Parameters
    ----------
    exercise : Exercise
    names : list of str, optional
        Of its parts; all by default.
    full : bool
        In the published sizes.
    given : dict
        Settings for all parts.
    results : path-like
        The folder in which ``exercises/NAME.json`` is kept.
    """

    def __init__(self, exercise: Exercise, names: Optional[Sequence[str]], full: bool,
                 given: Changes, results: str) -> None:
        self.exercise = exercise
        self.parts = chosen_parts(exercise, names, full, given)
        self.all_parts = chosen_parts(exercise, None, full, given)
        usual = chosen_parts(exercise, None, full)
        words = [exercise.name, *(["full"] if full else [])]
        for name, value in given.items():
            if any(getattr(part.settings, name) != value for part in usual):
                words += [name, str(value)]
        self.name = re.sub(r"[^\w.-]", "_", "-".join(words))
        self.store = ExerciseFile(Path(results, "exercises", f"{self.name}.json"), exercise.name,
                                  exercise.question, exercise.signals)

    # -------------------------------------------------------------- runs

    def runner(self, device: str, ctx: Optional[str], data_dir: Optional[str]) -> Runner:
        """What trains the runs and takes their records in."""

        def complete(record: Record, folder: Path) -> Record:
            return measurements.measured(record, folder, data_dir, self.exercise.odds)

        return Runner(self.store, device, ctx, data_dir, complete)

    def jobs(self, seeds: Sequence[int], dtype: str, device: str, data_dir: Optional[str],
             engine: str = "gluon") -> List[Job]:
        """The runs that it takes, each once: seed by seed, so that all variants get on."""
        from nin_gluon.data.sets import own_data

        own = {part.name: own_data(part.settings.dataset or "fashion-mnist", data_dir)
               for part in self.parts}
        jobs = [Job(f"{part.name}, {label}, seed {seed}",
                    part.settings_of(label, dtype, seed, engine),
                    self.run_folder(part.name, label, dtype, device, seed, own[part.name], engine),
                    own[part.name])
                for seed in seeds for part in self.parts for label in part.variants]
        return list({job.settings: job for job in jobs}.values())

    def run_folder(self, part: str, label: str, dtype: str, device: str, seed: int,
                   own: Optional[str], engine: str) -> Path:
        data = f"-own-data-{own}" if own else ""
        torch = "-torch" if engine == "torch" else ""  # Gluon's folders are older than the choice
        name = f"{part}-{label}-{dtype}-{device}{torch}{data}-seed-{seed}"
        return RUNS / self.name / re.sub(r"[^\w.-]+", "_", name)

    def check(self, jobs: Sequence[Job], data_dir: Optional[str]) -> None:
        """Raise InputError now for what would else be said from within a run."""
        for settings in dict.fromkeys(job.settings.but(seed=0) for job in jobs):
            channels, train_images, _ = measurements.image_counts(settings, data_dir)
            if train_images < 1:
                raise InputError(f"{self.exercise.name} holds out {settings.validation} training "
                                 f"images, and {settings.dataset} has no more; choose another "
                                 "--dataset.")
            measurements.cost(settings, channels)

    def measure_signals(self, seeds: Sequence[int], data_dir: Optional[str]) -> None:
        """Measure those of the signals that are not in the file; that takes MXNet."""
        if self.exercise.signals and not is_installed("mxnet"):
            log.warning("the signal through the untrained nets is measured in MXNet, which is not "
                        "installed: left out")
            return
        from nin_gluon.analysis import signal

        settings = self.parts[0].settings_of(self.parts[0].reference, "float32")
        for init, seed in itertools.product(self.exercise.signals, seeds):
            key = init, seed, settings.resize, settings.dataset
            if all(known.key != key for known in self.store.read()[1]):
                self.store.add_signal(signal.measure(init, seed, settings, data_dir))

    # -------------------------------------------------------------- what they say

    def text(self, dtype: Optional[str] = None, device: Optional[str] = None,
             engine: Optional[str] = None) -> str:
        """What the file says, of one arithmetic, device and engine or of all there are.

        Raises
        ------
        InputError
            It holds no such runs, or is damaged.
        """
        records, signals = self.store.read()
        found = compare(self.parts, records, dtype, device, engine)
        if not found:
            raise InputError(f"{self.store.path} holds no runs of this kind yet; leave out "
                             "--report to make some.")
        texts = [format_comparison(comparison, self.exercise.stall) for comparison in found]
        if self.exercise.odds:
            texts += [format_odds(comparison) for comparison in found]
        if signals:
            measured = {signal.init for signal in signals}
            texts.append(format_signals(signals, [init for init in self.exercise.signals
                                                  if init in measured]))
        return "\n\n".join(texts)

    def draw(self) -> Path:
        """Draw the picture of all that is in the file; return its path."""
        from nin_gluon import plots
        from nin_gluon.atomic_files import write_ours

        records, signals = self.store.read()
        found = compare(self.all_parts, records)
        found = [c for c in found if len(c.rows) > 1] or found  # those with something to compare
        rows = known_rows(found) if self.exercise.odds else {}
        title = found[0].title if len(found) == 1 else found[0].part.title
        figure = (plots.draw_odds(rows, title) if rows
                  else plots.draw_comparisons(found, signals))
        path = self.store.path.with_suffix(".png")
        write_ours(path, plots.png(figure, EXERCISE_SIGNATURE), EXERCISE_SIGNATURE)
        return path
