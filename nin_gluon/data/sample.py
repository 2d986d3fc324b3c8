"""A sample image set that needs no download: ten kinds of garment, drawn by this file.

The classes bear Fashion-MNIST's names in its order, and the images have its format (28x28 grey
pixels, bright garment on black), so a network written for one runs on the other. Scores on the
two sets are not comparable: these are drawings, not photographs.

Every shape is a *distance*: a function of the pixel coordinates that is negative inside the
shape, zero on its outline and positive outside. Distances combine without any polygon clipping
(``minimum`` is a union, ``maximum`` an intersection), and a ramp one pixel wide around zero gives
smooth edges. All functions work on a batch of images of one class at once: coordinates have shape
(batch, 28, 28), and a parameter that varies between images has shape (batch, 1, 1).
"""

from typing import Any, Tuple, Union

import numpy as np

__all__ = ["draw_sample"]

SIDE = 28
PIXEL = 2 / SIDE  # the image spans [-1, 1] in both directions
BATCH = 200  # images drawn at a time: small enough that the working arrays stay in cache

Number = Union[float, np.ndarray]  # the same for all images, or one for each: (batch, 1, 1)
Point = Tuple[Number, Number]


def draw_sample(num_images: int, seed: int) -> Tuple[np.ndarray, np.ndarray]:
    """Draw garments of ten classes, equally often, in shuffled order.

    Parameters
    ----------
    num_images : int
        How many images to draw, at least 1. Class counts differ by at most one.
    seed : int
        Seed, at least 0. The same pair (num_images, seed) always gives the same pixels; NumPy's
        global random state is neither read nor changed.

    Returns
    -------
    images : numpy.ndarray, shape (num_images, 28, 28), dtype uint8, range 0..255
        Row 0 is the top of the picture; the background is 0.
    labels : numpy.ndarray, shape (num_images,), dtype uint8, range 0..9
        0 t-shirt, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag,
        9 ankle boot.

    Raises
    ------
    ValueError
        If num_images is less than 1.
    """
    if num_images < 1:
        raise ValueError(f"A sample needs at least one image, but num_images is {num_images}.")
    rng = np.random.Generator(np.random.PCG64(seed))
    labels = rng.permutation(np.arange(num_images) % len(GARMENTS)).astype(np.uint8)
    images = np.empty((num_images, SIDE, SIDE), dtype=np.uint8)
    for label, draw_garment in enumerate(GARMENTS):
        places = np.flatnonzero(labels == label)
        for start in range(0, len(places), BATCH):
            batch = places[start : start + BATCH]
            sheet = Sheet(len(batch), rng)
            draw_garment(sheet)
            images[batch] = sheet.develop()
    return images, labels


