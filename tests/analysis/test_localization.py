"""The numbers for where maps respond, on maps of which the answer is known."""

import numpy as np
import pytest

from nin_gluon.analysis.localization import Localization, localize, other_masks, squares
from nin_gluon.analysis.trained_net import TrainedNet
from nin_gluon.settings import TEXTBOOK
from nin_gluon.training.run_folder import RunConfig


def test_squares_are_what_painting_them_would_give():
    found = squares(centre=5.5, step=4, count=3, size=24, pixels=6)
    painted = np.zeros((3, 24))
    for i in range(3):
        for place in range(2400):  # a hundred points a pixel
            if 3.5 + 4 * i <= (place + 0.5) / 100 < 7.5 + 4 * i:
                painted[i, place // 100] += 0.01
    expected = painted.reshape(3, 6, 4).sum(axis=2) / 4
    np.testing.assert_allclose(found, expected, atol=0.01)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_squares_beyond_the_image_count_what_is_within():
    np.testing.assert_allclose(squares(0.5, 4, 2, 8, 8)[0], [0.4, 0.4, 0.2, 0, 0, 0, 0, 0])


@pytest.fixture
def objects():
    """(40, 6, 6) masks: a rectangle each, somewhere."""
    rng = np.random.RandomState(0)
    masks = np.zeros((40, 6, 6), bool)
    for mask in masks:
        top, left = rng.randint(0, 4, 2)
        mask[top : top + 3, left : left + 2] = True
    return masks


def judged(maps, masks, labels):
    """The result for maps whose squares are the pixels, added in two batches."""
    whole = squares(0.5, 1, 6, 6, 6)
    found = Localization(whole, whole)
    for part in (slice(0, 15), slice(15, None)):
        found.add(maps[part], labels[part], labels[part], masks[part])
    return found.result()


def test_maps_on_the_objects_beat_everything_else(objects):
    labels = np.arange(40) % 2
    maps = np.stack([objects, ~objects], axis=1).astype(np.float32)
    maps[labels == 1] = maps[labels == 1, ::-1]  # class 1's map comes second
    result = judged(maps, objects, labels)
    assert result["right"] == result["predicted"] == result["pointing"] == 1
    assert result["wrong"] == 0 and result["right_over_wrong"] == 1
    assert result["flat"] == pytest.approx(6 / 36)
    assert result["gain"] > 0.3 and result["gain"] > 10 * result["gain_error"]
    assert result["better"] == 1 and result["zero_maps"] == 0


def test_a_map_that_does_not_look_gains_nothing(objects):
    blob = np.zeros((40, 2, 6, 6), np.float32)
    blob[:, :, 2:4, 2:4] = 1  # in the middle, where most objects are
    result = judged(blob, objects, np.zeros(40, int))
    assert result["right"] > 1.5 * result["flat"]  # against chance it looks as if it did
    assert result["gain"] == pytest.approx(0, abs=1e-12)
    assert result["right"] == pytest.approx(result["other_images"])
    assert result["right_over_wrong"] == 0


def test_flat_maps_are_chance(objects):
    result = judged(np.ones((40, 2, 6, 6), np.float32), objects, np.zeros(40, int))
    assert result["right"] == pytest.approx(result["flat"])
    assert result["pointing"] == pytest.approx(result["flat"])  # every value is the largest


def test_maps_that_are_zero_are_counted_and_left_out(objects):
    labels = np.zeros(40, int)
    maps = np.stack([objects, objects], axis=1).astype(np.float32)
    maps[:7, 0] = 0
    result = judged(maps, objects, labels)
    assert result["zero_maps"] == 7 and result["images"] == 40
    assert result["right"] == 1
    everything = judged(np.zeros_like(maps), objects, labels)
    assert everything["zero_maps"] == 40
    assert everything["right"] is everything["gain"] is everything["pointing"] is None


def test_the_mean_of_the_other_images_leaves_the_image_itself_out():
    masks = np.random.RandomState(1).rand(7, 4)
    groups = np.array([0, 1, 0, 1, 0, 2, 1])
    for i, found in enumerate(other_masks(masks, groups)):
        rest = [masks[j] for j in range(7) if j != i and groups[j] == groups[i]]
        if rest:
            np.testing.assert_allclose(found, np.mean(rest, axis=0))
        else:
            assert np.isnan(found).all()


def test_localize_goes_over_the_images_in_batches(objects):
    """With a net whose maps are the images themselves, so that all of a map is on the object."""
    labels, counted = np.zeros(40, int), []
    images = (255 * objects[..., np.newaxis]).astype(np.uint8)

    def respond(images):
        for start in range(0, len(images), 16):
            maps = images[start : start + 16].transpose(0, 3, 1, 2) / np.float32(255)
            yield np.concatenate([maps, 1 - maps], axis=1), maps.mean(axis=(2, 3))

    net = TrainedNet("", "", RunConfig("", TEXTBOOK.but(resize=6)), ("a", "b"), (6, 6, 1),
                     [(0.5, 1, 1)] * 2, respond)
    result = localize(net, images[:20], labels[:20], counted.append)
    assert counted == [16, 4] and result["images"] == 20
    assert result["right"] == 1 and result["wrong"] == 0
    maps = np.stack([objects, ~objects], axis=1).astype(np.float32)
    expected = judged(maps[:20], objects[:20], labels[:20])
    assert {name: value for name, value in result.items() if value != expected[name]} == {}
