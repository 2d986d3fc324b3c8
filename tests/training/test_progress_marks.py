import json

import pytest

from nin_gluon.training.progress_marks import escape_step, read_marks


def marks(*losses, step=5):
    return [{"epochs": n / 100, "step": n * step, "loss": loss, "train_acc": 0.1}
            for n, loss in enumerate(losses, 1)]


@pytest.mark.parametrize("losses, step", [
    ([2.3026, 2.3025] + 10 * [2.1], 11),  # two marks of five steps, then better
    ([2.3026, 2.27] + 10 * [2.3] + 10 * [2.1], 61),  # one good mark is no escape
    ([2.3026] + 10 * [1.5] + [2.31] + 10 * [1.5], 6),  # nor is one bad mark a return
    (10 * [1.5], 1),  # never there
    (9 * [1.5], None),  # less than a tenth of an epoch
    (5 * [2.27] + 10 * [2.3026], None),
    ([2.28] + 10 * [2.279], 6),  # 1 % below ln 10 is 2.2796
])
def test_the_escape_is_where_a_tenth_of_an_epoch_is_better_than_guessing(losses, step):
    assert escape_step(marks(*losses)) == step


@pytest.mark.parametrize("per_epoch, losses, step", [
    (12, [2.3026, 2.3, 2.1, 2.0], 11),  # a tenth of an epoch takes two marks here
    (12, [2.3026, 2.3, 2.1], None),
    (8, [2.3026, 2.1], 6),
    (8, [2.3026, 2.3], None),
])
def test_short_epochs_have_fewer_marks(per_epoch, losses, step):
    found = [{**mark, "epochs": n / per_epoch} for n, mark in enumerate(marks(*losses), 1)]
    assert escape_step(found) == step


def test_without_steps_nobody_knows_the_escape():
    old = [{name: value for name, value in mark.items() if name != "step"}
           for mark in marks(2.3, *10 * [1.0])]
    assert escape_step(old) is None
    assert escape_step(old[:5] + marks(2.3, *10 * [1.0])[5:]) is None  # resumed by a later version
    assert escape_step([]) is None


def test_marks_are_read_with_and_without_steps(tmp_path):
    path, written = tmp_path / "progress.jsonl", marks(2.3, 1.0)
    del written[0]["step"]
    path.write_text("".join(json.dumps(mark) + "\n" for mark in written))
    assert read_marks(path) == written
    path.write_text('{"epochs": 1, "loss": 2, "train_acc": 0.1, "step": "x"}\n')
    assert read_marks(path) == []
    assert read_marks(tmp_path / "missing") == []
