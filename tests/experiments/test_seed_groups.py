"""Seeds of a recipe beside a published log: ranks by arithmetic, and what the verdict says."""

from dataclasses import replace
from pathlib import Path

import pytest

from nin_gluon.analysis.initial_state import InitialState
from nin_gluon.experiments.published import EDITIONS
from nin_gluon.experiments.records import slug
from nin_gluon.experiments.seed_groups import Group, groups_of, same_seeds
from tests.experiments.made_runs import BOOK, book_records, make_record


def book_group(*shifts, **changes):
    return Group(BOOK, book_records(*shifts, **changes))


def test_ranks_by_arithmetic():
    group = book_group(-0.02, 0.03)
    loss = group.rows[1]["loss"]
    assert (loss.low, loss.high, loss.published) == (2.2427, 2.2927, 2.2627)
    assert loss.median == pytest.approx(2.2677)
    assert (loss.below, loss.above, loss.outside, loss.seeds) == (1, 1, 0, 2)
    accuracy = book_group(-0.02, 0.03, -0.01).rows[3]["test_acc"]
    assert (accuracy.low, accuracy.median, accuracy.high) == (0.340, 0.350, 0.390)
    assert accuracy.where == "above 2 of 3, below 1"


def test_values_are_compared_as_the_textbook_prints_them():
    """0.15404 is printed as the published 0.154, so a range that ends there holds it."""
    row = book_group(0.00004, 0.01, 0.02).rows[1]
    assert (row["train_acc"].outside, row["train_acc"].below, row["train_acc"].above) == (0, 0, 2)
    assert not row["loss"].outside  # 2.26274 is printed 2.2627
    assert book_group(0.00004, 0.01, 0.02, 0.03).published_outside() == {}


def test_too_few_seeds_say_nothing():
    for shifts in ([0.0], [0.0, 0.1]):
        assert book_group(*shifts).verdict().startswith(
            f"Too few seeds to say anything: {len(shifts)} finished")
    assert "Too few" not in book_group(0.0, 0.1, -0.1).verdict()


def test_the_verdict_when_all_lie_within():
    group = book_group(-0.1, 0.05, 0.1)
    assert group.verdict() == ("All 15 published values lie within the range of 3 seeds (float32 "
                               "on cpu).")
    # 15 values, each outside the range of 3 with probability 2/4.
    assert "on average have 7.5 of its 15 values outside" in "\n".join(group.notes())


def test_the_verdict_counts_what_lies_outside():
    group = book_group(0.010, 0.020, 0.030)
    assert group.verdict().startswith(
        "0 of 15 published values lie within the range of 3 seeds (float32 on cpu).")
    assert group.rows[1]["loss"].where == "below all, by 0.0100"
    assert group.rows[1]["train_acc"].where == "below all, by 0.010"
    # Seed 2 is highest in all 15, the published run lowest: they have as many outside.
    assert group.outside_range() == (15, {0: 0, 1: 0, 2: 15})
    assert ("Compared with the other runs in the same way, 1 seed has at least as many"
            in group.verdict())


def test_a_log_unlike_every_seed():
    """Seeds that take turns in being outermost have fewer values outside than a log beyond all."""
    log = [[(0.5, 0.6, 0.7), (0.7, 0.5, 0.6), (0.6, 0.7, 0.5)][e % 3] for e in range(5)]
    group = Group(BOOK, {Path(f"{seed}.jsonl"): make_record(
        BOOK.recipe.but(seed=seed), [(0.1, 0.9 + log[e][seed] / 100, 0.9) for e in range(5)])
        for seed in range(3)})
    published, seeds = group.outside_range()
    assert published == 15 and max(seeds.values()) < 15
    assert "No seed, compared with the other runs in the same way, has as many" in group.verdict()
    assert group.verdict().endswith("at most once in 4 times.")


def test_what_became_of_the_classes():
    """A living class may have no image recognized; a seed of which nothing is known has no row."""
    records = book_records(0.0, 0.1)
    path, record = next(iter(records.items()))
    ten, nine = tuple(range(10)), tuple(range(1, 10))
    accuracies = (0.0, 0.9, 0.9, 0.9, 0.0, 0.9, 0.2371, 0.9, 0.5, None)
    history = [replace(epoch, living=ten if epoch.epoch == 1 else nine, class_acc=accuracies)
               for epoch in record.history]
    records[path] = replace(record, history=tuple(history), escape_step=1650,
                            start=InitialState(nine, 1e-4, (0.5,) * 10, 0.5))
    assert Group(BOOK, records).class_rows() == [
        ["0", "9", "1,650", "10, 9, 9, 9, 9", "t-shirt", "t-shirt 0.000, coat 0.000, shirt 0.237"]]
    unknown = {path: replace(record, settings=record.settings.but(dataset="no-such"))
               for path, record in records.items()}
    assert Group(BOOK, unknown).class_rows()[0][4] == "class 0"
    for losses, step in (([2.3026] * 5, "never"), ([2.3026, 2, 2, 2, 2.3026], "?")):
        stalled = [replace(epoch, loss=loss) for epoch, loss in zip(record.history, losses)]
        records[path] = replace(record, history=(*stalled[:4], replace(
            stalled[4], living=ten, class_acc=(0.9,) * 10)))
        assert Group(BOOK, records).class_rows() == [
            ["0", "?", step, "?, ?, ?, ?, 10", "none", "none"]]
    records[path] = replace(record, start=InitialState(nine, 1e-4, (0.5,) * 10, 0.5))
    assert Group(BOOK, records).class_rows() == [["0", "9", "?", "?, ?, ?, ?, ?", "?", "?"]]


