"""The batches of the PyTorch engine against those of the Gluon engine."""

import numpy as np
import pytest
from mxnet import nd

from nin_gluon.data import load_data, resize
from nin_gluon.data.preprocess import preprocessor as gluons_preprocessor
from nin_gluon.errors import InputError
from tests.data.moves import moves

torch = pytest.importorskip("torch")

from nin_gluon.data import torch_loader, torch_preprocess, torch_resize  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

RANDOM = np.random.RandomState(3)
CPU = torch.device("cpu")


def both_resized(images, height, width, interpolation):
    """The images as OpenCV, through Gluon, and as PyTorch resizes them."""
    gluons = nd.image.resize(nd.array(images, dtype="uint8"), size=(width, height),
                             interp=resize.INTERPOLATIONS[interpolation]).asnumpy()
    ours = torch_resize.resizer(images.shape[1:3], (height, width), CPU, interpolation)
    return ours(torch.from_numpy(images)).numpy(), gluons


@pytest.mark.parametrize("interpolation", resize.INTERPOLATIONS)
def test_every_size_from_28_to_300(garments, interpolation):
    image = garments("train", 1)[0].copy()
    image[:, :, 14:] = RANDOM.randint(0, 256, (1, 28, 14, 1))
    for size in range(28, 301):
        ours, gluons = both_resized(image, size, size, interpolation)
        assert ours.dtype == gluons.dtype and np.array_equal(ours, gluons), size


@pytest.mark.parametrize("interpolation", resize.INTERPOLATIONS)
@pytest.mark.parametrize("old, new", [((32, 32), (67, 67)), ((33, 21), (50, 90)), ((5, 7), (3, 2)),
                                      ((1, 1), (4, 4)), ((40, 40), (20, 13))])
def test_colours_shrinking_and_oblong_images(interpolation, old, new):
    images = RANDOM.randint(0, 256, (3, *old, 3)).astype(np.uint8)
    ours, gluons = both_resized(images, *new, interpolation)
    assert np.array_equal(ours, gluons)


@pytest.mark.parametrize("options", [
    {}, {"resize": 40}, {"resize": 40, "interpolation": "bicubic"}, {"limit": 30, "resize": 31},
    {"validation": 11}, {"preprocess": "standardize", "resize": 30}, {"part": (1, 2)}])
def test_batches_are_gluons_to_the_bit(few_images, options):
    """In the same order for the same state of NumPy's random numbers, pass after pass."""
    passes = []
    for load in (load_data, torch_loader.load_data):
        np.random.seed(5)
        train_iter, test_iter = load("sample", 13, **options)
        passes.append([batch for batches in (train_iter, test_iter, train_iter)
                       for batch in batches])
        assert len(train_iter) + len(test_iter) + len(train_iter) == len(passes[-1])
    assert len(passes[0]) == len(passes[1])
    for (X, y), (ours, labels) in zip(*passes):
        np.testing.assert_array_equal(ours.numpy(), X.asnumpy())
        np.testing.assert_array_equal(labels.numpy(), y.asnumpy())
        assert (ours.dtype, labels.dtype) == (torch.float32, torch.int64)
        assert ours.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["gcn", "zca"])
def test_preprocessing_is_gluons(name):
    noise = RANDOM.randint(0, 256, (300, 8, 6, 3))
    images = ((noise[:, :-2] + noise[:, 1:-1] + noise[:, 2:]) // 3).astype(np.uint8)
    images[7] = 100  # of one colour
    wanted = gluons_preprocessor(name, images)(nd.array(images[:20], dtype="uint8")).asnumpy()
    ours = torch_preprocess.preprocessor(name, images)(torch.from_numpy(images[:20])).numpy()
    np.testing.assert_allclose(ours, wanted, rtol=1e-3, atol=1e-3)
    assert ours.dtype == np.float32 and np.abs(ours).max() > 1


def test_resuming_leaves_batches_out(few_images):
    train_iter, _ = torch_loader.load_data("sample", 10)
    np.random.seed(1)
    whole = list(train_iter)
    np.random.seed(1)
    train_iter.skip = 3
    rest = list(train_iter)
    assert len(rest) == 2
    for (X, y), (other, labels) in zip(whole[3:], rest):
        assert torch.equal(X, other) and torch.equal(y, labels)


@pytest.mark.parametrize("name, most", [("mirror", 0), ("shift-mirror", 4)])
def test_each_image_is_mirrored_or_shifted_as_a_whole(name, most):
    images = RANDOM.randint(1, 256, (64, 9, 11, 2)).astype(np.uint8)
    torch.manual_seed(1)
    changed = torch_preprocess.augmenter(name)(torch.from_numpy(images)).numpy()
    found = set()
    for image, new in zip(images, changed):
        ways = moves(image, new, most)
        assert len(ways) == 1
        found.add(ways[0])
    assert {mirrored for mirrored, _, _ in found} == {0, 1}
    assert {down for _, down, _ in found} == set(range(-most, most + 1))
    torch.manual_seed(1)
    again = torch_preprocess.augmenter(name)(torch.from_numpy(images)).numpy()
    assert np.array_equal(changed, again)
    assert not np.array_equal(
        changed, torch_preprocess.augmenter(name)(torch.from_numpy(images)).numpy())


def test_what_cannot_be(few_images):
    with pytest.raises(InputError, match="'pca'; use none, standardize, gcn or zca"):
        torch_loader.load_data("sample", 20, preprocess="pca")
    with pytest.raises(InputError, match="keep their size of 28x28"):
        torch_loader.load_data("sample", 20, resize=30, preprocess="gcn")
    with pytest.raises(InputError, match="augment is 'flip'; use none, mirror or shift-mirror"):
        torch_loader.load_data("sample", 20, augment="flip")
    with pytest.raises(InputError, match="interpolation is 'cubic'"):
        torch_loader.load_data("sample", 20, interpolation="cubic")
    torch_loader.load_data("sample", 20, resize=28, preprocess="gcn")


