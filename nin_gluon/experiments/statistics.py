"""Shares of few runs and whether runs differ: Wilson's interval, a permutation test, a sign test.

All are valid for small numbers: none supposes that a share is spread like a bell.
"""

import math
from typing import Dict, Mapping, Optional, Sequence, Tuple

import numpy as np

__all__ = ["SHUFFLES", "largest_difference", "moves_to_cross", "permutation_p", "sign_test_p",
           "wilson_interval"]

SHUFFLES = 10_000

# Of the normal distribution: 95 % of it lie within so many standard deviations of its mean.
Z_95 = 1.959963984540054


def wilson_interval(count: int, total: int) -> Tuple[float, float]:
    """Wilson's score interval of 95 % confidence for a share.

    Parameters
    ----------
    count : int
        How many of `total` have the property, from 0 to `total`.
    total : int
        Above 0.

    Returns
    -------
    (float, float)
        Lowest and highest share, from 0 to 1. It never has width 0, unlike the usual
        ``p +- z sqrt(p (1 - p) / n)``.

    Raises
    ------
    ValueError
        `count` and `total` are no share.

    References
    ----------
    E. B. Wilson, Probable inference, the law of succession, and statistical inference, Journal of
    the American Statistical Association 22 (1927).
    """
    if not 0 <= count <= total or total < 1:
        raise ValueError(f"{count} of {total} is no share")
    share, z = count / total, Z_95
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total
                                               + z * z / (4 * total * total))
    # At 0 and 1 the bound is the share itself; rounding must not carry it past.
    low = 0.0 if count == 0 else max(0.0, centre - half)
    high = 1.0 if count == total else min(1.0, centre + half)
    return low, high


def largest_difference(groups: Sequence[np.ndarray]) -> np.ndarray:
    """The difference between the highest and the lowest group mean.

    Parameters
    ----------
    groups : sequence of numpy.ndarray, (..., runs of that group)

    Returns
    -------
    numpy.ndarray, (...)
    """
    means = np.stack([group.mean(axis=-1) for group in groups])
    return np.asarray(means.max(axis=0) - means.min(axis=0))


def sign_test_p(above: int, below: int) -> float:
    """How often a fair coin falls as unevenly: the two-sided sign test of paired differences.

    Parameters
    ----------
    above, below : int
        How many differences are above 0 and below 0; those of exactly 0 count for neither.

    Returns
    -------
    float
        From 0 to 1; 1 without any difference.
    """
    total = above + below
    tail = sum(math.comb(total, count) for count in range(min(above, below) + 1))
    return min(1.0, 2 * tail / 2 ** total)


def permutation_p(groups: Sequence[Sequence[float]], seed: int = 0,
                  shuffles: int = SHUFFLES) -> Tuple[float, float]:
    """How often the means differ as much when the runs are dealt to the groups at random.

    Parameters
    ----------
    groups : sequence of sequences of float
        The values of each group; two groups or more, none empty.
    seed : int
    shuffles : int

    Returns
    -------
    observed : float
        The `largest_difference` of the groups.
    p : float
        (1 + shuffles with at least the observed value) / (1 + shuffles): the observed deal is one
        of the possible ones, so p is never 0.

    Raises
    ------
    ValueError
        There are fewer than two groups, or one is empty.
    """
    if len(groups) < 2 or not all(len(group) for group in groups):
        raise ValueError("a comparison takes two groups or more, none of them empty")
    values = np.concatenate([np.asarray(group, dtype=np.float64) for group in groups])
    cuts = np.cumsum([len(group) for group in groups])[:-1]
    observed = float(largest_difference(np.split(values, cuts)))
    # The order of random numbers is a random order.
    order = np.random.default_rng(seed).random((shuffles, len(values))).argsort(axis=1)
    differences = largest_difference(np.split(values[order], cuts, axis=1))
    # The same sum in another order may differ in its last bit.
    as_large = int(np.count_nonzero(differences >= observed - 1e-12))
    return observed, (1 + as_large) / (1 + shuffles)


def moves_to_cross(shares: Mapping[str, Tuple[int, int]], level: float = 0.05,
                   shuffles: int = SHUFFLES) -> Optional[Tuple[str, int]]:
    """How many runs of one group must have ended otherwise for p to cross a level.

    The runs are those of the group with the lowest share: some more of them without the property
    push p below the level, some fewer pull it above.

    Parameters
    ----------
    shares : mapping of name to (int, int)
        Of each group how many runs have the property, and how many there are.
    level : float
    shuffles : int
        As for `permutation_p`.

    Returns
    -------
    (name, int) or None
        The group and the change in its number of runs with the property: above 0 when there had
        to be more. None if no change of that group does it.
    """
    lowest = min(shares, key=lambda name: shares[name][0] / shares[name][1])
    count, total = shares[lowest]

    def p_with(changed: int) -> float:
        counts: Dict[str, Tuple[int, int]] = {**shares, lowest: (changed, total)}
        return permutation_p([[1.0] * n + [0.0] * (of - n) for n, of in counts.values()],
                             shuffles=shuffles)[1]

    significant = p_with(count) < level
    step = 1 if significant else -1
    for changed in range(count + step, total + 1 if significant else -1, step):
        if (p_with(changed) < level) != significant:
            return lowest, changed - count
    return None
