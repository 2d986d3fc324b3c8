"""When classes die, and what the start tells about the end."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from nin_gluon.analysis.initial_state import InitialState
from nin_gluon.experiments.comparisons import compare
from nin_gluon.experiments.exercises.registry import EXERCISES
from nin_gluon.experiments.odds import (
    chance_of_overlap,
    deaths,
    escape_epoch,
    fates,
    format_odds,
    known_rows,
    rank_correlation,
    ranks,
)
from nin_gluon.experiments.records import record_from_json, record_to_json
from tests.experiments.made_runs import make_record

PART = EXERCISES["lottery"].parts[0]
ALL = tuple(range(10))


def run(label, seed, start, *living, stalled=0, back=False):
    """A run whose loss stands at ln 10 in its first epochs, and in the last one if it fell back."""
    settings = PART.settings_of(label, "float32", seed).but(dataset="fashion-mnist")
    living = [*living, *[living[-1]] * (settings.epochs - len(living))]
    losses = [2.3] * stalled + [2.0] * (len(living) - stalled - back) + [2.3] * back
    record = make_record(settings, [(loss, 0.2, len(alive) / 10 - 0.05)
                                    for loss, alive in zip(losses, living)],
                         parameters=10, macs=10**6, test_images=10000, steps=940, stall=100,
                         start=InitialState(start, 1e-4, (0.5,) * 10, 0.5))
    return replace(record, history=tuple(replace(epoch, living=alive) for epoch, alive in
                                         zip(record.history, living)))


def test_each_death_has_its_moment():
    record = run("textbook", 0, (0, 1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 6, 8), (2, 3, 4, 5, 6, 8),
                 (3, 4, 5, 6, 8), (4, 5, 6, 8), stalled=2)
    assert escape_epoch(record) == 3
    assert deaths(record) == {"before step 1": 2, "at ln 10": 2, "in the epoch of the escape": 1,
                              "later": 1}  # 7, 9; 0, 1; 2; 3
    assert sum(deaths(record).values()) == 10 - 4
    assert fates(record) == {"started dead": 3, "started dead, dead": 2,
                             "started alive": 7, "started alive, dead": 4,
                             "died at ln 10": 2, "died at ln 10, alive later": 0,
                             "died after it": 2, "died after it, alive later": 0}
    never = replace(record, history=tuple(replace(epoch, loss=2.3) for epoch in record.history))
    assert escape_epoch(never) is None
    assert deaths(never)["at ln 10"] == fates(never)["died at ln 10"] == 4


def test_a_class_that_comes_and_goes_dies_when_it_is_last_seen():
    record = run("textbook", 0, ALL, ALL[1:], ALL, ALL[1:])
    assert deaths(record) == {"later": 1}
    assert fates(record)["died after it"] == 2
    assert fates(record)["died after it, alive later"] == 1


def test_the_text_has_the_odds_of_each_variant():
    records = [run("textbook", seed, ALL[: 4 + seed], ALL[: 3 + seed], stalled=5)
               for seed in range(7)]
    records += [run("identity", seed, ALL, ALL) for seed in range(3)]
    records += [run("He", 0, ALL, ALL, ALL[:1], back=True), run("He", 1, (), (), stalled=10)]
    found, = compare([replace(PART, settings=PART.settings.but(dataset="fashion-mnist"))], records)
    text = format_odds(found)
    rows = [line.split() for line in text.splitlines()]
    assert ["textbook", "7", "4", "7", "10", "3", "6", "9", "1", "0.03", "to", "0.51", "0"] in rows
    assert ["identity", "3", "10", "10", "10", "10", "10", "10", "3", "0.44", "to", "1.00",
            "0"] in rows
    # 7 runs, each of which loses a class at ln 10: 1 of 4 that started alive, 1 of 5, ...
    assert ["textbook,", "left", "ln", "10", "7", "28", "21", "7", "0", "0"] in rows
    assert ["He,", "fell", "back", "1", "9", "0", "0", "0", "9"] in rows
    assert ["He,", "never", "left", "1", "10", "10", "0", "0", "0"] in rows
    assert ["textbook,", "left", "ln", "10", "21", "21", "49", "7"] in [row[:8] for row in rows]
    assert [row[:4] for row in rows if row[:1] == ["textbook"]][1][:3] == ["textbook", "7", "+1.00"]
    assert any(row[:6] == ["identity", "3", "all", "alike", "all", "alike"] for row in rows)


def test_runs_of_which_too_little_is_known_are_left_out():
    known = run("textbook", 0, ALL, ALL)
    blind = replace(known, settings=known.settings.but(seed=1), start=None)
    found, = compare([replace(PART, settings=PART.settings.but(dataset="fashion-mnist"))],
                     [known, blind])
    assert " 1 " in format_odds(found).splitlines()[4]
    assert format_odds(replace(found, rows={"textbook": {1: blind}})) == (
        "No run says which classes were alive.")


def test_the_start_is_kept_in_the_record():
    record = run("textbook", 0, (1, 2), ALL)
    content = record_to_json(record)
    assert content["start"]["living"] == [1, 2]
    assert record_from_json(content) == record
    for wrong in ({"living": [2, 1]}, {"positive": [2]}, {"spread": float("nan")}, {"more": 1}):
        with pytest.raises(ValueError):
            record_from_json({**content, "start": {**content["start"], **wrong}})


def test_the_chance_of_an_overlap_by_counting():
    """Dead at the start and at the end: two and three of ten classes, then one and one."""
    draws = [len({0, 1} & set(end)) for end in itertools.combinations(range(10), 3)]
    both = [one + other for one in draws for other in [1] + [0] * 9]
    for overlap in range(4):
        assert chance_of_overlap([(2, 3), (1, 1)], overlap) == pytest.approx(
            np.mean([found >= overlap for found in both]))
    assert chance_of_overlap([(10, 4)], 4) == 1  # all were dead at the start


def test_rank_correlation():
    assert ranks([3, 1, 1, 2]).tolist() == [4, 1.5, 1.5, 3]
    x, y = [1, 2, 3, 4, 5, 6, 7], [2, 1, 4, 3, 6, 5, 7]
    value, chance = rank_correlation(x, y)
    # Spearman's formula for values without ties: 1 - 6 sum(d^2) / (n (n^2 - 1)).
    assert value == pytest.approx(1 - 6 * 6 / (7 * 48))
    assert 0 < chance < 0.05
    draw = np.random.RandomState(1)
    assert rank_correlation(draw.rand(40), draw.rand(40))[1] > 0.05


def test_rows_of_two_arithmetics_stand_beside_each_other():
    part = replace(PART, settings=PART.settings.but(dataset="fashion-mnist"))
    record = run("textbook", 0, ALL, ALL)
    half = replace(record, settings=record.settings.but(dtype="bfloat16"))
    torch = replace(record, settings=record.settings.but(engine="torch"))
    own = replace(record, own_data="abc")
    diverged = replace(run("identity", 0, ALL, ALL), diverged="lower --lr")
    assert known_rows(compare([part], [record, diverged])) == {"textbook": [record]}
    assert known_rows(compare([part], [record, half])) == {
        "textbook, float32 on cpu": [record], "textbook, bfloat16 on cpu": [half]}
    assert known_rows(compare([part], [record, torch, own])) == {
        "textbook, float32 on cpu": [record], "textbook, float32 on cpu, PyTorch": [torch],
        "textbook, float32 on cpu, own files abc": [own]}
