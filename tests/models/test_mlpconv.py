"""The mlpconv edition's net is the chapter's in other blocks."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

import nin_gluon
from nin_gluon.models import get_model
from nin_gluon.settings import PRESETS


def test_with_equal_parameters_it_gives_the_chapters_scores(garments):
    chapter, edition = get_model("nin"), get_model("mlpconv_nin")
    X = nd.image.resize(nd.array(garments("test", 4)[0], dtype="uint8"), size=112)
    X = X.transpose((0, 3, 1, 2)).astype("float32") / 255
    for net in (chapter, edition):
        net.initialize(mx.init.MSRAPrelu(slope=0))
        net(X)
    parameters = [list(net.collect_params().values()) for net in (chapter, edition)]
    assert len(parameters[0]) == len(parameters[1]) == 24
    for theirs, ours in zip(*parameters):
        ours.set_data(theirs.data())
    np.testing.assert_allclose(edition(X).asnumpy(), chapter(X).asnumpy(), rtol=1e-5, atol=1e-7)
    assert np.abs(chapter(X).asnumpy()).max() > 0


def test_shapes_of_the_final_listing():
    net = get_model("mlpconv_nin")
    net.initialize()
    X, shapes = nd.zeros((1, 1, 112, 112)), []
    for layer in net:
        X = layer(X)
        shapes.append(X.shape[1:])
    assert shapes == [(96, 12, 12), (256, 5, 5), (384, 2, 2), (384, 2, 2), (10, 2, 2), (10, 1, 1),
                      (10,)]


@pytest.mark.parametrize("pooled, side", [(True, 3), (False, 7)])
def test_a_block_pools_unless_told_otherwise(pooled, side):
    block = nin_gluon.mlpconv(8, 5, 2, strides=2, max_pooling=pooled)
    block.initialize()
    assert block(nd.zeros((2, 3, 13, 13))).shape == (2, 8, side, side)


def test_its_preset_is_the_published_recipe():
    recipe = PRESETS["mlpconv"].settings
    assert (recipe.lr, recipe.batch_size, recipe.epochs, recipe.resize) == (0.2, 128, 20, 112)
    assert (recipe.model, recipe.init, recipe.momentum) == ("mlpconv_nin", "xavier", 0)


def test_what_the_mean_of_the_batches_can_be_off_by():
    """The notes state the bounds: of a net that is wrong in the last batch alone."""
    from nin_gluon.experiments.published import EDITIONS

    for images, bound in ((10000, "0.0111"), (60000, "0.0006")):
        sizes = [min(128, images - start) for start in range(0, images, 128)]
        right = [*sizes[:-1], 0]
        mean = np.mean([r / size for r, size in zip(right, sizes)])
        off = abs(mean - sum(right) / images)
        assert off <= float(bound) < off + 1e-4
        assert f"up to {bound}" in EDITIONS["mlpconv-112"].notes
