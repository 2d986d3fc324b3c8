"""Where a published log lies among runs of its recipe: by arithmetic, and in words."""

import math
import re
from dataclasses import dataclass, replace

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
    found = verdict(*shifts)
    assert found.p(found.runs) == 2 / 40  # outermost, and so is the run at the other end
    assert found.p(found.others) == 2 / 39
    both = verdict(*shifts, *(-shift for shift in shifts))
    assert both.p(both.runs) == 1  # right in the middle
    few = verdict(*shifts[:5])
    assert few.p(few.runs) == 2 / 6


def test_p_is_valid_for_few_runs():
    """Of logs that are drawn like the runs, at most a share of p has one so small."""
    draw = np.random.RandomState(0)
    found = []
    for _ in range(400):
        *runs, published = [{(e, "test_acc"): value for e, value in enumerate(values, 1)}
                            for values in draw.rand(8, 5).cumsum(axis=1)]
        found.append(Verdict(BOOK, published, tuple(runs), ()).p(runs))
    for level in (1 / 8, 2 / 8, 4 / 8):
        assert np.mean([p <= level for p in found]) <= level + 3 * math.sqrt(level / 400)
    assert min(found) == 1 / 8


def test_a_log_that_is_none_of_the_runs():
    outside = {(r.epoch, name): 9.0 for r in BOOK.log for name in ("loss", "train_acc", "test_acc")}
    runs = [(-1) ** n * n / 1000 for n in range(40)]
    found = verdict(*runs, published=outside)
    # One of the runs is lowest in all its values; among the others, another one is.
    assert found.p(found.runs) == 2 / 41 < LEVEL
    assert found.p(found.others) == 2 / 40 == LEVEL and found.belongs is None
    assert found.answer() == ("Perhaps: the published log is a rare high draw in a lottery; 0 of "
                              "40 other runs ended as high or higher; whether the whole log "
                              "fits is open.")
    more = verdict(*runs, *runs[:2], published=outside)
    assert more.belongs is False
    assert more.answer() == ("No: the published log is too unusual for a run of its recipe; 0 of "
                             "42 other runs ended as high or higher.")
    assert more.sentences()[2] == (
        "Among all 43 runs, 1 other is as far or farther from the middle, averaged over the log's "
        "15 values (rank test, p = 0.047). If 1 more of them were as far, p would be 0.05 or more.")
    alone = Verdict(BOOK, outside, more.others, ())
    assert alone.p(alone.others) < LEVEL and alone.belongs is None  # it takes runs of ours, too


@dataclass(frozen=True)
class Fixed(Verdict):
    """A verdict in which a given number of runs lies as far as the published one."""

    far: int = 0

    def as_far(self, runs):
        return self.far


def test_what_would_change_it_by_counting():
    """The words name the nearest number of runs on the other side of the level."""
    for runs, as_far in ((n, k) for n in range(1, 60) for k in range(n)):
        others = [{}] * (runs - 1)
        words = Fixed(BOOK, {}, tuple(others), (), far=as_far).what_would_change_it(others)
        below = (1 + as_far) / runs < LEVEL
        across = [k for k in range(runs) if ((1 + k) / runs < LEVEL) != below]
        assert words == (
            f"If {min(across) - as_far} more of them were as far, p would be 0.05 or more."
            if below else
            f"If {as_far - max(across)} fewer of them were, p would be below 0.05." if across else
            "So few runs cannot bring p below 0.05; that takes 21."), (runs, as_far)


