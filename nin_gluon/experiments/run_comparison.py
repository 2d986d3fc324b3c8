"""Runs side by side: which settings differ, what came out, and the curves over one another."""

from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Dict, List, Optional, Sequence, Tuple

from nin_gluon.errors import InputError
from nin_gluon.experiments.pages import render
from nin_gluon.text_tables import columns
from nin_gluon.training.history import EpochRecord, history_of
from nin_gluon.training.progress_marks import read_marks
from nin_gluon.training.run_folder import RunConfig, read_config

__all__ = ["ComparedRun", "as_json", "comparison_page", "draw", "format_comparison", "read_runs"]

SIGNATURE = "Written by nin_gluon.compare"

RESULTS = {"epochs": "epochs", "loss": "loss", "train_acc": "train acc", "test_acc": "test acc",
           "best_test_acc": "best test acc", "best_epoch": "in epoch", "living": "living classes",
           "seconds": "s an epoch", "state": "state"}


@dataclass(frozen=True)
class ComparedRun:
    """What a run folder says, under a short name that no other run here has."""

    name: str
    folder: Path
    config: RunConfig
    history: List[EpochRecord]
    marks: List[Dict[str, float]]  # as `nin_gluon.training.progress_marks.read_marks` gives them
    diverged: bool

    @property
    def circumstances(self) -> Dict[str, Any]:
        """The settings, and what else may differ between runs: device, processes, own data."""
        where = self.config.environment
        devices = (where.machine or {}).get("devices")
        device = " ".join(map(str, devices)) if isinstance(devices, list) else where.ctx
        return {**self.config.settings.to_json(), "device": device, "workers": where.workers,
                "own_data": where.own_data}

    @property
    def results(self) -> Dict[str, Any]:
        """What came out, by the names of `RESULTS`; None where there is nothing yet."""
        history, epochs = self.history, self.config.settings.epochs
        state = ("diverged" if self.diverged else "done" if len(history) >= epochs
                 else f"epoch {len(history)} of {epochs}")
        if not history:
            return {**dict.fromkeys(RESULTS), "epochs": 0, "state": state}
        last, best = history[-1], max(history, key=lambda record: record.test_acc)
        return {"epochs": len(history), "loss": last.loss, "train_acc": last.train_acc,
                "test_acc": last.test_acc, "best_test_acc": best.test_acc,
                "best_epoch": best.epoch,
                "living": None if last.living is None else len(last.living),
                "seconds": median(record.seconds for record in history), "state": state}


# ------------------------------------------------------------------ reading


def read_runs(folders: Sequence[Path]) -> List[ComparedRun]:
    """The runs in these folders.

    Raises
    ------
    InputError
        One of them is no run folder, a file in it is damaged, or a folder is named twice.
    """
    runs = []
    for folder, name in zip(folders, short_names(folders)):
        runs.append(ComparedRun(name, folder, read_config(folder), history_of(folder),
                                read_marks(folder / "progress.jsonl"),
                                (folder / "diverged.txt").exists()))
    return runs


def short_names(folders: Sequence[Path]) -> List[str]:
    """The ends of the paths, as long as they must be to tell the folders apart."""
    paths = [folder.resolve() for folder in folders]
    for folder, path in zip(folders, paths):
        if paths.count(path) > 1:
            raise InputError(f"{folder} is named twice; name runs that differ.")
    for length in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


# ------------------------------------------------------------------ tables


def differences(runs: Sequence[ComparedRun]) -> Dict[str, List[Any]]:
    """The circumstances that are not the same in all runs: {name: a value for each run}."""
    all_values = {name: [run.circumstances[name] for run in runs]
                  for name in runs[0].circumstances}
    return {name: values for name, values in all_values.items()
            if any(value != values[0] for value in values)}


def shown(name: str, value: Any) -> str:
    """A setting or a result as text."""
    if value is None:
        return "-"
    if name == "loss":
        return f"{value:.4f}"
    if name in ("train_acc", "test_acc", "best_test_acc"):
        return f"{value:.3f}"
    return f"{value:.1f}" if name == "seconds" else str(value)


def tables(runs: Sequence[ComparedRun]) -> Tuple[List[List[str]], List[List[str]]]:
    """Rows of cells, titles first: what differs, and the results. A row a run."""
    differ = differences(runs)
    settings = [["run", *differ], *([run.name, *(shown(name, run.circumstances[name])
                                                 for name in differ)] for run in runs)]
    results = [["run", *RESULTS.values()], *([run.name, *(shown(name, run.results[name])
                                                          for name in RESULTS)] for run in runs)]
    return settings, results


def notes(runs: Sequence[ComparedRun]) -> List[str]:
    """What a reader of the tables has to know."""
    held_out = [run.name for run in runs if run.config.settings.validation]
    return [f"test acc of {', '.join(held_out)} is that of training images which were held out"
            ] if held_out else []


def format_comparison(runs: Sequence[ComparedRun]) -> str:
    """The tables for a terminal."""
    settings, results = tables(runs)
    first = (["settings that differ", *columns(settings)] if len(settings[0]) > 1
             else ["no setting differs"])
    return "\n".join([*first, "", "results", *columns(results), *notes(runs)])


def as_json(runs: Sequence[ComparedRun]) -> Dict[str, Any]:
    """All of it, JSON-ready."""
    return {"differences": differences(runs), "runs": [{
        "name": run.name, "folder": str(run.folder), "preset": run.config.preset,
        "settings": run.config.settings.to_json(), "environment": asdict(run.config.environment),
        "results": run.results, "history": [record.to_json() for record in run.history],
    } for run in runs]}


# ------------------------------------------------------------------ picture and page


def draw(runs: Sequence[ComparedRun], dark: bool = False) -> bytes:
    """The curves as a PNG file."""
    from nin_gluon import plots

    return plots.png(plots.draw_run_curves([(run.name, run.history, run.marks) for run in runs],
                                           dark), SIGNATURE)


def comparison_page(runs: Sequence[ComparedRun]) -> str:
    """A page of HTML that needs no other file."""
    settings, results = tables(runs)
    most = max(len(run.history) for run in runs)
    epochs: List[Tuple[int, List[Optional[EpochRecord]]]] = [
        (i + 1, [run.history[i] if i < len(run.history) else None for run in runs])
        for i in range(most)]
    return render("comparison.html", {
        "signature": SIGNATURE, "runs": runs, "settings": settings, "results": results,
        "notes": notes(runs), "epochs": epochs, "light": draw(runs), "dark": draw(runs, True)})