class Sheet:
    """A batch of black images to paint on, each seen in its own random pose.

    Parameters
    ----------
    batch : int
        Number of images.
    rng : numpy.random.Generator
        Source of all randomness.

    Attributes
    ----------
    x, y : numpy.ndarray, shape (batch, 28, 28), dtype float32, about -1.3..1.3
        Garment coordinates of the pixels, x to the right and y down.
    light : numpy.ndarray, shape (batch, 28, 28), dtype float32, range 0..2
        Brightness relative to the shade of the cloth.
    cover : numpy.ndarray, shape (batch, 28, 28), dtype float32, range 0..1
        How much of each pixel belongs to the garment.
    """

    def __init__(self, batch: int, rng: np.random.Generator) -> None:
        self.batch, self.rng = batch, rng
        centres = (np.arange(SIDE, dtype=np.float32) + 0.5) * PIXEL - 1
        x = centres[None, None, :] - self.vary(-0.07, 0.07)
        y = centres[None, :, None] - self.vary(-0.07, 0.07)
        # Moving the coordinates, not the shapes, poses every garment with the same few lines.
        turn, shear, size = self.vary(-0.07, 0.07), self.vary(-0.06, 0.06), self.vary(0.8, 1.04)
        self.x = (x + (shear - turn) * y) / (size * self.vary(0.92, 1.08))
        self.y = (y + turn * x) / size
        # Cloth has no straight edges: a slow wave bends every outline a little.
        self.x += self.vary(0, 0.03) * wave(self.vary(0.3, 1) * self.y + self.vary(0, 1))
        self.light = np.zeros((batch, SIDE, SIDE), dtype=np.float32)
        self.cover = np.zeros_like(self.light)

    def vary(self, low: Number, high: Number) -> np.ndarray:
        """Draw a number for each image, uniform in low..high: shape (batch, 1, 1), float32."""
        return self.rng.uniform(low, high, (self.batch, 1, 1)).astype(np.float32)

    def either(self, chance: float, value: Number, other: Number) -> np.ndarray:
        """Take value with the given chance, else other, for each image: shape (batch, 1, 1)."""
        picked = np.where(self.vary(0, 1) < chance, value, other)
        return picked.astype(np.float32)

    def paint(self, distance: np.ndarray, tone: Number = 1.0) -> None:
        """Lay a shape over the picture; a tone below 1 is darker than the cloth, 0 a hole."""
        cover = coverage(distance)
        self.light += cover * (tone - self.light)
        np.maximum(self.cover, cover, out=self.cover)

    def shade(self, distance: np.ndarray, tone: Number) -> None:
        """Change the tone of the part of a shape that lies on the garment."""
        self.light *= 1 + coverage(distance) * (tone - 1)

    def develop(self) -> np.ndarray:
        """Add shade, pattern, folds and noise: shape (batch, 28, 28), dtype uint8."""
        # The lamp stands to one side.
        light = self.light * (1 + self.vary(-0.2, 0.2) * self.x + self.vary(-0.2, 0.2) * self.y)
        # Some cloth is striped, more often across than along.
        strength = self.either(0.2, self.vary(0.1, 0.35), 0)
        position = np.where(self.vary(0, 1) < 0.7, self.y, self.x)
        light *= 1 - strength * (wave(self.vary(1.6, 3.8) * position + self.vary(0, 1)) > 0)
        # A fold is a dark crease along a line.
        crease = self.x + self.vary(-0.8, 0.8) * self.y - self.vary(-0.5, 0.5)
        crease /= self.vary(0.05, 0.15)
        light *= 1 - self.either(0.6, self.vary(0.1, 0.4), 0) / (1 + crease * crease)
        # A print on the cloth, or something that hides a part of it.
        patch = ellipse(self.x, self.y, self.vary(-0.3, 0.3), self.vary(-0.4, 0.4),
                        self.vary(0.1, 0.25), self.vary(0.1, 0.25))
        light *= 1 - self.either(0.15, self.vary(0.2, 0.6), 0) * coverage(patch)
        noise = self.rng.standard_normal(light.shape, dtype=np.float32)
        light = light * self.vary(0.3, 1) + self.vary(0.01, 0.03) * noise * self.cover
        return (255 * np.clip(light, 0, 1)).astype(np.uint8)


def coverage(distance: np.ndarray) -> np.ndarray:
    """How much of each pixel lies inside a shape: 1 inside, 0 outside, a ramp between."""
    return np.clip(0.5 - distance / PIXEL, 0, 1)


# Shapes: a wave and a curve to bend them, and distances to simple outlines, negative inside.


def wave(t: np.ndarray) -> np.ndarray:
    """Nearly a sine of period 1; plain arithmetic rounds alike on all machines, sines may not."""
    t = 2 * (t % 1) - 1
    return 4 * t * (np.abs(t) - 1)


def slab(v: np.ndarray, low: Number, high: Number) -> np.ndarray:
    """Everything between two parallel lines."""
    return np.maximum(low - v, v - high)


def ellipse(x: np.ndarray, y: np.ndarray, centre_x: Number, centre_y: Number, radius_x: Number,
            radius_y: Number) -> np.ndarray:
    """An ellipse; the distance is right near the outline, the only place where it matters."""
    u, v = (x - centre_x) / radius_x, (y - centre_y) / radius_y
    reach = np.sqrt(u * u + v * v)
    slope = np.sqrt((u / radius_x) ** 2 + (v / radius_y) ** 2) + 1e-6  # not 0 at the centre
    return reach * (reach - 1) / slope


