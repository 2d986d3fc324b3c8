"""Which classes a net has lost, and what each costs."""

import numpy as np
import pytest
from mxnet import nd

from nin_gluon import models
from nin_gluon.analysis.dead_channels import accuracy_of_dead, living_classes, which_classes_live

# Two batches; a class lives if one image of any batch has a score above zero for it.
SCORES = [[[0, 0.0, 2], [0, 0, 1]], [[0, 0, 0], [0.5, 0, 0]]]
BATCHES = [(nd.array(batch), None) for batch in SCORES]


def test_a_class_lives_if_any_image_has_a_score_for_it():
    living = which_classes_live(lambda X: X, BATCHES)
    assert living.dtype == bool and living.tolist() == [True, False, True]
    assert living_classes(lambda X: X, BATCHES) == 2
    assert living_classes(lambda X: 0 * X, BATCHES) == 0


def test_a_channel_that_is_killed_is_found():
    net = models.get_model("nin")
    net.initialize(models.initializer("he", net))
    X = nd.random.uniform(shape=(8, 1, 67, 67))
    before = which_classes_live(net, [(X, None)])
    alive = int(np.flatnonzero(before)[0])
    last = list(net.collect_params().values())[-1]  # the bias of the last convolution
    last.data()[alive] = -1e6
    after = which_classes_live(net, [(X, None)])
    assert before[alive] and not after[alive]
    assert np.delete(after, alive).tolist() == np.delete(before, alive).tolist()


def test_a_dead_class_costs_its_own_images():
    labels, predictions = [0, 1, 1, 2, 3, 3], [0, 0, 2, 2, 3, 0]
    # Class 0 is given where all scores are zero, so it may be right although it is dead; class 4
    # has no images.
    found = accuracy_of_dead([False, False, True, True, False], labels, predictions)
    assert found == {0: 1.0, 1: 0.0}
    assert accuracy_of_dead([True] * 4, labels, predictions) == {}
    assert accuracy_of_dead(np.array([True, True, True, False]), nd.array(labels).asnumpy(),
                            predictions) == {3: pytest.approx(0.5)}
