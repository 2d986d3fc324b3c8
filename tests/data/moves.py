"""How an image has been mirrored and shifted."""

import numpy as np


def moves(image, outcome, most):
    """All (mirrored, down, right) that make an outcome of an image."""
    height, width, _ = image.shape
    found = []
    for mirrored in (0, 1):
        flipped = image[:, ::-1] if mirrored else image
        padded = np.pad(flipped, ((most, most), (most, most), (0, 0)))
        for down in range(-most, most + 1):
            for right in range(-most, most + 1):
                top, left = most - down, most - right
                if np.array_equal(padded[top : top + height, left : left + width], outcome):
                    found.append((mirrored, down, right))
    return found
