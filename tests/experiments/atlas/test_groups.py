"""How runs ended: living classes, groups, comparisons, our own runs among the published ones."""

from dataclasses import replace

import numpy as np
import pytest

from nin_gluon.experiments.atlas.groups import (
    OUTCOMES,
    Run,
    compare,
    comparisons,
    group_runs,
    living_classes,
    outcome,
    own_runs,
    published_runs,
    read_own_runs,
    shares_above,
)
from nin_gluon.experiments.atlas.published_logs import read_atlas
from nin_gluon.experiments.atlas.report import report, report_data
from nin_gluon.experiments.records import Record
from nin_gluon.settings import TEXTBOOK
from nin_gluon.training.history import EpochRecord


def run(*test_acc, framework="pytorch", epochs=10, recipe="sgd-0.1", **fields):
    return Run("somewhere", framework, recipe, epochs, test_acc, **fields)


def history(*test_acc):
    return tuple(EpochRecord(number, 1.0, 0.5, value, 60.0)
                 for number, value in enumerate(test_acc, 1))


# ------------------------------------------------------------------ living classes


@pytest.mark.parametrize("accuracy, living", [
    (0.0, 0), (0.1, 1), (0.101, 2), (0.3, 3), (0.7, 7), (0.701, 8), (0.544, 6), (0.8, 8),
    (0.8001, 9), (0.9, 9), (0.9322, 10), (1.0, 10)])
def test_the_fewest_living_classes_for_an_accuracy(accuracy, living):
    assert living_classes(accuracy) == living


def test_no_net_with_dead_classes_passes_its_line():
    """Scores of nets with dead classes, the images as well classified as they can be."""
    labels = np.repeat(np.arange(10), 20)
    for dead in ([], [3], [1, 9], [2, 4, 6, 8], list(range(1, 10))):
        scores = np.eye(10)[labels]  # each image scores in its own class alone
        scores[:, dead] = 0
        accuracy = (scores.argmax(axis=1) == labels).mean()
        assert accuracy <= 1 - len(dead) / 10 + 1e-12
        assert living_classes(accuracy) <= 10 - len(dead)


def test_the_first_class_is_the_exception_that_the_module_names():
    labels = np.repeat(np.arange(10), 20)
    scores = np.eye(10)[labels]
    scores[:, [0, 5]] = 0  # argmax takes images that score nothing for class 0
    assert (scores.argmax(axis=1) == labels).mean() == pytest.approx(0.9)


def test_outcomes_by_living_classes():
    assert [outcome(living) for living in range(11)] == (
        ["dead"] * 2 + ["maimed"] * 7 + ["whole"] * 2)
    assert list(OUTCOMES) == ["whole", "maimed", "dead"]


def test_what_was_counted_does_not_decide_how_a_run_ended():
    """It is not known of published runs, with which ours are compared."""
    counted = run(0.653, counted=9)
    assert (counted.living, counted.outcome, counted.counted) == (7, "maimed", 9)


# ------------------------------------------------------------------ groups


def test_groups_and_their_order():
    groups = group_runs([run(0.8, framework="ours", epochs=5), run(0.7, recipe="adam-0.002"),
                         run(0.9), run(0.1), run(0.5, framework="mxnet", epochs=5, book=True)])
    assert [group.title for group in groups] == [
        "MXNet, 5 epochs", "PyTorch, 10 epochs", "our runs, 5 epochs",
        "PyTorch, 10 epochs, Adam 0.002"]
    assert [r.final for r in groups[1].runs] == [0.1, 0.9]
    assert groups[1].counts == {"whole": 1, "maimed": 0, "dead": 1}
    share, low, high = groups[1].share("whole")
    assert share == 0.5 and (low, high) == pytest.approx((0.0945, 0.9055), abs=1e-4)


def test_the_packaged_runs_as_the_atlas_sees_them():
    groups = {group.title: group for group in group_runs(published_runs(read_atlas()))}
    early = groups["MXNet, 5 epochs"]
    book, = (r for r in early.runs if r.book)
    assert (book.final, book.living, book.outcome) == (0.544, 6, "maimed")
    assert early.runs[1] is book  # the second lowest of 23
    assert early.counts == {"whole": 13, "maimed": 9, "dead": 1}
    assert groups["MXNet np, 10 epochs"].counts == {"whole": 9, "maimed": 11, "dead": 3}


# ------------------------------------------------------------------ comparisons


def named(framework, *finals):
    return [run(*[0.5] * 9, final, framework=framework) for final in finals]


def test_groups_that_differ_and_groups_that_do_not():
    apart = compare({"a": (0, 12), "b": (12, 12)})
    assert apart.difference == 1 and apart.p < 0.001 and apart.significant
    assert apart.change[0] == "a" and apart.change[1] > 0
    alike = compare({"a": (6, 12), "b": (6, 12)})
    assert alike.difference == 0 and alike.p == 1 and not alike.significant
    assert alike.change[1] < 0


def test_small_groups_are_not_compared():
    groups = group_runs(named("jax", *[0.85] * 12) + named("paddle", *[0.5] * 9))
    assert shares_above(groups, None) == {"JAX, 10 epochs": (12, 12)}
    assert comparisons(groups) == []