def capsule(x: np.ndarray, y: np.ndarray, start: Point, end: Point, start_radius: Number,
            end_radius: Number) -> np.ndarray:
    """A round-ended bar from point start to point end, like a sleeve or a strap."""
    (x0, y0), (x1, y1) = start, end
    dx, dy = x1 - x0, y1 - y0
    t = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
    u, v = x - x0 - t * dx, y - y0 - t * dy
    return np.sqrt(u * u + v * v) - (start_radius + t * (end_radius - start_radius))


def profile(t: np.ndarray, *knots: Point) -> np.ndarray:
    """A curve through the knots (position, value), straight between them and flat outside."""
    (t0, v0), *rest = knots
    curve: Any = v0
    for t1, v1 in rest:
        curve = curve + (v1 - v0) * np.clip((t - t0) / (t1 - t0), 0, 1)
        t0, v0 = t1, v1
    return curve


# Garments: one function for each class, which paints on the sheet s. Where x is abs(s.x), the code
# describes the right half of the garment and the left half mirrors it.


def upper_body(s: Sheet, bottom: Number, shoulder: Number, waist: Number, flare: Number,
               sleeve: Number, spread: Number, neck_width: Number, neck_depth: Number) -> None:
    """Paint a trunk and two sleeves.

    The hem is wider than the waist by `flare`. The sleeves go `spread` outwards for 1 down.
    """
    x, y, top = np.abs(s.x), s.y, -0.86
    half_width = profile(y, (top, neck_width + 0.05), (top + 0.16, shoulder), (0.1, waist),
                         (bottom, waist + flare))
    trunk = np.maximum(x - half_width, slab(y, top, bottom))
    armpit, cuff = (shoulder - 0.13, -0.62), (shoulder - 0.13 + spread * sleeve, -0.62 + sleeve)
    arm = s.vary(0.13, 0.18)
    s.paint(np.maximum(capsule(x, y, armpit, cuff, arm, 0.75 * arm), y - cuff[1]), s.vary(0.8, 1))
    s.shade(np.abs(trunk) - 0.04, s.vary(0.5, 0.95))  # the sleeve's seam, or its shadow
    s.paint(trunk)
    # The neck either shows the black background or the inside of the garment's back.
    s.shade(ellipse(x, y, 0, top, neck_width, neck_depth), s.either(0.5, 0, s.vary(0, 0.6)))


def t_shirt(s: Sheet) -> None:
    upper_body(s, bottom=s.vary(0.65, 0.92), shoulder=s.vary(0.5, 0.6), waist=s.vary(0.4, 0.54),
               flare=s.vary(-0.03, 0.08), sleeve=s.either(0.85, s.vary(0.2, 0.5), 0.02),
               spread=s.vary(0.5, 0.9), neck_width=s.vary(0.18, 0.3), neck_depth=s.vary(0.08, 0.3))


def trouser(s: Sheet) -> None:
    x, y = np.abs(s.x), s.y
    top, bottom, crotch = s.vary(-0.95, -0.85), s.vary(0.8, 0.95), s.vary(-0.5, -0.25)
    hips = s.vary(0.26, 0.38)
    outside = hips + s.vary(-0.06, 0.1)
    inside = np.maximum(outside - s.vary(0.14, 0.3), 0.01)
    outer = profile(y, (top, hips - 0.05), (crotch, hips), (bottom, outside))
    inner = profile(y, (crotch, -0.05), (crotch + 0.1, 0.0), (bottom, inside))
    s.paint(np.maximum(slab(x, inner, outer), slab(y, top, bottom)))
    s.shade(slab(y, top + 0.08, top + 0.12), s.vary(0.5, 1))  # the waistband


def pullover(s: Sheet) -> None:
    upper_body(s, bottom=s.vary(0.5, 0.8), shoulder=s.vary(0.52, 0.62), waist=s.vary(0.42, 0.54),
               flare=s.vary(-0.08, 0.02), sleeve=s.vary(1.05, 1.4), spread=s.vary(0.12, 0.34),
               neck_width=s.vary(0.16, 0.28), neck_depth=s.vary(0.04, 0.16))
    s.shade(slab(s.y, s.vary(0.5, 0.7), 2), s.either(0.4, s.vary(0.6, 0.9), 1))  # ribbed hem