def test_the_books_own_verdict():
    """The packaged atlas and the seeds that are in the results."""
    found = verdict_of(BOOK, book_records(0.3, 0.31, 0.32, dtype="bfloat16").values())
    assert len(found.others) == 22 and len(found.ours) == 3
    assert found.as_low(found.others) == 1  # the one that stayed at 0.100
    finals = sorted(log.test_acc[-1] for log in read_atlas()
                    if (log.framework, log.recipe, log.epochs) == BOOK.atlas)
    assert finals[:3] == [0.1, 0.544, 0.667] and len(finals) == 23
    assert found.answer() == ("Perhaps: the published log is a rare low draw in a lottery; 1 of 25 "
                              "other runs ended as low or lower; whether the whole log fits "
                              "is open.")
    assert found.sentences()[0] == (
        "The log ends at a test accuracy of 0.544; 1 of 22 other published runs and none of our 3 "
        "runs ended as low or lower.")
    assert "(rank test, p = 0.043). No smaller p is possible with 23 runs." in found.sentences()[1]
    for words in (found.answer(), *found.sentences(), *found.explanation()):
        assert all(len(sentence.split()) <= 30 for sentence in re.split(r"(?<=[.!?]) ", words))
    assert [row[:3] for row in found.odds_rows()] == [
        ["published runs", "23", "13 (37% to 74%)"], ["our runs", "3", "3 (44% to 100%)"]]


def test_first_epochs_that_differ():
    """The second test supposes that our runs are like the published ones."""
    place = (1, "loss")
    runs = [{(e, name): n + 10 * e for e in (1, 2) for name in ("loss", "test_acc")}
            for n in range(30)]
    for run in runs:
        run[5, "test_acc"] = 0.5
    ours = [{**run, place: run[place] - 100} for run in runs[:9]]
    log = {**runs[0], place: 9.0}  # higher than none of the others'
    found = Verdict(BOOK, log, tuple(runs[9:]), tuple(ours))
    others = np.mean([run[place] for run in runs[9:]])
    difference, p = found.unlike()
    assert difference == pytest.approx(np.mean([run[place] for run in ours]) - others)
    assert p == 1 / 10001  # no shuffle is as uneven
    later = [spot for spot in log if spot[0] > 1]
    words = (
        "The second test assumes that our runs are of the same kind as the published ones. In the "
        f"first epoch they are not: our mean loss is {-difference:.2f} lower (permutation test, p "
        f"= 0.0001). Without that epoch p is {found.p(found.runs, later):.3f}.")
    assert found.sentences()[3] == words
    diverged = replace(found, ours=(*found.ours, {**ours[0], place: math.inf}))
    assert diverged.unlike() == pytest.approx((difference, p))
    assert found.p(found.runs, later) != found.p(found.runs)
    assert "低" in ChineseVerdict(found).sentences()[3]
    for alike in (replace(found, ours=tuple(runs[::3])), replace(found, ours=found.ours[:2]),
                  replace(found, published={spot: log[spot] for spot in later})):
        assert len(alike.sentences()) == 4


def test_few_runs_are_no_yes():
    shifts = [(-1) ** n * n / 1000 for n in range(20)]
    few = verdict(*shifts)  # the last one is ours
    assert few.p(few.runs) == 1 and few.belongs is None
    assert verdict(*shifts, 0.020).belongs is True
    assert replace(few, others=few.others[:5], ours=few.others[5:]).belongs is None


def test_what_is_left_out():
    records = [*book_records(0.1).values(), *book_records(0.1, limit=64).values(),
               *book_records(0.1, epochs=2).values()]
    records.append(replace(records[0], own_data="abc"))
    assert len(verdict_of(BOOK, records).ours) == 1
    other = replace(records[0], device="gpu"), replace(
        records[0], settings=records[0].settings.but(engine="torch"))
    found = verdict_of(BOOK, [*records, *other])
    assert len(found.ours) == 3  # the same seed, but other runs
    assert found.kinds == {"in float32 on cpu": 1, "in float32 on gpu": 1,
                           "in float32 on cpu with PyTorch": 1}
    assert ("Ours: 1 in float32 on cpu, 1 in float32 on gpu, 1 in float32 on cpu with PyTorch."
            in found.explanation()[-1])
    assert verdict_of(BOOK, records[1:2]) is None  # a quick look
    assert verdict_of(BOOK, records[1:]).ours == ()  # one of fewer epochs is no end to compare
    assert verdict_of(BOOK, records, atlas=[]) is None  # nobody else's
    assert verdict_of(EDITIONS["mlpconv-112"], records) is None  # it published no log


