"""BatchLoader against Gluon's DataLoader with the transforms that it stands in for."""

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import data as gdata
from mxnet.gluon.data.vision import transforms

from nin_gluon.data import loader, resize
from nin_gluon.data.loader import BatchLoader
from nin_gluon.data.resize import BilinearResize
from nin_gluon.errors import InputError

RANDOM = np.random.RandomState(0)


def make(n, height=28, width=28, channels=1):
    """Images that hold every grey level, and labels."""
    images = RANDOM.randint(0, 256, (n, height, width, channels)).astype(np.uint8)
    return images, RANDOM.randint(0, 10, n).astype(np.uint8)


def gluons_loader(images, labels, batch_size, resize=None, shuffle=False):
    """Gluon's own loader, as the textbook builds it, but without worker processes."""
    steps = ([transforms.Resize(resize)] if resize else []) + [transforms.ToTensor()]
    dataset = gdata.ArrayDataset(mx.nd.array(images, dtype="uint8"), labels.astype(np.int32))
    return gdata.DataLoader(dataset.transform_first(transforms.Compose(steps)), batch_size, shuffle)


def assert_same_batches(ours, gluons):
    ours, gluons = list(ours), list(gluons)
    assert len(ours) == len(gluons) > 0
    for (X, y), (wanted_X, wanted_y) in zip(ours, gluons):
        assert (X.dtype, y.dtype) == (wanted_X.dtype, wanted_y.dtype) == (np.float32, np.int32)
        assert np.array_equal(X.asnumpy(), wanted_X.asnumpy())
        assert np.array_equal(y.asnumpy(), wanted_y.asnumpy())


@pytest.mark.parametrize("resize", [None, 28, 29, 67, 96, 100, 224, 13, (40, 30), (17, 96)])
def test_batches_are_gluons_bit_for_bit(resize):
    images, labels = make(11)
    assert_same_batches(BatchLoader(images, labels, 4, resize),
                        gluons_loader(images, labels, 4, resize))


@pytest.mark.parametrize("resize", [None, 67, (40, 30)])
@pytest.mark.parametrize("height, width", [(32, 32), (20, 31)])
def test_colour_images(resize, height, width):
    images, labels = make(7, height, width, channels=3)
    assert_same_batches(BatchLoader(images, labels, 3, resize),
                        gluons_loader(images, labels, 3, resize))


def test_every_grey_level_becomes_the_same_float():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    assert_same_batches(BatchLoader(images, np.zeros(1), 1),
                        gluons_loader(images, np.zeros(1), 1))


@pytest.mark.parametrize("n, batch_size", [(50, 8), (48, 8), (5, 8), (5, 1)])
def test_shuffled_passes_follow_numpys_seed_as_gluons_do(n, batch_size):
    images, labels = make(n, 4, 4)
    passes = []
    for build in (BatchLoader, gluons_loader):
        loader = build(images, labels, batch_size, shuffle=True)
        np.random.seed(7)
        passes.append([list(loader) for _ in range(3)] + [np.random.random()])
    ours, gluons = passes
    for epoch in range(3):
        assert_same_batches(ours[epoch], gluons[epoch])
    assert ours[3] == gluons[3]  # and no random number more or fewer was drawn


def labels_of(batches):
    return np.concatenate([y.asnumpy() for _, y in batches]).tolist()


def numbered(n, batch_size, **options):
    """A loader whose labels say which images it gives."""
    return BatchLoader(make(n, 4, 4)[0], np.arange(n), batch_size, **options)


def test_each_shuffled_pass_holds_every_image_once_in_an_order_of_its_own():
    loader = numbered(60, 7, shuffle=True)
    first, second = labels_of(loader), labels_of(loader)
    assert sorted(first) == sorted(second) == list(range(60))
    assert first != second and list(range(60)) not in (first, second)


def test_images_stay_with_their_labels_when_shuffled():
    images = np.repeat(np.arange(200, dtype=np.uint8), 6).reshape(200, 2, 3, 1)
    for X, y in BatchLoader(images, np.arange(200), 32, shuffle=True):
        wanted = y.asnumpy().astype(np.float32)[:, None, None, None] / np.float32(255)
        assert np.array_equal(X.asnumpy(), np.broadcast_to(wanted, X.shape))


def test_without_shuffling_no_random_number_is_drawn():
    np.random.seed(3)
    assert labels_of(numbered(20, 6)) == list(range(20))
    after = np.random.random()
    np.random.seed(3)
    assert np.random.random() == after


def test_order_is_drawn_when_a_pass_begins():
    loader = numbered(30, 10, shuffle=True)
    np.random.seed(1)
    wanted = labels_of(loader)
    np.random.seed(1)
    batches = iter(loader)
    np.random.seed(2)
    assert labels_of(batches) == wanted


def test_two_passes_at_once_do_not_disturb_each_other():
    loader = numbered(9, 2)
    pairs = list(zip(loader, loader))
    assert labels_of(a for a, _ in pairs) == labels_of(b for _, b in pairs) == list(range(9))


@pytest.mark.parametrize("n, batch_size, sizes", [
    (10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 4, [3]), (4, 1, [1, 1, 1, 1]),
])
def test_length_and_the_last_batch(n, batch_size, sizes):
    loader = numbered(n, batch_size)
    assert len(loader) == len(sizes)
    assert [X.shape for X, _ in loader] == [(size, 1, 4, 4) for size in sizes]


