"""The PyTorch edition's batches, against Pillow."""

import numpy as np
import pytest

from nin_gluon import torch_edition

torch = pytest.importorskip("torch")

from nin_gluon.torch_edition import data  # noqa: E402


@pytest.mark.parametrize("size", [67, 96, 101, 112, 224, 29, 28, 27, 9, 1])
def test_resizing_is_pillows_bit_for_bit(garments, size):
    from PIL import Image

    images = garments("test", 100)[0][..., 0]
    wanted = [Image.fromarray(i).resize((size, size), Image.BILINEAR) for i in images]
    resized = data.Resize((28, 28), (size, size))(torch.tensor(images))
    np.testing.assert_array_equal(resized.numpy(), np.stack(wanted))


def test_height_and_width_are_not_mixed_up():
    from PIL import Image

    image = np.random.randint(0, 256, (20, 33)).astype("uint8")
    wanted = Image.fromarray(image).resize((50, 70), Image.BILINEAR)  # (width, height)
    resized = data.Resize((20, 33), (70, 50))(torch.tensor(image))
    np.testing.assert_array_equal(resized.numpy(), np.array(wanted))


def test_batches(garments):
    images, labels = garments("test", 50)
    batches = list(data.BatchLoader(images, labels, 16, resize=56))
    assert [tuple(X.shape) for X, _ in batches] == [(16, 1, 56, 56)] * 3 + [(2, 1, 56, 56)]
    X, y = batches[0]
    assert (X.dtype, y.dtype) == (torch.float32, torch.int64)
    assert X.stride() == (56 * 56, 1, 56, 1)  # channels last, although there is only one
    assert torch.equal(torch.cat([y for _, y in batches]), torch.tensor(labels).long())
    plain = torch.cat([X for X, _ in data.BatchLoader(images, labels, 16)])
    np.testing.assert_array_equal(plain, images.transpose(0, 3, 1, 2).astype("float32") / 255)


def test_each_pass_has_an_order_of_its_own_and_a_seed_decides_it(garments):
    images, labels = garments("train", 200)
    loader = data.BatchLoader(np.arange(200, dtype="uint8").reshape(200, 1, 1, 1), labels, 32,
                              shuffle=True)

    def order():
        return torch.cat([X.flatten() for X, _ in loader]).mul(255).round().int().tolist()

    torch.manual_seed(3)
    first, second = order(), order()
    torch.manual_seed(3)
    assert order() == first
    assert first != second and sorted(first) == sorted(second) == list(range(200))


@pytest.mark.parametrize("skip, left", [(1, 2), (2, 1), (3, 0)])
def test_a_pass_that_goes_on_leaves_out_the_batches_before(garments, skip, left):
    """It has the order of before, and uses up no random numbers."""
    loader = data.BatchLoader(*garments("train", 50), 20, shuffle=True)
    torch.manual_seed(3)
    whole = [y for _, y in loader]
    other = data.BatchLoader(*garments("train", 50), 20, shuffle=True)
    other.skip, other.order_state = skip, loader.order_state
    torch.manual_seed(99)
    before = torch.get_rng_state()
    rest = [y for _, y in other]
    assert len(rest) == left and all(map(torch.equal, rest, whole[skip:]))
    assert torch.equal(torch.get_rng_state(), before)
    assert len(list(other)) == 3  # the next pass is whole
    assert not torch.equal(torch.get_rng_state(), before)


def test_images_with_colours(garments):
    images = np.random.randint(0, 256, (4, 28, 28, 3)).astype("uint8")
    X, _ = next(iter(data.BatchLoader(images, np.arange(4), 4)))
    np.testing.assert_array_equal(X, images.transpose(0, 3, 1, 2).astype("float32") / 255)


def test_load_data_fashion_mnist_takes_the_books_arguments(garments, monkeypatch):
    monkeypatch.setattr(data, "load_image_set", lambda name, split, root: garments(split, 20))
    train_iter, test_iter = torch_edition.load_data_fashion_mnist(8, resize=64)
    assert (train_iter.shuffle, test_iter.shuffle) == (True, False)
    assert next(iter(train_iter))[0].shape == (8, 1, 64, 64)