def dress(s: Sheet) -> None:
    upper_body(s, bottom=s.vary(0.8, 0.95), shoulder=s.vary(0.24, 0.36), waist=s.vary(0.17, 0.3),
               flare=s.vary(0.04, 0.3), sleeve=s.either(0.5, 0.02, s.vary(0.1, 1.2)),
               spread=s.vary(0.1, 0.35), neck_width=s.vary(0.12, 0.2), neck_depth=s.vary(0.06, 0.3))
    belt = s.vary(-0.1, 0.1)
    s.shade(slab(s.y, belt - 0.04, belt + 0.04), s.either(0.4, s.vary(0.4, 0.9), 1))


def coat(s: Sheet) -> None:
    upper_body(s, bottom=s.vary(0.8, 0.96), shoulder=s.vary(0.48, 0.58), waist=s.vary(0.4, 0.54),
               flare=s.vary(0, 0.14), sleeve=s.vary(1.1, 1.45), spread=s.vary(0.08, 0.26),
               neck_width=s.vary(0.14, 0.24), neck_depth=s.vary(0.05, 0.2))
    x, y = np.abs(s.x), s.y
    # The opening runs down the front, below lapels that fold outwards.
    lapel = profile(y, (-0.86, s.vary(0.1, 0.24)), (s.vary(-0.6, -0.1), 0))
    s.shade(x - np.maximum(lapel, s.vary(0.01, 0.04)), s.vary(0.1, 0.7))


def sandal(s: Sheet) -> None:
    x, ground = s.x, s.vary(0.3, 0.5)
    heel = s.either(0.6, s.vary(0.05, 0.2), s.vary(0.2, 0.6))  # flat ones and high ones
    rise = ground - heel * profile(x, (-0.4, 0), (-0.2, 0.1), (0.5, 0.9), (0.9, 1)) - s.y
    half, strap = s.vary(0.04, 0.1), s.vary(0.04, 0.09)  # half the thickness of sole and straps
    # Either a wedge fills the space under the foot or a heel stands in it.
    heel_front = s.either(0.5, s.vary(-0.2, 0.3), s.vary(0.55, 0.75))
    under = np.maximum(slab(x, heel_front, 0.88), slab(s.y, ground - heel, ground + half))
    s.paint(np.maximum(under, rise), s.vary(0.6, 1.1))
    # Seen in height above the sole, the straps are the same for flat and high sandals.
    height = s.vary(0.25, 0.45)
    loop = np.abs(ellipse(x, rise, 0.55, height, 0.32, s.vary(0.08, 0.2)))
    band = np.abs(ellipse(x, rise, -0.5, 0, s.vary(0.2, 0.34), s.vary(0.2, 0.4)))
    band = np.maximum(band - s.vary(0.04, 0.2), -rise)
    counter = np.maximum(slab(x, 0.86 - s.vary(0.1, 0.3), 0.86), slab(rise, 0, height))
    width = s.either(0.6, strap, -1)  # a strap of negative width is none
    bridge = capsule(x, rise, (-0.35, 0.2), (0.3, height), width, width)
    s.paint(loop - s.either(0.8, strap, -1), s.vary(0.7, 1.1))
    s.paint(counter, s.vary(0.7, 1.1))
    s.paint(bridge)
    s.paint(band, s.vary(0.7, 1.1))
    s.paint(np.maximum(slab(rise, -half, half), slab(x, -0.9, 0.88)), s.vary(0.6, 1.1))


def shirt(s: Sheet) -> None:
    long = s.vary(0, 1) < 0.6
    upper_body(s, bottom=s.vary(0.68, 0.9), shoulder=s.vary(0.44, 0.54), waist=s.vary(0.34, 0.48),
               flare=s.vary(-0.02, 0.08), sleeve=np.where(long, s.vary(1, 1.4), s.vary(0.3, 0.6)),
               spread=np.where(long, s.vary(0.06, 0.22), s.vary(0.4, 0.7)),
               neck_width=s.vary(0.12, 0.2), neck_depth=s.vary(0.06, 0.16))
    x, y = np.abs(s.x), s.y
    point = s.vary(-0.7, -0.5)
    collar = np.abs(x - profile(y, (-0.86, 0.18), (point, 0.03))) - 0.05
    s.shade(np.maximum(collar, y - point), s.vary(0.5, 0.8))
    s.shade(np.maximum(x - 0.03, point - y), s.vary(0.4, 0.9))  # the button strip


