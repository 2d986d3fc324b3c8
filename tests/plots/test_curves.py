"""The curves of one run."""

from nin_gluon import plots
from nin_gluon.training.history import EpochRecord


def test_curves_show_every_epoch_and_the_marks_within(tmp_path):
    history = [EpochRecord(1, 2.2, 0.2, 0.3, 1.0), EpochRecord(2, 1.5, 0.5, 0.6, 1.0)]
    marks = [{"epochs": 0.5, "loss": 2.3, "train_acc": 0.1}]
    left, right = plots.draw_curves(history, "a title", marks).axes
    assert [list(line.get_ydata()) for line in left.lines[:2]] == [[2.3], [2.2, 1.5]]
    assert [list(line.get_ydata()) for line in right.lines] == [[0.1], [0.2, 0.5], [0.3, 0.6]]
    plots.save(plots.draw_curves(history), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 1
