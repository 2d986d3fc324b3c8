"""The package's trained net exported: every format gives its scores, and no images are needed."""

import numpy as np
import pytest

from nin_gluon.analysis.class_maps import maps_of
from nin_gluon.analysis.trained_net import load_pretrained
from nin_gluon.export import main
from nin_gluon.pretrained import read_packaged, write_weights
from tests.exports.made_runs import largest_difference
from tests.pretrained.made_weights import made_weights

pytestmark = pytest.mark.usefixtures("slim")


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    write_weights(tmp_path / "nin.safetensors", made_weights())
    monkeypatch.setenv("NIN_GLUON_PRETRAINED", str(tmp_path))
    monkeypatch.setenv("NIN_GLUON_DATA", str(tmp_path))  # where there are no images
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    monkeypatch.setattr("requests.get", None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def images():
    return np.random.RandomState(3).randint(0, 256, (4, 28, 28, 1)).astype(np.uint8)


@pytest.mark.parametrize("engine", ["gluon", "torch"])
def test_onnx(package, images, engine, monkeypatch, capsys):
    onnx = pytest.importorskip("onnx", reason="needs the package onnx")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")
    if engine == "torch":  # where MXNet is not installed
        pytest.importorskip("torch")
        monkeypatch.setattr("nin_gluon.exports.trained.choose_engine", lambda *words: "torch")
    assert main(["--pretrained", "--to", "onnx", "--resize-inside"]) == 0
    assert capsys.readouterr().out == "exported.onnx\n"
    onnx.checker.check_model("exported.onnx", full_check=True)
    session = onnxruntime.InferenceSession("exported.onnx", providers=["CPUExecutionProvider"])
    scores, _ = session.run(None, {"images": images})
    expected = maps_of(load_pretrained(ctx="cpu"), images).scores
    assert largest_difference(scores, expected) < 1e-5


def test_torch(package):
    torch = pytest.importorskip("torch")
    import safetensors.torch

    from nin_gluon.torch_models.nets import get_model, known_net

    assert main(["--pretrained", "--to", "torch", "--out", "net.safetensors"]) == 0
    net = known_net("nin", 1, 67).eval()
    net.load_state_dict(safetensors.torch.load_file("net.safetensors"))
    X = torch.rand(2, 1, 67, 67)
    torch.testing.assert_close(net(X), get_model("nin", pretrained=True)(X))


def test_gluon_and_safetensors(package):
    from mxnet import cpu, gluon, nd
    from safetensors.numpy import load_file

    import nin_gluon

    assert main(["--pretrained", "--to", "gluon"]) == main(["--pretrained", "--to",
                                                            "safetensors"]) == 0
    net = gluon.SymbolBlock.imports("exported-symbol.json", ["data"], "exported-0000.params", cpu())
    X = nd.random.uniform(shape=(2, 1, 67, 67))
    np.testing.assert_allclose(net(X).asnumpy(), nin_gluon.nin(pretrained=True)(X).asnumpy(),
                               rtol=1e-5)
    found = load_file("exported.safetensors")
    packaged = read_packaged("nin").parameters
    assert sorted(found) == sorted(packaged)
    for name, value in packaged.items():
        np.testing.assert_array_equal(found[name], value)


def test_refusals(package, capsys):
    for options, words in [
            (["--to", "onnx"], "name a run folder, or give --pretrained"),
            (["runs/x", "--pretrained", "--to", "safetensors"], "one of the two"),
            (["--pretrained", "--to", "onnx", "--data-dir", "x"], "needs no images")]:
        assert main(options) == 2
        assert words in capsys.readouterr().err
    (package / "nin.safetensors").unlink()
    assert main(["--pretrained", "--to", "safetensors"]) == 2
    assert "there is no trained nin" in capsys.readouterr().err
