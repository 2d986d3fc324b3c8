"""Phrases that several texts share."""

from nin_gluon.experiments.wording import seed_words
from nin_gluon.text_tables import counted


def test_lists_of_seeds():
    assert seed_words([5, 0, 1, 2, 7, 8]) == "0-2,5,7-8"
    assert seed_words([]) == ""
    assert seed_words([3]) == "3"


def test_counts():
    assert [counted(number, "seed") for number in (0, 1, 2)] == ["0 seeds", "1 seed", "2 seeds"]
