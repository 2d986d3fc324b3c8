"""Phrases that several texts share."""

from typing import Iterable, List, Tuple

__all__ = ["seed_words"]


def seed_words(seeds: Iterable[int]) -> str:
    """Seeds as people list them: [0, 1, 2, 5] -> '0-2,5'."""
    ranges: List[Tuple[int, int]] = []
    for seed in sorted(seeds):
        if ranges and ranges[-1][1] == seed - 1:
            ranges[-1] = ranges[-1][0], seed
        else:
            ranges.append((seed, seed))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
