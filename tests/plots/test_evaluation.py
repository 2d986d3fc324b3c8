"""The picture of an evaluation."""

import numpy as np

from nin_gluon import plots
from nin_gluon.analysis.evaluation import evaluation_of


def result():
    rng = np.random.RandomState(0)
    labels, scores = rng.randint(0, 3, 100), rng.randn(100, 4)
    scores[np.arange(100), labels] += 2
    scores[:, 3] = -99  # class d has no images and is never predicted
    return evaluation_of(scores, labels, ("a", "b", "c", "d"))


def test_what_is_drawn(tmp_path):
    found = result()
    figure = plots.draw_evaluation(found, "a title")
    confusion, classes, calibration = figure.axes
    numbers = {text.get_position(): text.get_text() for text in confusion.texts}
    assert numbers == {(column, row): f"{count:,}"
                       for row, counts in enumerate(found["confusion"])
                       for column, count in enumerate(counts) if count}
    precision, recall = classes.collections[1:]
    np.testing.assert_allclose(recall.get_offsets()[:3, 1],
                               [row["recall"] for row in found["classes"][:3]])
    np.testing.assert_allclose(precision.get_offsets()[:3, 1],
                               [row["precision"] for row in found["classes"][:3]])
    assert len(calibration.lines[1].get_xdata()) == sum(
        row["images"] > 0 for row in found["calibration"]["bins"])
    assert f"{found['calibration']['error']:.3f}" in calibration.get_title()
    low, high = classes.get_ylim()
    assert low < min(row["recall"] for row in found["classes"][:3]) and high > 1
    plots.save(figure, tmp_path / "a.png")


def test_one_image_is_enough(tmp_path):
    found = evaluation_of(np.array([[1.0, 2.0]]), np.array([0]), ("a", "b"))
    plots.save(plots.draw_evaluation(found), tmp_path / "a.png")
