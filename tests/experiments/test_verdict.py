"""Where a published log lies among runs of its recipe: by arithmetic, and in words."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from nin_gluon.experiments.atlas.published_logs import PublishedLog, read_atlas
from nin_gluon.experiments.published import EDITIONS
from nin_gluon.experiments.verdict import LEVEL, Verdict, unusualness, verdict_of
from nin_gluon.experiments.verdict_chinese import ChineseVerdict
from tests.experiments.made_runs import BOOK, book_records, make_record


def verdict(*shifts, published=None):
    """The book's log among its copies, each moved by a shift; the last one is our own seed."""
    log = {(r.epoch, name): getattr(r, name) for r in BOOK.log
           for name in ("loss", "train_acc", "test_acc")}
    runs = [{place: value + shift for place, value in log.items()} for shift in shifts]
    return Verdict(BOOK, published or log, tuple(runs[:-1]), (runs[-1],))


def test_unusualness_by_hand():
    places = [(1, "loss"), (1, "test_acc")]
    runs = [dict(zip(places, values)) for values in ((1, 10), (2, 30), (3, 20), (3, 40))]
    # Shares below, ties halved: loss 1/8, 3/8, 6/8, 6/8; accuracy 1/8, 5/8, 3/8, 7/8.
    assert unusualness(runs, places) == pytest.approx([0.75, 0.25, 0.375, 0.625])


def test_p_is_the_place_of_the_log_among_the_runs():
    shifts = [n / 1000 for n in range(1, 40)]
    assert verdict(*shifts).p == 2 / 40  # outermost, and so is the run at the other end
    both = [*shifts, *(-shift for shift in shifts)]
    assert verdict(*both).p == 1  # right in the middle
    assert verdict(*shifts[:5]).p == 2 / 6


def test_p_is_valid_for_few_runs():
    """Of logs that are drawn like the runs, at most a share of p has one so small."""
    draw = np.random.RandomState(0)
    found = []
    for _ in range(400):
        *runs, published = [{(e, "test_acc"): value for e, value in enumerate(values, 1)}
                            for values in draw.rand(8, 5).cumsum(axis=1)]
        found.append(Verdict(BOOK, published, tuple(runs), {}).p)
    for level in (1 / 8, 2 / 8, 4 / 8):
        assert np.mean([p <= level for p in found]) <= level + 3 * math.sqrt(level / 400)
    assert min(found) == 1 / 8


def test_a_log_that_is_none_of_the_runs():
    outside = {(r.epoch, name): 9.0 for r in BOOK.log for name in ("loss", "train_acc", "test_acc")}
    runs = [(-1) ** n * n / 1000 for n in range(40)]
    found = verdict(*runs, published=outside)
    assert found.p == 2 / 41 < LEVEL  # one of the runs is lowest in all its values
    assert found.answer() == ("No: among 40 other runs of its recipe, the published log is too "
                              "unusual to be one of them.")
    assert "p would be 0.05 or more if 1 more run lay as far." in found.sentences()


def test_the_books_own_verdict():
    """The packaged atlas and the seeds that are in the results."""
    found = verdict_of(BOOK, book_records(0.3, 0.31, 0.32, dtype="bfloat16").values())
    assert len(found.others) == 22 and len(found.seeds) == 3
    assert found.as_low(found.others) == 1  # the one that stayed at 0.100
    finals = sorted(log.test_acc[-1] for log in read_atlas()
                    if (log.framework, log.recipe, log.epochs) == BOOK.atlas)
    assert finals[:3] == [0.1, 0.544, 0.667] and len(finals) == 23
    assert found.answer() == ("Yes, as far as 25 other runs can tell: the published log is a rare "
                              "low draw of a lottery.")
    assert found.sentences()[0] == (
        "The log ends at a test accuracy of 0.544; 1 of 22 other published runs and 0 of our 3 "
        "seeds end no higher.")
    assert all(len(words.split()) <= 30 for words in (found.answer(), *found.sentences()))
    assert [row[:3] for row in found.odds_rows()] == [
        ["published runs", "23", "13 (37% to 74%)"], ["our seeds", "3", "3 (44% to 100%)"]]


def test_what_is_left_out():
    records = [*book_records(0.1).values(), *book_records(0.1, limit=64).values(),
               *book_records(0.1, epochs=2).values()]
    records += [replace(records[0], own_data="abc"), replace(records[0], diverged="nan")]
    assert len(verdict_of(BOOK, records).seeds) == 1
    other = replace(records[0], device="gpu"), replace(
        records[0], settings=records[0].settings.but(engine="torch"))
    assert len(verdict_of(BOOK, [*records, *other]).seeds) == 3  # the same seed, but other runs
    assert verdict_of(BOOK, records[1:]) is None  # none of ours
    assert verdict_of(BOOK, records, atlas=[]) is None  # nobody else's
    assert verdict_of(EDITIONS["mlpconv-112"], records) is None  # it published no log


def test_the_editions_own_log_is_not_among_the_others():
    edition = EDITIONS["d2l-pytorch"]
    history = [(0.4, 0.8, 0.8)] * 10
    found = verdict_of(edition, [make_record(edition.recipe, history)])
    same = PublishedLog("pytorch", "sgd-0.1", 10, (0.5,) * 9 + (0.874,), ("x",),
                        (0.5,) * 9 + (0.871,), (1.0,) * 9 + (0.352,))
    more = verdict_of(edition, [make_record(edition.recipe, history)], [*read_atlas(), same])
    assert len(more.others) == len(found.others) > 20
    assert len(found.published) == 3


def test_the_chinese_words_have_the_same_figures():
    shifts = [n / 1000 for n in range(1, 40)]
    outside = {(r.epoch, name): 9.0 for r in BOOK.log for name in ("loss", "train_acc", "test_acc")}
    found = verdict_of(BOOK, book_records(0.3, 0.31, 0.32).values())
    for each in (found, verdict(*shifts), verdict(*shifts[:5]),
                 verdict(*shifts, published=outside)):
        chinese = ChineseVerdict(each)
        for ours, theirs in zip([each.answer(), *each.sentences()],
                                [chinese.answer(), *chinese.sentences()]):
            assert sorted(re.findall(r"[\d.]*\d", ours)) == sorted(re.findall(r"[\d.]*\d", theirs))
            assert theirs.endswith("。") and not re.search("[a-oq-z]{2}", theirs)
    assert ChineseVerdict(found).answer().startswith("能。")
    assert [row[1] for row in ChineseVerdict(found).odds_rows()] == ["23", "3"]
