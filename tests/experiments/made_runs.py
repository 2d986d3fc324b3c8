"""Runs as the train command leaves them, made at once: for tests of what is done with runs."""

from pathlib import Path

from nin_gluon.experiments.published import EDITIONS
from nin_gluon.experiments.records import Record
from nin_gluon.training.history import EpochRecord, write_history
from nin_gluon.training.run_folder import Environment, RunConfig, write_config

BOOK = EDITIONS["d2l-mxnet"]
MACHINE = {"nin_gluon": "0.1.0", "mxnet": "1.9.1", "cpu": "a <fast> one", "threads": 2,
           "cpu_features": ["avx2"], "devices": ["cpu(0)"]}


def make_run(folder, settings, log, machine=MACHINE, own_data=None, diverged=None):
    """A finished run folder with these epochs."""
    folder.mkdir(parents=True)
    write_config(folder, RunConfig("textbook", settings, Environment(
        data_dir="/of/this/machine", own_data=own_data, machine=machine)))
    if diverged:
        (folder / "diverged.txt").write_text(diverged + "\n")
    write_history(folder / "history.jsonl", log)
    (folder / "progress.jsonl").write_text(
        '{"epochs": 0.5, "loss": 2.3026}\n{"epochs": 1, "loss": 2.0}\n')
    (folder / "checkpoint" / "epoch-0006-step-000000").mkdir(parents=True)
    return folder


def make_book_run(folder, seed, shift=0.0, epochs=5, diverged=None, machine=MACHINE, own_data=None,
                  **changes):
    """A run of the textbook's recipe: the published figures, each moved by `shift`."""
    settings = BOOK.recipe.but(seed=seed, epochs=epochs, **changes)
    log = [EpochRecord(r.epoch, r.loss + shift, r.train_acc + shift, r.test_acc + shift, 60.0)
           for r in BOOK.log[:1 if diverged else epochs]]
    return make_run(folder, settings, log, machine, own_data, diverged)


def make_record(settings, history, device="cpu", **changes):
    """A record; each epoch of `history` is (loss, train acc, test acc)."""
    epochs = tuple(EpochRecord(number, *figures, 3.0) for number, figures in enumerate(history, 1))
    return Record(**{"settings": settings, "device": device, "ctx": "auto", "machine": MACHINE,
                     "command": "command", "diverged": None, "history": epochs, **changes})


def book_records(*shifts, **changes):
    """{path: record} of seeds 0, 1, ...: the published figures, each moved by a shift."""
    settings = BOOK.recipe.but(**changes)
    return {Path(f"{seed}.jsonl"): make_record(
        settings.but(seed=seed), [(r.loss + shift, r.train_acc + shift, r.test_acc + shift)
                                  for r in BOOK.log[:settings.epochs]])
            for seed, shift in enumerate(shifts)}
