"""ONNX models give our scores, in ONNX Runtime, from the net's input and from pixels."""

import json
from importlib.util import find_spec

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

from nin_gluon.data.sets import GARMENTS
from nin_gluon.export import main
from nin_gluon.exports.files import write_onnx
from nin_gluon.exports.layers import layers_of
from nin_gluon.exports.onnx_graph import Graph, onnx_model, resized
from nin_gluon.exports.preparation import preparation_of
from nin_gluon.exports.trained import read_run
from nin_gluon.settings import TEXTBOOK
from tests import slim_nin
from tests.exports.made_runs import largest_difference, make_net, make_run, scores_of

onnx = pytest.importorskip("onnx", reason="needs the package onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")

NETS = [("nin", 67), ("nin,head=fc", 67), ("nin,head=fc_dropout", 67), ("mlpconv_nin", 67),
        ("mlpconv_nin,head=fc", 67), ("cifar_nin", 32), ("cifar_nin,head=fc", 29),
        ("nin_variant,inner=1,inner_kernel=3,reduce=96-10,last_relu=0", 67)]

ENGINES = ["gluon", "torch"]


@pytest.fixture
def slim_nets(monkeypatch):
    """Slim nets in this test; the slow one, at the chapter's size, takes the real one."""
    slim_nin.slim(*filter(find_spec, ("mxnet", "torch")), setattr=monkeypatch.setattr)


def need(engine):
    if engine == "torch":
        pytest.importorskip("torch")


def run(model, name, value):
    """Scores and probabilities."""
    content = model if isinstance(model, str) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == [name]
    assert [o.name for o in session.get_outputs()] == ["scores", "probabilities"]
    return session.run(None, {name: value})


@pytest.mark.usefixtures("slim_nets")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("model, size", NETS)
def test_every_net_and_head_gives_our_scores(engine, model, size):
    need(engine)
    settings = TEXTBOOK.but(engine=engine, model=model, resize=size, dataset="fashion-mnist")
    _, parameters = make_net(settings)
    exported = onnx_model(layers_of(settings), parameters, ("height", "width"))
    onnx.checker.check_model(exported, full_check=True)
    random = np.random.RandomState(1)
    shapes = [(2, 1, size, size)] + ([] if "fc" in model else [(3, 1, size + 13, size + 24)])
    for shape in shapes:
        X = random.uniform(size=shape).astype(np.float32)
        scores, probabilities = run(exported, "X", X)
        assert largest_difference(scores, scores_of(settings, parameters, X)) < 1e-5
        shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
        np.testing.assert_allclose(probabilities, shifted / shifted.sum(axis=1, keepdims=True),
                                   rtol=1e-5, atol=1e-7)


def test_both_engines_make_the_same_graph():
    need("torch")
    for model, _ in NETS:
        one, other = (layers_of(TEXTBOOK.but(engine=engine, model=model)) for engine in ENGINES)
        assert one == other


@pytest.mark.usefixtures("slim_nets")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("settings", [
    {"preprocess": "none"}, {"preprocess": "standardize"},
    {"preprocess": "gcn", "model": "cifar_nin", "resize": 28},
    {"preprocess": "zca", "model": "cifar_nin", "resize": 28},
    {"preprocess": "none", "model": "nin,head=fc"},
], ids=lambda settings: "-".join(map(str, settings.values())))
def test_pixels_become_our_scores(engine, settings, few_images, garments, tmp_path, capsys):
    need(engine)
    from nin_gluon.data import load_data

    folder = make_run(tmp_path / "run", engine=engine, **settings)
    assert main([str(folder), "--to", "onnx"]) == 0
    path = folder / "exported.onnx"
    assert capsys.readouterr().out == f"{path}\n"
    trained = read_run(folder)
    size = trained.settings.resize
    _, test_iter = load_data("fashion-mnist", 5, size, preprocess=trained.settings.preprocess)
    X, _ = next(iter(test_iter))
    expected = scores_of(trained.settings, trained.parameters, X.asnumpy())
    pixels = nd.array(garments("test", 5)[0], dtype="uint8")
    if size != 28:
        pixels = nd.image.resize(pixels, size=(size, size), interp=1)
    scores, _ = run(str(path), "images", pixels.asnumpy())
    assert largest_difference(scores, expected) < 1e-5


