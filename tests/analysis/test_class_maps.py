"""A run's net and the maps it makes of images."""

import numpy as np
import pytest
from mxnet import gluon, nd

from nin_gluon import models
from nin_gluon.analysis.class_maps import maps_of, report
from nin_gluon.analysis.trained_net import load_run
from nin_gluon.data.loader import BatchLoader
from nin_gluon.errors import InputError
from nin_gluon.settings import TEXTBOOK
from nin_gluon.training.run_folder import RunConfig, export_net

SETTINGS = TEXTBOOK.but(model="cifar_nin", dataset="sample", resize=28, epochs=1)


@pytest.fixture
def run(tmp_path):
    """A folder with a net's exported parameters."""
    net = models.get_model(SETTINGS.model)
    net.initialize(models.initializer("he"))
    net.hybridize()
    net(nd.zeros((1, 1, 28, 28))).wait_to_read()
    export_net(net, tmp_path, 1)
    return tmp_path


def test_maps_and_scores_are_the_exported_nets(run, garments, caplog):
    images, labels = garments("test", 5)
    net = load_run(run, RunConfig("", SETTINGS), "cpu")
    assert net.source == "model-0001.params"
    assert "unfinished (0 of 1 epochs)" in caplog.text  # it has no history
    found = maps_of(net, images[2:])
    assert found.maps.shape[:2] == found.scores.shape == (3, 10) and found.size == (28, 28)
    np.testing.assert_allclose(found.maps.mean(axis=(2, 3)), found.scores, rtol=1e-4, atol=1e-6)
    exported = gluon.SymbolBlock.imports(str(run / "model-symbol.json"), ["data"],
                                         str(run / "model-0001.params"))
    X, _ = next(iter(BatchLoader(images[2:], labels[2:], 3)))
    np.testing.assert_allclose(exported(X).asnumpy(), found.scores, rtol=1e-4, atol=1e-5)
    names = net.classes
    content = report(net, found, ["x", "y", "z"], labels[2:])
    assert [image["label"] for image in content["images"]] == [names[i] for i in labels[2:]]
    assert content["images"][1]["predicted"] == names[found.scores[1].argmax()]
    assert content["image_size"] == [28, 28] and content["map_size"] == [7, 7]
    content = report(net, found, ["x", "y", "z"], None)
    assert [image["label"] for image in content["images"]] == [None] * 3


def test_a_folder_without_parameters(tmp_path):
    with pytest.raises(InputError, match="holds no parameters"):
        load_run(tmp_path, RunConfig("", SETTINGS), "cpu")
