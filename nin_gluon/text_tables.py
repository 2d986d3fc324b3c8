"""Counts in words, and text in columns."""

from typing import List, Sequence

__all__ = ["columns", "counted"]


def counted(number: int, noun: str) -> str:
    """'1 seed', '3 seeds'."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def columns(lines: Sequence[Sequence[str]], left: int = 1) -> List[str]:
    """Rows of cells as lines of aligned text.

    Parameters
    ----------
    lines : sequence of sequence of str
        Rows of equally many cells.
    left : int
        So many columns are aligned to the left, the rest to the right.
    """
    widths = [max(map(len, column)) for column in zip(*lines)]
    return ["  ".join(f"{cell:{'<' if i < left else '>'}{width}}"
                      for i, (cell, width) in enumerate(zip(line, widths))).rstrip()
            for line in lines]