def test_an_image_of_one_colour_is_no_division_by_zero(few_images, slim_nets, tmp_path):
    folder = make_run(tmp_path / "run", preprocess="gcn", model="cifar_nin", resize=28)
    assert main([str(folder), "--to", "onnx"]) == 0
    scores, _ = run(str(folder / "exported.onnx"), "images", np.full((1, 28, 28, 1), 9, np.uint8))
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("size", [20, 67, 224])
def test_resizing_inside_gives_the_same_pixels(size, garments):
    images = garments("test", 32)[0]
    graph = Graph()
    resized(graph, "images", (28, 28), (size, size))
    graph.nodes[-1].output[0] = "resized"
    shapes = [["batch", *shape, 1] for shape in ((28, 28), (size, size))]
    model = onnx.helper.make_model(onnx.helper.make_graph(
        graph.nodes, "resize",
        [onnx.helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, shapes[0])],
        [onnx.helper.make_tensor_value_info("resized", onnx.TensorProto.INT32, shapes[1])],
        graph.constants), ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 13)])
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    expected = nd.image.resize(nd.array(images, dtype="uint8"), size=(size, size), interp=1)
    np.testing.assert_array_equal(session.run(None, {"images": images})[0], expected.asnumpy())


def test_resizing_inside_by_the_command(few_images, slim_nets, garments, tmp_path):
    folder = make_run(tmp_path / "run", preprocess="standardize")
    assert main([str(folder), "--to", "onnx", "--resize-inside"]) == 0
    trained = read_run(folder)
    images = garments("test", 6)[0]
    scores, _ = run(str(folder / "exported.onnx"), "images", images)
    resized = nd.image.resize(nd.array(images, dtype="uint8"), size=(67, 67), interp=1).asnumpy()
    assert main([str(folder), "--to", "onnx", "--force"]) == 0
    outside, _ = run(str(folder / "exported.onnx"), "images", resized)
    assert largest_difference(scores, outside) < 1e-6 and trained.source.startswith("epoch-0002")


def test_what_the_file_says_of_itself(few_images, slim_nets, tmp_path):
    folder = make_run(tmp_path / "run", preprocess="standardize", seed=4)
    assert main([str(folder), "--to", "onnx", "--out", str(tmp_path / "net.onnx")]) == 0
    model = onnx.load(str(tmp_path / "net.onnx"))
    said = {prop.key: prop.value for prop in model.metadata_props}
    assert json.loads(said["classes"]) == list(GARMENTS)
    assert json.loads(said["settings"])["seed"] == 4
    assert said["preprocessing"].startswith("x -> -") and said["model"] == "nin"
    shape = [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["batch", "height", "width", 1]
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_thousand_test_images(engine, garments, tmp_path, request):
    """Of a net that was trained a little, at the chapter's 224x224."""
    need(engine)
    from nin_gluon import train

    folder = tmp_path / "run"
    assert train.main(["--preset", "quick", "--engine", engine, "--limit", "1000", "--epochs", "1",
                       "--resize", "224", "--dataset",
                       request.config.dataset, "--out", str(folder), "--no-progress"]) == 0
    trained = read_run(folder)
    write_onnx(trained, tmp_path / "net.onnx", preparation_of(trained.config))
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"),
                                           providers=["CPUExecutionProvider"])
    from nin_gluon.data import load_data

    settings = trained.settings
    _, test_iter = load_data(settings.dataset, 50, 224, limit=1000, preprocess="standardize")
    images, _ = garments("test", 1000)
    found, expected = [], []
    for start, (X, _) in zip(range(0, 1000, 50), test_iter):
        pixels = nd.array(images[start : start + 50], dtype="uint8", ctx=mx.cpu())
        pixels = nd.image.resize(pixels, size=(224, 224), interp=1).asnumpy()
        found.append(session.run(["scores"], {"images": pixels})[0])
        expected.append(scores_of(settings, trained.parameters, X.asnumpy()))
    found, expected = np.concatenate(found), np.concatenate(expected)
    difference = largest_difference(found, expected)
    print(f"\n{engine}: {len(found):,} images, largest difference {difference:.1e} of the largest "
          f"score, {(found.argmax(1) == expected.argmax(1)).sum():,} predictions the same")
    assert len(found) == 1000 and difference < 1e-5
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()