def test_after_an_epoch_and_at_the_end_an_interrupted_run_included():
    runs = named("jax", *[0.85] * 12) + named("paddle", *[0.85] * 11)
    groups = group_runs([*runs, run(0.1, framework="paddle")])
    assert shares_above(groups, None)["Paddle, 10 epochs"] == (11, 12)
    assert shares_above(groups, 5)["Paddle, 10 epochs"] == (0, 11)


def test_the_level_is_shared_among_the_comparisons():
    runs = named("jax", *[0.85] * 12) + named("paddle", *[0.5] * 12)
    assert [c.level for c in comparisons(group_runs(runs))] == [0.025, 0.025]
    short = [run(*[0.5] * 5, framework=name, epochs=5) for name in ("jax", "paddle") * 10]
    assert [c.level for c in comparisons(group_runs(short))] == [0.05]


def test_the_packaged_runs_are_compared_the_same_way_every_time():
    groups = group_runs(published_runs(read_atlas()))
    end, fifth = comparisons(groups)
    assert end == comparisons(groups)[0]
    assert (end.epoch, fifth.epoch) == (None, 5)
    assert end.shares == {"MXNet np, 10 epochs": (9, 23), "PyTorch, 10 epochs": (20, 30),
                          "TensorFlow, 10 epochs": (12, 16)}
    assert fifth.shares["MXNet, 5 epochs"] == (13, 23)
    assert fifth.shares["MXNet np, 10 epochs"] == (3, 23)


# ------------------------------------------------------------------ our own runs


def record(seed=0, test_acc=(0.4, 0.6, 0.7, 0.75, 0.8), own_data=None, living=None, alive=None,
           diverged=None, **settings):
    settings = TEXTBOOK.but(seed=seed, dataset="fashion-mnist", **settings)
    epochs = [replace(epoch, living=classes) for epoch, classes in
              zip(history(*test_acc), living or [None] * len(test_acc))]
    return Record(settings, "cpu", "cpu", {}, "", diverged, tuple(epochs), own_data, alive=alive)


def test_own_runs_are_those_of_the_books_recipe(caplog):
    runs = own_runs([record(0), record(1, dtype="bfloat16"), record(2, lr=0.05),
                     record(3, limit=100), record(4, own_data="abc"), record(5, epochs=10),
                     record(0, engine="torch"), record(6, (0.4, 0.83), diverged="the loss is nan"),
                     record(7, (), diverged="the loss is nan")])
    assert [r.label for r in runs] == ["seed 0, float32", "seed 1, bfloat16", "seed 5, float32",
                                       "seed 0, float32 with PyTorch", "seed 6, float32",
                                       "seed 7, float32"]
    assert [r.epochs for r in runs] == [5, 5, 10, 5, 5, 5]
    # A net that has diverged guesses.
    assert [r.test_acc for r in runs[4:]] == [(0.4, 0.83, 0.1, 0.1, 0.1), (0.1,) * 5]
    assert [r.outcome for r in runs[4:]] == ["dead", "dead"]
    assert runs[0].framework == "ours" and runs[0].test_acc == (0.4, 0.6, 0.7, 0.75, 0.8)
    assert "left out: 3 of our records with another recipe than the book's" in caplog.text


def test_counted_living_classes_of_our_records_are_kept():
    nine = (0, 1, 2, 3, 4, 5, 6, 7, 8)
    runs = own_runs([record(living=(None, None, None, None, nine)), record(alive=7),
                     record(living=(nine, None, None, None, None)), record()])
    assert [r.counted for r in runs] == [9, 7, None, None]


def test_a_folder_without_records(tmp_path):
    assert read_own_runs(tmp_path) == [] and read_own_runs(tmp_path / "none") == []


def test_our_own_runs_are_no_framework():
    published = published_runs(read_atlas())
    ours = [run(0.5, framework="ours") for _ in range(20)]
    with_ours = comparisons(group_runs([*published, *ours]))
    assert [each.p for each in with_ours] == [each.p for each in comparisons(group_runs(published))]
    assert not any("our runs" in title for each in with_ours for title in each.shares)


# ------------------------------------------------------------------ words and data


def test_the_report_says_what_the_data_say():
    groups = group_runs([*published_runs(read_atlas()), run(0.653, framework="ours", counted=9),
                         run(0.55, framework="ours")])
    text, data = report(groups), report_data(groups)
    assert "112 published runs and 2 of our own" in text
    assert "         6  0.544*\n" in text  # the book's
    assert "         6  0.550\n         7  0.653 (9)\n" in text
    assert "MXNet, 5 epochs" in text and "13 (37-74 %)" in text
    assert text.count("permutation test, p = ") == len(data["comparisons"]) == 2
    for comparison in data["comparisons"]:
        assert f"p = {comparison['p']:.2g}" in text
    assert all(len(line) <= 105 for line in text.splitlines())
    book, = (r for group in data["groups"] for r in group["runs"] if r["book"])
    assert (book["final_test_acc"], book["living"], book["counted"]) == (0.544, 6, None)
    early = data["groups"][0]["outcomes"]["whole"]
    assert early["count"] == 13 and early["low"] == pytest.approx(0.3681, abs=1e-4)
