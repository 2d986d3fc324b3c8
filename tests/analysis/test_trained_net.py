"""A trained net of either engine, computed by either."""

from dataclasses import replace

import numpy as np
import pytest
from mxnet import cpu, nd

from nin_gluon import models
from nin_gluon.analysis.class_maps import maps_of
from nin_gluon.analysis.trained_net import evaluation_images, load_pretrained, load_run
from nin_gluon.data import load_data
from nin_gluon.errors import InputError
from nin_gluon.exports.trained import read_run
from nin_gluon.models.geometry import receptive_field
from nin_gluon.pretrained import write_weights
from nin_gluon.runtime import engine_choice
from nin_gluon.settings import TEXTBOOK
from nin_gluon.training.loop import evaluate
from nin_gluon.training.run_folder import Environment, RunConfig, write_config
from tests.pretrained.made_weights import made_weights

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("slim")

SETTINGS = TEXTBOOK.but(model="cifar_nin", dataset="sample", resize=28, epochs=1, batch_size=8)
CPU = Environment("cpu")


def trained(folder, engine, **settings):
    """A run folder with an engine's exported net, and the engine."""
    from nin_gluon.runtime.torch_device import parse_device
    from nin_gluon.training import gluon_run, torch_run, torch_workers, workers

    config = RunConfig("", SETTINGS.but(**{"engine": engine, "init": "he", **settings}), CPU)
    if engine == "torch":
        run = torch_run.prepare(config, parse_device("cpu"),
                                torch_workers.join(parse_device("cpu"), None))
    else:
        run = gluon_run.prepare(config, [cpu()], workers.join("device"))
    folder.mkdir()
    write_config(folder, run.config)
    run.engine.export(folder, 1)
    return run


@pytest.mark.parametrize("engine, other", [("gluon", "torch"), ("torch", "gluon")])
@pytest.mark.parametrize("preprocess", ["none", "standardize", "gcn", "zca"])
def test_both_engines_give_the_runs_scores(tmp_path, few_images, garments, engine, other,
                                           preprocess, caplog):
    run = trained(tmp_path / "run", engine, preprocess=preprocess)
    expected = np.concatenate([run.engine.to_numpy(run.engine.net(X)) if engine == "gluon" else
                               run.engine.scores(X).numpy() for X, _ in run.test_iter])
    images, labels = evaluation_images(run.config)
    assert len(images) == 32
    scores = {}
    for computing in (None, other):
        net = load_run(tmp_path / "run", run.config, "cpu", computing)
        assert net.settings.engine == (computing or engine)
        assert net.image_size == (28, 28) and net.shape == (28, 28, 1)
        found = maps_of(net, images)
        assert found.maps.shape[:2] == found.scores.shape == (32, 10)
        np.testing.assert_allclose(found.maps.mean(axis=(2, 3)), found.scores, rtol=1e-4, atol=1e-5)
        scores[computing] = found.scores
    if engine == "gluon":  # the torch net is in training mode before an evaluation
        np.testing.assert_allclose(scores[None], expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scores[None], scores[other], rtol=1e-3, atol=1e-3)
    accuracy = evaluate(run.engine, run.test_iter).accuracy
    assert (scores[None].argmax(axis=1) == labels).mean() == accuracy
    assert "unfinished (0 of 1 epochs)" in caplog.text


def test_checkpoints_of_either_engine(tmp_path, few_images, garments):
    from nin_gluon.training import checkpoint
    from nin_gluon.training.tally import Tally

    images = garments("test", 8)[0]
    for engine in ("gluon", "torch"):
        run = trained(tmp_path / engine, engine)
        folder = tmp_path / engine
        exported = maps_of(load_run(folder, run.config, "cpu"), images).scores
        checkpoint.save(folder, run.engine, Tally(2), [], np.random.get_state())
        net = load_run(folder, run.config, "cpu")
        assert net.source == "epoch-0002-step-000000"
        np.testing.assert_array_equal(maps_of(net, images).scores, exported)


def test_a_checkpoint_that_a_running_training_replaces_is_not_missed(tmp_path, few_images,
                                                                     monkeypatch):
    """It goes between the look for the newest parameters and the reading of them."""
    from nin_gluon.training import checkpoint, saved_parameters
    from nin_gluon.training.tally import Tally

    run, folder, look = trained(tmp_path / "run", "gluon"), tmp_path / "run", []
    checkpoint.save(folder, run.engine, Tally(1), [], np.random.get_state())

    def newest(where):
        found = newest_parameters(where)
        if not look:
            checkpoint.save(folder, run.engine, Tally(1, step=5), [], np.random.get_state())
        look.append(found[1])
        return found

    newest_parameters = saved_parameters.newest_parameters
    monkeypatch.setattr(saved_parameters, "newest_parameters", newest)
    assert load_run(folder, run.config, "cpu").source == "epoch-0001-step-000005"
    assert look == ["epoch-0001-step-000000", "epoch-0001-step-000005"]


def test_other_images_than_the_runs_own_are_refused(tmp_path, few_images, monkeypatch):
    """Levels and whitening are fitted to the training images, so predictions need the same ones."""
    from nin_gluon.data import choose

    run = trained(tmp_path / "run", "gluon", preprocess="standardize")
    begun = replace(run.config, environment=replace(CPU, machine={}, own_data="0123abcd"))
    monkeypatch.setattr(choose, "own_data", lambda *args: None)
    with pytest.raises(InputError, match="the run began with other files"):
        load_run(tmp_path / "run", begun, "cpu")


