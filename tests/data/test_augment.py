"""Random translations and reflections, against NumPy's."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

from nin_gluon.data import load_data
from nin_gluon.data.augment import augmenter
from nin_gluon.data.loader import BatchLoader
from nin_gluon.errors import InputError
from tests.data.moves import moves


def noise(n, height=12, width=10, channels=1, dtype=np.uint8):
    """Images without zeros, so that those from outside can be told apart."""
    return np.random.RandomState(0).randint(1, 256, (n, height, width, channels)).astype(dtype)


@pytest.mark.parametrize("channels, dtype", [(1, np.uint8), (3, np.uint8), (3, np.float32)])
@pytest.mark.parametrize("name, most", [("mirror", 0), ("shift-mirror", 4)])
def test_each_image_is_mirrored_and_shifted_by_itself(name, most, channels, dtype):
    images = noise(400, channels=channels, dtype=dtype)
    outcome = augmenter(name)(nd.array(images, dtype=dtype))
    assert outcome.shape == images.shape and outcome.dtype == dtype
    drawn = [moves(*pair, most) for pair in zip(images, outcome.asnumpy())]
    assert all(len(found) == 1 for found in drawn)
    mirrored, down, right = np.array(drawn)[:, 0].T
    assert 160 <= mirrored.sum() <= 240  # 4 standard deviations about the half
    for shift in (down, right):  # each of the shifts, and none much more often than another
        counts = np.bincount(shift + most, minlength=2 * most + 1)
        assert counts.min() > 0.4 * counts.mean() and counts.max() < 1.7 * counts.mean()
    assert len({*zip(mirrored, down, right)}) > 100 * (most > 0)


def test_the_seed_decides():
    images, distort = nd.array(noise(50), dtype="uint8"), augmenter("shift-mirror")
    outcomes = []
    for seed in (1, 1, 2):
        mx.random.seed(seed)
        outcomes.append([distort(images).asnumpy() for _ in range(2)])
    (a, b), (c, d), (e, _) = outcomes
    assert np.array_equal(a, c) and np.array_equal(b, d)
    assert not np.array_equal(a, b) and not np.array_equal(a, e)


def test_training_batches_are_distorted_before_they_are_resized():
    images = noise(30)
    mx.random.seed(4)
    wanted = augmenter("shift-mirror")(nd.array(images, dtype="uint8"))
    wanted, _ = next(iter(BatchLoader(wanted.asnumpy(), range(30), 30, 24)))
    mx.random.seed(4)
    X, y = next(iter(BatchLoader(images, range(30), 30, 24, augment="shift-mirror")))
    assert np.array_equal(X.asnumpy(), wanted.asnumpy())
    assert y.asnumpy().tolist() == list(range(30))


def test_the_test_images_stay_as_they_are_and_without_it_nothing_is_drawn(few_images):
    def batches(augment):
        np.random.seed(0)
        mx.random.seed(0)
        train, test = load_data("sample", 20, limit=30, augment=augment)
        return [X.asnumpy() for X, _ in [*train, *test]], nd.random.uniform().asscalar()

    (plain, drawn), (distorted, _) = batches("none"), batches("shift-mirror")
    mx.random.seed(0)
    assert drawn == nd.random.uniform().asscalar()
    assert [np.array_equal(*pair) for pair in zip(plain, distorted)] == [False, False, True, True]


def test_unknown_names(few_images):
    with pytest.raises(InputError, match="'flip'; use none, mirror or shift-mirror"):
        load_data("sample", 20, augment="flip")
