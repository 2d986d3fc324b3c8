"""The evaluation, against arithmetic that goes image by image."""

import math

import numpy as np
import pytest

from nin_gluon.analysis.evaluation import calibration_of, evaluation_of, probabilities

NAMES = ("a", "b", "c", "d")


@pytest.fixture
def some():
    """Scores of 200 images, of which none is of class d and none is taken for c."""
    rng = np.random.RandomState(0)
    labels = rng.randint(0, 3, 200)
    scores = rng.randn(200, 4).astype(np.float32)
    scores[np.arange(200), labels] += 1
    scores[:, 2] = -9
    return scores, labels


def test_every_number_is_what_counting_gives(some):
    scores, labels = some
    found = evaluation_of(scores, labels, NAMES)
    loss, right = 0.0, 0
    confusion = [[0] * 4 for _ in range(4)]
    for row, label in zip(scores.tolist(), labels.tolist()):
        chances = [math.exp(score) for score in row]
        loss -= math.log(chances[label] / sum(chances))
        predicted = row.index(max(row))
        confusion[label][predicted] += 1
        right += predicted == label
    assert found["images"] == 200 and found["accuracy"] == right / 200
    assert found["loss"] == pytest.approx(loss / 200)
    assert found["confusion"] == confusion
    for k, row in enumerate(found["classes"]):
        images, taken = sum(confusion[k]), sum(line[k] for line in confusion)
        assert (row["name"], row["images"], row["predicted"]) == (NAMES[k], images, taken)
        assert row["recall"] == (confusion[k][k] / images if images else None)
        assert row["precision"] == (confusion[k][k] / taken if taken else None)
    assert found["classes"][3]["recall"] is found["classes"][2]["precision"] is None


def test_loss_and_probabilities_are_pytorchs(some):
    torch = pytest.importorskip("torch")
    scores, labels = some
    expected = torch.nn.functional.cross_entropy(torch.tensor(scores).double(),
                                                 torch.tensor(labels))
    assert evaluation_of(scores, labels, NAMES)["loss"] == pytest.approx(float(expected))
    np.testing.assert_allclose(probabilities(scores), torch.tensor(scores).double().softmax(1),
                               rtol=1e-12)


def test_scores_of_any_size_have_a_loss():
    scores = np.array([[0, 5000], [1e30, 0]], np.float32)
    found = evaluation_of(scores, np.array([0, 0]), ("a", "b"))
    assert found["loss"] == pytest.approx(2500)
    np.testing.assert_array_equal(probabilities(scores), [[0, 1], [1, 0]])


def test_calibration_by_hand():
    confidence = np.array([0.1, 0.5, 0.55, 0.95, 1.0])
    correct = np.array([True, False, True, True, False])
    found = calibration_of(confidence, correct, bins=2)
    # (0, 0.5]: 0.1 and 0.5, half of them right; (0.5, 1]: the others, two thirds right.
    low, high = found["bins"]
    assert (low["above"], low["up_to"], low["images"]) == (0, 0.5, 2)
    assert low["accuracy"] == 0.5 and low["confidence"] == pytest.approx(0.3)
    assert high["accuracy"] == pytest.approx(2 / 3)
    assert found["error"] == pytest.approx(2 / 5 * 0.2 + 3 / 5 * abs(2 / 3 - 2.5 / 3))
    empty = calibration_of(confidence[3:], correct[3:], bins=2)["bins"][0]
    assert empty["images"] == 0 and empty["accuracy"] is empty["confidence"] is None


def test_the_bins_are_a_partition():
    rng = np.random.RandomState(1)
    confidence = np.append(rng.rand(1000), np.arange(16) / 15)
    found = calibration_of(confidence, rng.rand(1016) < confidence)
    assert sum(row["images"] for row in found["bins"]) == 1016
    for row in found["bins"]:
        if row["images"]:
            assert row["above"] <= row["confidence"] <= row["up_to"]
    assert found["error"] < 0.1  # right as often as it says
