"""A published edition beside runs of its recipe: their jobs, their records, their pages."""

import logging
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

from tqdm import tqdm

from nin_gluon.analysis.initial_state import InitialState, measure_start
from nin_gluon.atomic_files import read_ours
from nin_gluon.errors import InputError
from nin_gluon.experiments.jobs import Job, Runner
from nin_gluon.experiments.pages import SIGNATURE, chinese_page, write_pages
from nin_gluon.experiments.published import Edition
from nin_gluon.experiments.records import Record, differences_from, slug
from nin_gluon.experiments.run_records import record_of_run
from nin_gluon.experiments.seed_groups import Group
from nin_gluon.experiments.stores import RecordFolder, write_record
from nin_gluon.experiments.verdict import verdict_of
from nin_gluon.settings import Settings
from nin_gluon.text_tables import counted

__all__ = ["CHANGEABLE", "RUNS", "Reproduction", "finished_record"]

log = logging.getLogger(__name__)

RUNS = Path("runs", "reproduce")

# The settings that runs of a recipe may change; with other data they are kept apart.
CHANGEABLE = ("dtype", "epochs", "limit", "dataset", "engine", "interpolation")


class Reproduction:
    """An edition and the runs of its recipe with certain settings.

    Runs on other data than the recipe's (``--dataset``, ``--limit``) have a folder of their own,
    so that a quick look does not end up among the results.

    Parameters
    ----------
    edition : Edition
    settings : Settings
        The recipe with what is changed in it.
    results : str
        The folder of the editions' folders.
    markdown : str, optional
        The page as Markdown; by default REPRODUCTION.md, here or in the records' folder.

    Raises
    ------
    InputError
        Something that is not ours is where the page belongs.
    """

    def __init__(self, edition: Edition, settings: Settings, results: str,
                 markdown: Optional[str] = None) -> None:
        self.edition, self.settings = edition, settings
        other = [(name, str(value)) for name, value in
                 differences_from(edition.recipe, settings).items()
                 if name not in ("dtype", "epochs", "engine", "interpolation")]
        name = "-".join([edition.folder, *("-".join(pair) for pair in other)])
        self.folder = Path(results, re.sub(r"[^\w.-]", "_", name))
        self.store = RecordFolder(self.folder, edition.recipe)
        usual = self.folder == Path("results", "textbook")
        self.markdown = Path(markdown or (Path() if usual else self.folder) / "REPRODUCTION.md")
        # What is in the pages' way should not be met after hours.
        read_ours(self.markdown, SIGNATURE)
        for other_page in (chinese_page(self.markdown), self.folder / "report.html"):
            read_ours(other_page, SIGNATURE)
        options = [] if edition.name == "d2l-mxnet" else ["--edition", edition.name]
        for name, value in other:
            options += [f"--{name}", value]
        if Path(results) != Path("results"):
            options += ["--results", str(results)]
        if markdown:
            options += ["--markdown", markdown]
        self.options = [shlex.quote(option) for option in options]
        self.command = " ".join(["python -m nin_gluon.reproduce --report", *self.options])

    def jobs(self, seeds: Sequence[int], device: str, data_dir: Optional[str]) -> List[Job]:
        """A run for each seed."""
        from nin_gluon.data.sets import own_data

        own = own_data(self.settings.dataset or "fashion-mnist", data_dir)
        name = slug(self.edition.recipe, self.settings, device, own)
        return [Job(f"seed {seed}", self.settings.but(seed=seed),
                    RUNS / self.folder.name / f"{name}-seed-{seed}", own) for seed in seeds]

    def runner(self, device: str, ctx: Optional[str], data_dir: Optional[str]) -> Runner:
        """What trains the seeds, takes their records in and brings the pages up to date."""
        def with_start(record: Record, folder: Path) -> Record:
            log.warning("measuring the net that seed %d started from; Ctrl-C waits for it",
                        record.seed)
            return replace(record, start=self.start_of(record, data_dir))

        return Runner(self.store, device, ctx, data_dir, with_start, self.write_pages)

    def measure_starts(self, data_dir: Optional[str]) -> None:
        """Measure the nets that the seeds start from, where a record does not have it yet.

        It takes minutes a seed at full size, so each is kept at once. Runs on other files than
        those in `data_dir` are left out.
        """
        from nin_gluon.data.sets import own_data

        missing = [path for path, record in self.store.read().items()
                   if record.start is None and record.own_data == own_data(
                       record.settings.dataset or "fashion-mnist", data_dir)]
        for path in tqdm(missing, unit=" records", leave=False, disable=None):
            record = self.store.read()[path]
            write_record(path, replace(record, start=self.start_of(record, data_dir)))

    def start_of(self, record: Record, data_dir: Optional[str]) -> InitialState:
        """The net that a seed starts from; measured unless another record of the seed has it."""
        def key(each: Record) -> Tuple[Settings, Optional[str]]:
            return each.settings.but(dtype="float32", epochs=1), each.own_data  # whatever these are

        for other in self.store.read().values():
            if other.start and key(other) == key(record):
                return other.start
        return measure_start(key(record)[0], data_dir)

    def write_pages(self) -> List[Group]:
        """Write the pages and pictures of the records; return the records' groups.

        Raises
        ------
        InputError
            There are no records and no folder for them, one is damaged, or a file that is not
            ours is in the way.
        """
        records = self.store.read()
        # Published runs of the recipe itself can be looked at before there are any of ours.
        if not records and not (self.folder.parent.is_dir() and verdict_of(self.edition, [])
                                and self.folder.name == self.edition.folder):
            command = " ".join(["python -m nin_gluon.reproduce --seeds 0-2", *self.options])
            raise InputError(f"{self.folder} holds no records yet; run some seeds first: {command}")
        return write_pages(self.edition, records, self.folder, self.markdown, self.command,
                           self.options)


def finished_record(run: Path, edition: Edition, python: str = "python") -> Record:
    """The record of a run folder that has come to its end and follows the edition's recipe.

    Raises
    ------
    InputError
        It has not, or does not. `python` is how the message calls Python.
    """
    record = record_of_run(run)
    if not record.finished:
        raise InputError(f"{run} has done {len(record.history)} of "
                         f"{counted(record.settings.epochs, 'epoch')}; finish it first by: "
                         f"{python} -m nin_gluon.train --resume {shlex.quote(str(run))}")
    for name, value in differences_from(edition.recipe, record.settings).items():
        if name not in CHANGEABLE:
            raise InputError(f"{run} does not follow the {edition.name} recipe: {name} is {value}, "
                             f"not {getattr(edition.recipe, name)}; is it another --edition's?")
    return record
