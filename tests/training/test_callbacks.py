"""What the train command shows and keeps on the way."""

import errno

import pytest

from nin_gluon import train
from nin_gluon.errors import WriteError, why
from nin_gluon.settings import Settings
from nin_gluon.training.callbacks import Progress, duration
from nin_gluon.training.tally import Tally


@pytest.mark.parametrize("seconds, words", [
    (0.4, "0 s"), (35, "35 s"), (59.6, "1 min 0 s"), (100, "1 min 40 s"), (1500, "25 min"),
    (24600, "6 h 50 min"),
])
def test_durations_are_said_as_people_say_them(seconds, words):
    assert duration(seconds) == words


def progress(settings, train_images, test_batches, tally, folder, **options):
    """A Progress over batches that are never made."""
    train_iter = type("", (), {"labels": range(train_images),
                               "__len__": lambda self: train_images // settings.batch_size})()
    engine = type("", (), {"devices": ["cpu(0)"]})()
    return Progress(engine, settings, train_iter, range(test_batches), tally, folder, **options)


def test_the_length_of_a_run_is_told_from_its_first_steps(capsys, tmp_path):
    settings = Settings(epochs=3, batch_size=10)
    shown = progress(settings, 1000, 20, Tally(epoch=2, step=12), tmp_path, workers=2)
    shown.tell_length(steps_per_second=2)
    # Two epochs of 100 steps and 20 test batches at 0.3 of a step, less 12 steps: 200 steps.
    assert capsys.readouterr().err.startswith("about 1 min 40 s to go at 40 images/s")
    shown.tell_length(steps_per_second=100)
    assert capsys.readouterr().err.startswith("about 2 s to go at 2,000 images/s")


def test_slow_first_steps_do_not_lengthen_the_estimate(monkeypatch, tmp_path):
    # The first steps compile and take memory: here 20, 9 and 8 seconds, then 2 each.
    now, told = [0.0], []
    monkeypatch.setattr("nin_gluon.training.callbacks.time.monotonic", lambda: now[0])
    monkeypatch.setattr(Progress, "tell_length", lambda self, rate: (
        told.append(rate), setattr(self, "length_is_told", True)))

    class TallyOfOneStep(Tally):
        def collect(self, engine, parameters=False, keep=0):
            pass  # the device has now done all but the last step

    shown = progress(Settings(epochs=1, batch_size=10), 100, 1, Tally(), tmp_path, show=False)
    tally = TallyOfOneStep()
    tally.pending = [None]
    for seconds in [0, 20, 9, 8, 2, 2, 2, 2]:
        now[0] += seconds
        shown.next_update = 0
        shown.on_train_batch_end(tally)
    assert told == [pytest.approx(1 / 2)]


def test_progress_within_the_epoch_is_kept_and_adds_up(few_images, tmp_path, monkeypatch):
    monkeypatch.setattr("nin_gluon.training.callbacks.PROGRESS_SECONDS", 0)  # after every step
    monkeypatch.setattr("nin_gluon.training.callbacks.plots.save", lambda *args: None)
    marks = []
    monkeypatch.setattr("nin_gluon.training.callbacks.plots.draw_curves",
                        lambda history, title, within: marks.append((history[-1], list(within))))
    options = ["--resize", "67", "--batch-size", "16", "--epochs", "1", "--out", str(tmp_path)]
    monkeypatch.setattr("nin_gluon.training.run.Run.draw_predictions", lambda *args: None)
    assert train.main(options) == 0
    record, within = marks[0]
    assert [mark["epochs"] for mark in within] == pytest.approx([1 / 3, 2 / 3, 1])
    assert sum(mark["loss"] for mark in within) / 3 == pytest.approx(record.loss)
    assert sum(mark["train_acc"] for mark in within) / 3 == pytest.approx(record.train_acc)


def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(few_images, tmp_path, monkeypatch,
                                                               capsys):
    from nin_gluon.training import checkpoint

    original = checkpoint.save

    def full(run, engine, tally, *rest):
        if tally.step:
            raise WriteError(f"{run} cannot be written: " + why(OSError(errno.ENOSPC, "")))
        return original(run, engine, tally, *rest)

    monkeypatch.setattr(checkpoint, "save", full)
    options = ["--resize", "67", "--batch-size", "16", "--epochs", "1", "--checkpoint-every", "2",
               "--out", str(tmp_path / "run")]
    assert train.main(options) == 2
    error = capsys.readouterr().err.splitlines()
    assert "the disk is full; free some space" in error[-1]
    assert f"--resume {tmp_path / 'run'}" in error[-1]
    kept = [path.name for path in (tmp_path / "run" / "checkpoint").iterdir()]
    assert kept == ["epoch-0001-step-000000"]
