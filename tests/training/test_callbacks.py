"""What the train command shows and keeps on the way."""

from types import SimpleNamespace

import pytest
from tqdm import tqdm

from nin_gluon import train
from nin_gluon.training.callbacks import Watch, duration


@pytest.mark.parametrize("seconds, words", [
    (0.4, "0 s"), (35, "35 s"), (59.6, "1 min 0 s"), (100, "1 min 40 s"), (1500, "25 min"),
    (24600, "6 h 50 min"),
])
def test_durations_are_said_as_people_say_them(seconds, words):
    assert duration(seconds) == words


def test_the_length_of_a_run_is_told_from_its_first_steps(capsys):
    class Run:
        config, workers = {"epochs": 3, "batch_size": 10}, 2
        train_iter, test_iter, history = range(100), range(20), [None]
        tally = type("", (), {"step": 12})

    Watch.tell_length(Run, steps_per_second=2)
    # Two epochs of 100 steps and 20 test batches at 0.3 of a step, less 12 steps: 200 steps.
    assert capsys.readouterr().err.startswith("about 1 min 40 s to go at 40 images/s")


def test_slow_first_steps_do_not_lengthen_the_estimate(monkeypatch):
    # The first steps compile and take memory: here 20, 9 and 8 seconds, then 2 each.
    now, told = [0.0], []
    monkeypatch.setattr("nin_gluon.training.callbacks.time.time", lambda: now[0])

    class Run:
        train_iter, bar, told, clock = type("", (), {"labels": range(100)}), None, False, None
        steps, last_look, copied, config = 0, (0, 0), float("inf"), {"epochs": 1}
        tally = SimpleNamespace(collect=lambda keep: None, pending=[None], epoch=1, images=0,
                                loss=1.0, accuracy=0.5)

        def open_bar(self, *args):
            self.bar = tqdm(disable=True)

        def mark(self):
            pass

        def tell_length(self, steps_per_second):
            self.told = True
            told.append(steps_per_second)

    run = Run()
    for run.steps, seconds in enumerate([0, 20, 9, 8, 2, 2, 2, 2], 1):
        now[0] += seconds  # the device has now done all but the last step
        Watch.look(run)
    assert told == [pytest.approx(1 / 2)]


def test_progress_within_the_epoch_is_kept_and_adds_up(few_images, tmp_path, monkeypatch):
    monkeypatch.setattr("nin_gluon.training.callbacks.LOOK_EVERY", 0)  # look after every step
    monkeypatch.setattr("nin_gluon.training.callbacks.plots.save", lambda *args: None)
    marks = []
    monkeypatch.setattr("nin_gluon.training.callbacks.plots.draw_curves",
                        lambda history, title, within: marks.append((history[-1], list(within))))
    options = ["--resize", "67", "--batch-size", "16", "--epochs", "1", "--out", str(tmp_path)]
    monkeypatch.setattr(train, "draw_predictions", lambda *args: None)
    assert train.main(options) == 0
    record, within = marks[0]
    assert [mark["epochs"] for mark in within] == pytest.approx([1 / 3, 2 / 3, 1])
    assert sum(mark["loss"] for mark in within) / 3 == pytest.approx(record.loss)
    assert sum(mark["train_acc"] for mark in within) / 3 == pytest.approx(record.train_acc)


def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(few_images, tmp_path, monkeypatch,
                                                               capsys):
    from nin_gluon.training import checkpoint

    original = checkpoint.save

    def full(run, net, trainer, tally, *rest):
        if tally.step:
            raise OSError(28, "No space left on device", str(run))
        return original(run, net, trainer, tally, *rest)

    monkeypatch.setattr(checkpoint, "save", full)
    options = ["--resize", "67", "--batch-size", "16", "--epochs", "1", "--checkpoint-every", "2",
               "--out", str(tmp_path / "run")]
    assert train.main(options) == 2
    error = capsys.readouterr().err.splitlines()
    assert "No space left on device" in error[-1]
    kept = [path.name for path in (tmp_path / "run" / "checkpoint").iterdir()]
    assert kept == ["epoch-0001-step-000000"]