def shoe(s: Sheet, top: np.ndarray, ground: Number) -> None:
    """Paint a shoe, toe to the left, whose upper edge is top, on a sole of another shade."""
    x, y = s.x, s.y
    s.paint(np.maximum(slab(y, top, ground), slab(x, -0.92, 0.88)))
    sole = np.maximum(slab(y, ground - s.vary(0.04, 0.14), ground), slab(x, -0.94, 0.92))
    s.paint(sole, s.vary(0.5, 1.3))
    lace, toe = s.vary(0.3, 1.4), s.vary(-0.05, 0.1)
    for place in (-0.34, -0.16, 0.02):
        s.shade(capsule(x, y, (place, toe), (place + 0.1, toe - 0.3), 0.035, 0.035), lace)


def sneaker(s: Sheet) -> None:
    ground, toe, collar = s.vary(0.35, 0.6), s.vary(-0.06, 0.1), s.vary(-0.55, -0.12)
    dip = collar + s.vary(0, 0.14)
    top = profile(s.x, (-0.92, toe + 0.2), (-0.84, toe + 0.06), (-0.68, toe), (-0.4, toe - 0.06),
                  (0.1, collar), (0.45, dip), (0.8, collar), (0.9, collar + 0.12))
    shoe(s, top, ground)


def bag(s: Sheet) -> None:
    x, y = np.abs(s.x), s.y
    top, bottom = s.vary(-0.4, 0.0), s.vary(0.6, 0.85)
    at_top, at_bottom = s.vary(0.5, 0.85), s.vary(0.6, 0.88)
    strap = np.abs(ellipse(x, y, 0, top, at_top * s.vary(0.4, 0.95), s.vary(0.2, 0.65)))
    strap -= s.either(0.8, s.vary(0.03, 0.07), -1)  # a strap of negative width is none
    s.paint(np.maximum(strap, y - top - 0.05), s.vary(0.6, 1.1))
    # Shrinking a box and growing its distance back rounds the corners.
    round_by = s.vary(0.03, 0.2)
    side = x - profile(y, (top, at_top), (bottom, at_bottom)) + round_by
    end = slab(y, top + round_by, bottom - round_by)
    s.paint(np.sqrt(np.maximum(side, 0) ** 2 + np.maximum(end, 0) ** 2) - round_by)
    flap = y - profile(x, (0, top + s.vary(0.2, 0.6)), (0.8, top + s.vary(0.05, 0.4)))
    s.shade(np.abs(flap) - 0.03, s.vary(0.4, 1))
    s.shade(ellipse(x, y, 0, top + 0.35, 0.08, 0.08), s.either(0.5, s.vary(0.3, 1.3), 1))


def ankle_boot(s: Sheet) -> None:
    x, y = s.x, s.y
    ground, toe, collar = s.vary(0.5, 0.8), s.vary(0.05, 0.25), s.vary(-0.85, -0.35)
    instep = s.vary(-0.2, 0.1)
    top = profile(x, (-0.92, toe + 0.2), (-0.84, toe + 0.06), (-0.68, toe), (-0.45, toe - 0.04),
                  (instep + 0.15, -0.2))
    shoe(s, top, ground - 0.1)
    heel = np.maximum(slab(x, s.vary(0.25, 0.6), 0.9), slab(y, ground - 0.15, ground))
    s.paint(heel, s.vary(0.5, 1.1))
    shaft = np.maximum(slab(x + s.vary(-0.1, 0.15) * y, instep, 0.86), slab(y, collar, 0.2))
    s.paint(shaft)
    s.shade(slab(y, collar, collar + 0.1), s.vary(0.6, 1.1))  # the cuff


GARMENTS = (t_shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle_boot)
