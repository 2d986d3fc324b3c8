"""The drawn sample set: its form, its repeatability, and that it is a real learning task."""

import numpy as np
import pytest

from nin_gluon.data.sample import draw_sample


@pytest.fixture(scope="module")
def train():
    return draw_sample(1500, seed=0)


@pytest.fixture(scope="module")
def held_out():
    return draw_sample(300, seed=1)


def test_format_is_that_of_fashion_mnist(train):
    images, labels = train
    assert images.shape == (1500, 28, 28) and images.dtype == np.uint8
    assert labels.shape == (1500,) and labels.dtype == np.uint8


@pytest.mark.parametrize("num_images", [1, 7, 1500, 1503])
def test_classes_are_balanced(num_images):
    images, labels = draw_sample(num_images, seed=2)
    counts = np.bincount(labels, minlength=10)
    assert len(images) == counts.sum() == num_images
    assert len(counts) == 10 and counts.max() - counts.min() <= 1


def test_order_is_shuffled(train):
    # One in ten neighbours shares a class by chance; sorted or cyclic labels give 1 or 0.
    labels = train[1]
    assert 0.05 < np.mean(labels[1:] == labels[:-1]) < 0.15


def test_same_seed_draws_the_same_pixels():
    first, second = draw_sample(50, seed=5), draw_sample(50, seed=5)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_global_random_state_is_neither_read_nor_changed():
    np.random.seed(1)
    first, _ = draw_sample(30, seed=5)
    after_drawing = np.random.random(4)
    np.random.seed(1)
    np.testing.assert_array_equal(np.random.random(4), after_drawing)
    second, _ = draw_sample(30, seed=5)
    np.testing.assert_array_equal(first, second)


def test_no_image_occurs_twice_within_or_across_seeds(train, held_out):
    # The second set of 300 has the size of the first, so that only the seed can tell them apart.
    images = np.concatenate([train[0], held_out[0], draw_sample(300, seed=2)[0]])
    assert len({image.tobytes() for image in images}) == len(images)


def test_every_image_shows_a_bright_garment_on_black(train):
    images = train[0]
    on_garment = images > 25
    area = on_garment.mean(axis=(1, 2))
    assert area.min() > 0.04 and area.max() < 0.75
    assert images.max(axis=(1, 2)).min() > 50
    corners = images[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.mean(corners == 0) > 0.99
    assert (images == 0).mean(axis=(1, 2)).min() > 0.2


def test_garments_stand_in_the_picture_as_they_do_in_fashion_mnist(train):
    images, labels = train
    mean = np.stack([images[labels == label].mean(axis=0) for label in range(10)])
    half = 14
    for low_toe_left in (7, 9):  # sneaker and ankle boot point left, so the heel side is fuller
        assert mean[low_toe_left][:, half:].sum() > 1.2 * mean[low_toe_left][:, :half].sum()
    assert mean[1][22:26, 13:15].mean() < 0.6 * mean[1][8, 13:15].mean()  # a gap between the legs
    sides = [0, 1, 2, 3, 24, 25, 26, 27]
    low_arm = mean[:, 16:22][:, :, [4, 5, 6, 21, 22, 23]].mean(axis=(1, 2))
    assert low_arm[2] > 3 * low_arm[0]  # long sleeves of the pullover, short ones of the t-shirt
    assert mean[1][:, sides].mean() < 5  # trousers are narrow


def test_learning_is_possible_but_not_trivial(train, held_out):
    (train_images, train_labels), (test_images, test_labels) = train, held_out
    known = train_images.reshape(len(train_images), -1).astype(np.float32) / 255
    asked = test_images.reshape(len(test_images), -1).astype(np.float32) / 255
    means = np.stack([known[train_labels == label].mean(axis=0) for label in range(10)])

    def nearest(candidates):
        return np.argmin((candidates**2).sum(axis=1) - 2 * asked @ candidates.T, axis=1)

    by_neighbour = np.mean(train_labels[nearest(known)] == test_labels)
    by_mean = np.mean(nearest(means) == test_labels)
    assert 0.72 < by_neighbour < 0.92
    assert 0.5 < by_mean < by_neighbour - 0.03


@pytest.mark.parametrize("num_images", [0, -3])
def test_too_few_images_are_refused(num_images):
    with pytest.raises(ValueError, match=f"at least one image.*{num_images}"):
        draw_sample(num_images, seed=0)