def test_a_seed_that_diverged_is_a_result_too():
    records = book_records(-0.1, 0.05, 0.1)
    records[Path("3.jsonl")] = make_record(BOOK.recipe.but(seed=3), [(2.4627, 0.354, 0.562)],
                                           diverged="the loss became nan in epoch 2, step 7")
    group = Group(BOOK, records)
    assert group.notes()[0] == ("1 of 4 seeds diverged: seed 3, the loss became nan in epoch 2, "
                                "step 7.")
    assert [row["loss"].seeds for row in group.rows.values()] == [4, 3, 3, 3, 3]
    assert "within the range of 4 seeds" in group.verdict()


def test_seeds_that_all_diverge_at_once():
    group = Group(BOOK, {Path("0.jsonl"): make_record(BOOK.recipe, [], diverged="nan")})
    assert "Too few seeds to say anything: 0 finished, of 1 seed" in group.verdict()


@pytest.mark.parametrize("edition, epochs, end", [
    ("mlpconv-112", 20, "published no figures of its epochs, so there is nothing to hold 3 seeds "
                        "(float32 on cpu) against."),
    ("d2l-pytorch", 10, "All 3 published values lie within the range of 3 seeds (float32 on cpu)."),
    ("d2l-pytorch", 2, "(float32 on cpu, epochs 2 instead of 10) did not reach, so there is "
                       "nothing to compare."),
])
def test_other_editions(edition, epochs, end):
    edition = EDITIONS[edition]
    settings = edition.recipe.but(epochs=epochs)
    records = {Path(f"{seed}.jsonl"): make_record(
        settings.but(seed=seed), [(0.3 + seed / 10, 0.8 + seed / 20, 0.8 + seed / 20)] * epochs)
        for seed in range(3)}
    assert Group(edition, records).verdict().endswith(end)


def test_a_few_images_are_not_the_published_recipe():
    assert book_group(-0.1, 0.05, 0.1, limit=64).verdict().endswith(
        "but with limit 64 instead of all images these are not the published recipe, and this says "
        "nothing of it.")


def test_different_kinds_are_never_mixed():
    """Nor when somebody has moved a record into the folder."""
    records = {}
    for number, (changes, device, own) in enumerate((
            ({}, "cpu", None), ({}, "gpu", None), ({"dtype": "bfloat16"}, "cpu", None),
            ({"epochs": 2}, "cpu", None), ({"limit": 64}, "cpu", None), ({}, "cpu", "1a2b3c4d"))):
        settings = BOOK.recipe.but(**changes)
        records[Path(str(number))] = make_record(settings, [(1.0, 0.5, 0.5)] * settings.epochs,
                                                 device, own_data=own)
    groups = groups_of(BOOK, records)
    assert [(g.title, g.seeds) for g in groups] == [
        ("float32 on cpu", [0]), ("float32 on cpu, own files 1a2b3c4d", [0]),
        ("float32 on gpu", [0]), ("bfloat16 on cpu", [0]),
        ("float32 on cpu, epochs 2 instead of 5", [0]),
        ("float32 on cpu, limit 64 instead of all images", [0])]
    assert len({g.slug for g in groups}) == 6
    for group in groups:
        assert ("limit 64" in group.title) == bool(group.settings.limit)


def test_groups_have_the_names_that_their_files_have_had():
    """Files and run folders of before are found again."""
    settings = BOOK.recipe.but(epochs=2, limit=64, dataset="sample", dtype="bfloat16")
    assert (slug(BOOK.recipe, settings, "cpu", "1a2b3c4d")
            == "bfloat16-cpu-dataset-sample-epochs-2-limit-64-own-data-1a2b3c4d")
    assert slug(BOOK.recipe, BOOK.recipe, "gpu2") == "float32-gpu2"


def test_the_same_seed_in_two_precisions():
    half = book_records(0.1, 0.2, dtype="bfloat16")
    short = {Path("short"): make_record(BOOK.recipe.but(seed=1, epochs=2), [(2.0, 0.5, 0.5)] * 2)}
    groups = groups_of(BOOK, {**half, **short})
    (one, other, seeds), = same_seeds(groups)
    assert (one.settings.dtype, other.settings.dtype) == ("float32", "bfloat16")
    assert list(seeds) == [1] and len(seeds[1]) == 2
    # A longer run is no continuation where the schedule depends on the length.
    for records in (half, short):
        for path, record in records.items():
            settings = record.settings.but(schedule="cosine")
            records[path] = make_record(settings, [(2.0, 0.5, 0.5)] * settings.epochs)
    assert same_seeds(groups_of(BOOK, {**half, **short})) == []


def test_seeds_of_the_two_engines_are_not_mixed():
    """Not in one group, and not as one seed in two arithmetics either."""
    gluon, torch = book_records(0.0, 0.1), book_records(0.2, 0.3, engine="torch")
    both = {**gluon, **{Path("torch", path): record for path, record in torch.items()}}
    first, second = groups_of(BOOK, both)
    assert (first.settings.engine, second.settings.engine) == ("gluon", "torch")
    assert first.seeds == second.seeds == [0, 1]
    assert second.slug == "float32-cpu-engine-torch"
    assert "engine torch instead of gluon" in second.title
    half = Group(BOOK, book_records(0.1, engine="torch", dtype="bfloat16"))
    assert same_seeds([first, second]) == same_seeds([first, half]) == []
    assert len(same_seeds([second, half])) == 1