def test_published_runs_alone():
    """The log among other people's runs, before there are any of ours."""
    found = verdict_of(BOOK, [])
    assert list(found.compared) == ["published"] and found.belongs is None
    assert found.answer() == (
        "Not tried: this project has no runs of this recipe. Among the published runs, the "
        "published log is a rare low draw in a lottery; 1 of 22 other runs ended as low or lower.")
    # 0.544 and what stands beside it are the furthest from the middle of 23 runs.
    assert found.p(found.others) == 1 / 23
    assert [row[0] for row in found.odds_rows()] == ["published runs"]
    assert "our" not in " ".join([*found.sentences(), *found.explanation()]).split()


def test_a_run_that_diverged_ended_at_guessing():
    """It is not left out, which would make the odds look better than they are."""
    whole, = book_records(0.3).values()
    broken = replace(whole, history=whole.history[:2], diverged="loss nan in epoch 3")
    found = verdict_of(BOOK, [whole, broken])
    assert found.ours[1][2, "loss"] == found.ours[0][2, "loss"]
    assert [found.ours[1][epoch, "test_acc"] for epoch in (3, 4, 5)] == [0.1] * 3
    assert found.odds_rows()[1] == ["our runs", "2", "1 (9% to 91%)", "0 (0% to 66%)",
                                    "1 (9% to 91%)"]


def test_the_editions_own_log_is_not_among_the_others():
    edition = EDITIONS["d2l-pytorch"]
    history = [(0.4, 0.8, 0.8)] * 10
    found = verdict_of(edition, [make_record(edition.recipe, history)])
    same = PublishedLog("pytorch", "sgd-0.1", 10, (0.5,) * 9 + (0.874,), ("x",),
                        (0.5,) * 9 + (0.871,), (1.0,) * 9 + (0.352,))
    more = verdict_of(edition, [make_record(edition.recipe, history)], [*read_atlas(), same])
    assert len(more.others) == len(found.others) == 30
    # One was broken off after six epochs, and stands where it stood.
    assert "a run that was broken off counts as it stood" in found.explanation()[1]
    assert "broken off" not in verdict_of(BOOK, []).explanation()[1]
    assert sum(run[10, "test_acc"] == 0.1 for run in found.others) == 1
    assert sorted(found.made)[:2] == [6, 10]
    assert len(found.published) == 3


def test_low_ends_with_living_classes_are_told():
    living = ((0.653, 9), (0.749, 10), (0.8, 10), (0.811, 10))
    found = replace(verdict(0.1, 0.2), living=living)
    words = ("Of our 4 runs whose classes were counted, 3 ended at 0.8 or lower, with 9 to 10 "
             "living classes. Lost classes alone do not explain that.")
    assert found.explanation()[0].endswith(words)
    assert "我们有 4 次运行" in ChineseVerdict(found).explanation()[0]
    assert "1 ended at 0.8 or lower, with 9 living" in replace(
        found, living=living[:1]).explanation()[0]
    assert replace(found, living=((0.5, 5),)).explanation()[0].endswith("with 5 living classes.")
    assert "counted" not in replace(found, living=living[3:]).explanation()[0]


def test_the_chinese_words_have_the_same_figures():
    shifts = [n / 1000 for n in range(1, 40)]
    outside = {(r.epoch, name): 9.0 for r in BOOK.log for name in ("loss", "train_acc", "test_acc")}
    found = verdict_of(BOOK, book_records(0.3, 0.31, 0.32).values())
    for each in (found, verdict(*shifts), verdict(*shifts[:5]),
                 verdict(*shifts, published=outside)):
        chinese = ChineseVerdict(each)
        for ours, theirs in zip([each.answer(), *each.sentences(), *each.explanation()],
                                [chinese.answer(), *chinese.sentences(), *chinese.explanation()]):
            assert sorted(re.findall(r"[\d.]*\d", ours)) == sorted(re.findall(r"[\d.]*\d", theirs))
            assert theirs.endswith("。")
        for theirs in (chinese.answer(), *chinese.sentences()):
            assert not re.search("[a-oq-z]{2}", theirs)
    assert ChineseVerdict(found).answer().startswith("或许能：")
    assert [row[1] for row in ChineseVerdict(found).odds_rows()] == ["23", "3"]