def test_size_is_width_and_height():
    X, _ = next(iter(numbered(2, 2, resize=(12, 5))))
    assert X.shape == (2, 1, 5, 12)


def test_skip_leaves_out_the_first_batches_of_one_pass():
    loader = numbered(50, 8, shuffle=True)
    np.random.seed(5)
    whole, following = labels_of(loader), labels_of(loader)
    np.random.seed(5)
    loader.skip = 3
    assert labels_of(loader) == whole[24:]
    assert labels_of(loader) == following


@pytest.mark.parametrize("skip, left", [(0, 3), (2, 1), (3, 0), (4, 0)])
def test_skip_up_to_the_end(skip, left):
    loader = numbered(10, 4)
    loader.skip = skip
    assert len(list(loader)) == left
    assert len(list(loader)) == 3


def test_values_are_within_0_and_1_and_batches_on_the_device():
    images = np.stack([np.zeros((28, 28, 1)), np.full((28, 28, 1), 255)]).astype(np.uint8)
    X, y = next(iter(BatchLoader(images, [3, 4], 2, resize=61, ctx=mx.cpu(1))))
    assert X[0].max().asscalar() == 0 and X[1].min().asscalar() == X[1].max().asscalar() == 1
    assert X.context == y.context == mx.cpu(1)


def test_the_arrays_it_was_given_are_not_changed_and_not_kept():
    images, labels = make(6)
    before = images.copy(), labels.copy()
    loader = BatchLoader(images, labels, 3, resize=30)
    wanted = [X.asnumpy() for X, _ in loader]
    assert np.array_equal(images, before[0]) and np.array_equal(labels, before[1])
    images[:] = 0
    assert all(np.array_equal(X.asnumpy(), w) for (X, _), w in zip(loader, wanted))


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_workers_parts_of_a_batch_follow_one_another_and_are_the_batch(workers):
    parts = []
    for rank in range(workers):
        loader = numbered(31, 7, shuffle=True, part=(rank, workers))  # the last batch has 3
        np.random.seed(4)
        loader.skip = 1
        parts.append([y.asnumpy().tolist() for _, y in loader])
        assert len(loader) == 5 and len(parts[rank]) == 4
    np.random.seed(4)
    whole = [y.asnumpy().tolist() for _, y in numbered(31, 7, shuffle=True)]
    assert [sum(batch, []) for batch in zip(*parts)] == whole[1:]
    sizes = [len(batch) for part in parts for batch in part[:-1]]
    assert max(sizes) - min(sizes) <= 1


@pytest.fixture
def device_without_opencv(monkeypatch):
    """Make the loader take its device for a GPU when it chooses how to resize."""
    def on_gpu(old, new, ctx, interpolation):
        return resize.resizer(old, new, type("", (), {"device_type": "gpu"})(), interpolation)

    def on_device(values, ctx, shape=(-1,), on_device=resize.on_device):
        return on_device(values, mx.cpu(), shape)

    monkeypatch.setattr(loader, "resizer", on_gpu)
    monkeypatch.setattr(resize, "on_device", on_device)


@pytest.mark.parametrize("resize, channels", [(67, 1), ((40, 30), 1), (224, 3)])
def test_batches_are_the_same_where_the_device_has_no_opencv(device_without_opencv, resize,
                                                             channels):
    images, labels = make(9, channels=channels)
    ours = BatchLoader(images, labels, 4, resize)
    assert isinstance(ours.resize, BilinearResize)
    assert_same_batches(ours, gluons_loader(images, labels, 4, resize))


def resized_by_opencv(images, size, interp):
    resized = mx.nd.image.resize(mx.nd.array(images, dtype="uint8"), size, interp=interp)
    return mx.nd.image.to_tensor(resized).asnumpy()


@pytest.mark.parametrize("size, channels", [((67, 67), 1), ((40, 30), 1), ((224, 224), 3)])
def test_bicubic_batches(request, size, channels):
    images, labels = make(9, channels=channels)
    wanted = resized_by_opencv(images, size, interp=2)
    assert not np.array_equal(wanted, resized_by_opencv(images, size, interp=1))

    def batches():
        return [X.asnumpy() for X, _ in
                BatchLoader(images, labels, 4, size, interpolation="bicubic")]

    assert np.array_equal(np.concatenate(batches()), wanted)
    request.getfixturevalue("device_without_opencv")
    assert np.array_equal(np.concatenate(batches()), wanted)


@pytest.mark.parametrize("resize", [None, 30])
def test_an_unknown_interpolation(resize):
    with pytest.raises(InputError, match="'nearest'; use bilinear or bicubic"):
        BatchLoader(*make(2), 2, resize, interpolation="nearest")


@pytest.mark.parametrize("free, wanted", [(10**9, True), (47 * 10**6, False), (0, False)])
def test_images_stay_on_the_host_where_the_device_is_short_of_memory(monkeypatch, free, wanted):
    monkeypatch.setattr(mx.context, "gpu_memory_info", lambda device: (free, 16 * 10**9))
    assert loader.fits(60000 * 28 * 28, mx.gpu()) == wanted
    assert loader.fits(10**12, mx.cpu())
