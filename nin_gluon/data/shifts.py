"""How far augmentation moves an image; the same with both frameworks."""

from typing import Dict, Optional

from nin_gluon.errors import InputError

__all__ = ["most_shift"]

# Name -> the most pixels that an image is shifted by; each image is mirrored half of the time.
SHIFTS: Dict[str, int] = {"mirror": 0, "shift-mirror": 4}


def most_shift(name: str) -> Optional[int]:
    """The most pixels that images are shifted by; None for ``none``, which changes nothing.

    Raises
    ------
    InputError
        The name is unknown.
    """
    if name != "none" and name not in SHIFTS:
        raise InputError(f"augment is {name!r}; use none, {' or '.join(SHIFTS)}.")
    return SHIFTS.get(name)
