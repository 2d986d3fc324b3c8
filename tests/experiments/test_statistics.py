"""Wilson's interval and the permutation test, against published and computed values."""

from math import comb, isclose, sqrt

import numpy as np
import pytest

from nin_gluon.experiments.statistics import (
    largest_difference,
    moves_to_cross,
    permutation_p,
    sign_test_p,
    wilson_interval,
)


@pytest.mark.parametrize("count, total, low, high", [
    # Newcombe, Statistics in Medicine 17 (1998), table I, the score method without correction.
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0000, 0.1611),
    (1, 29, 0.0061, 0.1718),
])
def test_wilson_interval_has_the_published_values(count, total, low, high):
    assert wilson_interval(count, total) == pytest.approx((low, high), abs=5e-5)


def test_wilson_bounds_are_the_shares_that_lie_z_standard_deviations_away():
    z = 1.959963984540054
    for total in (1, 2, 7, 23, 1000):
        for count in range(0, total + 1, max(1, total // 5)):
            share = count / total
            for bound in wilson_interval(count, total):
                far = z * sqrt(bound * (1 - bound) / total)
                assert isclose(abs(share - bound), far, abs_tol=1e-9)


def test_wilson_interval_is_the_same_seen_from_the_other_side():
    low, high = wilson_interval(3, 23)
    assert wilson_interval(20, 23) == pytest.approx((1 - high, 1 - low))
    assert wilson_interval(0, 5)[0] == 0 and wilson_interval(5, 5)[1] == 1


@pytest.mark.parametrize("count, total", [(-1, 3), (4, 3), (0, 0)])
def test_wilson_interval_takes_shares_only(count, total):
    with pytest.raises(ValueError, match="no share"):
        wilson_interval(count, total)


def exact_p(one, other):
    """The p of two groups of 0 and 1 over every deal, by counting."""
    n, m, ones = len(one), len(other), int(sum(one) + sum(other))
    observed = abs(sum(one) / n - sum(other) / m)
    as_large = sum(comb(n, k) * comb(m, ones - k)
                   for k in range(max(0, ones - m), min(n, ones) + 1)
                   if abs(k / n - (ones - k) / m) >= observed - 1e-12)
    return as_large / comb(n + m, ones)


@pytest.mark.parametrize("one, other", [
    ([1] * 3, [0] * 3),  # 2 of 20 deals
    ([1] * 8 + [0] * 2, [1] * 3 + [0] * 7),
    ([1] * 5 + [0] * 18, [1] * 12 + [0] * 4),
])
def test_permutation_p_is_the_exact_one_within_its_error(one, other):
    observed, p = permutation_p([one, other], shuffles=20_000)
    exact = exact_p(one, other)
    assert observed == pytest.approx(abs(np.mean(one) - np.mean(other)))
    assert abs(p - exact) < 4 * sqrt(exact * (1 - exact) / 20_000) + 1e-4


def test_groups_that_are_equal_have_p_1_and_none_has_p_0():
    assert permutation_p([[1, 0], [1, 0], [0, 1]], shuffles=100) == (0.0, 1.0)
    apart = permutation_p([[1.0] * 30, [0.0] * 30], shuffles=100)
    assert apart == (1.0, 1 / 101)


def test_the_same_seed_deals_the_same():
    groups = [[0.1, 0.5, 0.8, 0.82], [0.85, 0.86, 0.9]]
    assert permutation_p(groups, seed=3) == permutation_p(groups, seed=3)
    assert permutation_p(groups, seed=3)[1] == pytest.approx(permutation_p(groups, seed=4)[1],
                                                             abs=0.03)


def test_the_largest_difference_is_between_means():
    assert largest_difference([np.array([1.0, 0.0]), np.array([1.0]), np.array([0.0])]) == 1
    deals = [np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([[0.0], [0.5]])]
    assert largest_difference(deals).tolist() == [1.0, 0.5]


@pytest.mark.parametrize("groups", [[], [[1.0]], [[1.0], []]])
def test_a_comparison_takes_two_groups(groups):
    with pytest.raises(ValueError, match="two groups"):
        permutation_p(groups)


def p_of(a, b):
    return permutation_p([[1.0] * n + [0.0] * (of - n) for n, of in (a, b)], shuffles=2000)[1]


def test_moves_to_cross_is_the_smallest_change_that_does():
    name, moved = moves_to_cross({"a": (12, 20), "b": (8, 20)}, shuffles=2000)
    assert name == "b" and moved < 0
    assert p_of((12, 20), (8 + moved, 20)) < 0.05 <= p_of((12, 20), (8 + moved + 1, 20))
    name, moved = moves_to_cross({"a": (18, 20), "b": (4, 20)}, shuffles=2000)
    assert name == "b" and moved > 0
    assert p_of((18, 20), (4 + moved, 20)) >= 0.05 > p_of((18, 20), (4 + moved - 1, 20))


def test_moves_to_cross_may_find_none():
    assert moves_to_cross({"a": (2, 2), "b": (0, 2)}, shuffles=500) is None


@pytest.mark.parametrize("above, below, p", [
    (1, 9, 0.021484375), (9, 1, 0.021484375), (2, 8, 0.109375), (28, 2, 8.679926e-07),
    (5, 5, 1), (0, 6, 0.03125), (0, 0, 1)])
def test_sign_test_has_scipys_values(above, below, p):
    """Of scipy.stats.binomtest(above, above + below).pvalue, but for the last, which it refuses."""
    assert sign_test_p(above, below) == pytest.approx(p, rel=1e-6)