@pytest.mark.parametrize("engine", ["gluon", "torch"])
def test_a_run_that_asks_for_huge_images_is_refused(tmp_path, few_images, engine):
    run = trained(tmp_path / "run", engine)
    huge = replace(run.config, settings=run.config.settings.but(resize=10**7))
    with pytest.raises(InputError, match="a batch of 1 image of 10000000x10000000 takes"):
        load_run(tmp_path / "run", huge, "cpu")
    write_config(tmp_path / "run", replace(huge, settings=huge.settings.but(resize=2)))
    with pytest.raises(InputError, match="too small|do not fit together"):
        read_run(tmp_path / "run")
    write_config(tmp_path / "run", huge)
    with pytest.raises(InputError, match="a batch of 1 image of 10000000x10000000 takes"):
        read_run(tmp_path / "run")


def test_images_are_prepared_as_in_training(tmp_path, few_images):
    """With a resize and bicubic interpolation too."""
    run = trained(tmp_path / "run", "gluon", resize=40, interpolation="bicubic")
    net = load_run(tmp_path / "run", run.config, "cpu")
    X, _ = next(iter(load_data("sample", 8, 40, interpolation="bicubic")[1]))
    found = maps_of(net, evaluation_images(run.config)[0][:8])
    np.testing.assert_allclose(found.scores, run.engine.net(X).asnumpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["nin", "mlpconv_nin", "cifar_nin", "nin_variant"])
def test_the_fields_are_the_same(name):
    import warnings

    from nin_gluon.torch_models import nets

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        features, _ = nets.maps_and_head(nets.get_model(name))
    assert nets.receptive_field(features) == receptive_field(
        models.maps_and_head(models.get_model(name))[0])


def test_the_images_that_a_run_is_judged_by(garments, few_images):
    def judged(asked=None, **settings):
        return evaluation_images(RunConfig("", SETTINGS.but(**settings)), asked)

    images, labels = garments("test", 32)
    for found, count in ((judged(), 32), (judged(20), 20), (judged(limit=5), 5),
                         (judged(20, limit=5), 20)):  # more than the run used
        np.testing.assert_array_equal(found[0], images[:count])
        np.testing.assert_array_equal(found[1], labels[:count])
    held_out = garments("train", 48)[0][-9:]
    np.testing.assert_array_equal(judged(validation=9)[0], held_out)
    np.testing.assert_array_equal(judged(4, validation=9)[0], held_out[:4])


def test_the_trained_net_of_the_package_needs_no_data(tmp_path, monkeypatch, garments):
    import nin_gluon.data

    weights = made_weights("cifar_nin", 28, "sample")
    write_weights(tmp_path / "cifar_nin.safetensors", weights)
    monkeypatch.setenv("NIN_GLUON_PRETRAINED", str(tmp_path))
    monkeypatch.setattr(nin_gluon.data, "load_image_set",
                        lambda *args: pytest.fail("it looks for the data set"))
    images, scores = garments("test", 20)[0], []
    for engine in ("gluon", "torch"):
        net = load_pretrained("cifar_nin", "cpu", engine)
        assert net.classes == weights.classes and net.shape == (28, 28, 1)
        assert net.name == "the trained cifar_nin of the package"
        scores.append(maps_of(net, images).scores)
    np.testing.assert_allclose(*scores, rtol=1e-3, atol=1e-4)
    gluon = models.get_model("cifar_nin", pretrained=True)
    X = ((images.astype(np.float32) - 72.9) / 90.2).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(gluon(nd.array(X)).asnumpy(), scores[0], rtol=1e-4, atol=1e-4)


def test_where_one_framework_is_missing_the_other_computes(monkeypatch, caplog):
    for missing, other, words in (("mxnet", "torch", "MXNet is not installed: using PyTorch"),
                                  ("torch", "gluon", "PyTorch is not installed: using MXNet")):
        monkeypatch.setattr(engine_choice, "is_installed", lambda name, gone=missing: name != gone)
        caplog.clear()
        assert engine_choice.engine_for_trained("gluon" if other == "torch" else "torch",
                                                "cpu") == other
        assert words in caplog.text
        caplog.clear()
        assert engine_choice.engine_for_trained(other, "cpu") == other
        assert not caplog.text


def test_runs_that_have_not_begun_are_refused(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "model-0001.params").write_bytes(b"whatever")
    for settings in (SETTINGS.but(dataset=None), SETTINGS.but(resize=None)):
        with pytest.raises(InputError, match="does not say which images its net takes"):
            load_run(run, RunConfig("", settings), "cpu")
    with pytest.raises(InputError, match="cannot be read as parameters of cifar_nin"):
        load_run(run, RunConfig("", SETTINGS), "cpu")


@pytest.mark.parametrize("engine", ["gluon", "torch"])
@pytest.mark.parametrize("preprocess", ["standardize", "gcn"])
def test_walk_goes_through_the_net_layer_by_layer(tmp_path, few_images, engine, preprocess):
    run = trained(tmp_path / "run", engine, preprocess=preprocess)
    images, _ = evaluation_images(run.config)
    net = load_run(tmp_path / "run", run.config, "cpu")
    found = maps_of(net, images[:1])
    outputs = net.walk(images[0], 28)
    assert [len(output.layers) for output in outputs] == [3, 1, 0, 3, 1, 0, 3, 1, 1]
    assert [output.layers[0].kind for output in outputs if output.layers] == [
        "convolution", "max", "convolution", "average", "convolution", "global average", "flatten"]
    assert [output.values.shape[0] for output in outputs] == [96] * 3 + [24] * 3 + [10] * 3
    np.testing.assert_allclose(outputs[6].values, found.maps[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs[-1].values, found.scores[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(maps_of(net, images[:1]).maps, found.maps)  # it changes nothing
    assert net.smallest == 6
    if preprocess == "standardize":
        assert net.walk(images[0], 50)[0].values.shape == (96, 50, 50)
