"""The formats besides ONNX, each read back by the program that it is for."""

import json

import numpy as np
import pytest
from mxnet import nd
from safetensors import safe_open
from safetensors.numpy import load_file

from nin_gluon.export import main
from nin_gluon.exports.trained import read_run
from nin_gluon.training.initial_parameters import digest_of, read_initial
from tests.exports.made_runs import make_run, scores_of

ENGINES = ["gluon", "torch"]


@pytest.fixture(params=ENGINES)
def run(request, tmp_path):
    if request.param == "torch":
        pytest.importorskip("torch")
    return make_run(tmp_path / "run 图", engine=request.param)


def exported(run, form, *options):
    assert main([str(run), "--to", form, *options]) == 0
    return read_run(run)


def test_safetensors(run):
    trained, path = exported(run, "safetensors"), run / "exported.safetensors"
    found = load_file(path)
    assert sorted(found) == list(trained.parameters)
    for name, value in trained.parameters.items():
        np.testing.assert_array_equal(found[name], value)
    with safe_open(path, "numpy") as file:
        said = file.metadata()
    assert said["format"] == "nin_gluon" and said["parameters"] == "epoch-0002-step-000000"
    assert json.loads(said["settings"])["model"] == "nin" and len(json.loads(said["classes"])) == 10
    # A run may start from it.
    started = read_initial(path, digest_of(path), trained.parameters)
    np.testing.assert_array_equal(started["000.weight"], trained.parameters["000.weight"])


def test_torch(run):
    torch = pytest.importorskip("torch")
    import safetensors.torch

    from nin_gluon.torch_models.nets import known_net

    trained = exported(run, "torch")
    net = known_net("nin", 1, 67)
    net.load_state_dict(safetensors.torch.load_file(run / "exported-torch.safetensors"))
    for parameter, value in zip(net.parameters(), trained.parameters.values()):
        np.testing.assert_array_equal(parameter.detach().numpy(), value)
    assert torch.is_tensor(next(net.parameters()))


def test_gluon(run, tmp_path):
    from mxnet import gluon

    out = tmp_path / "net"
    trained = exported(run, "gluon", "--out", str(out))
    net = gluon.SymbolBlock.imports(f"{out}-symbol.json", ["data"], f"{out}-0000.params")
    X = np.random.RandomState(0).uniform(size=(2, 1, 67, 67)).astype(np.float32)
    expected = scores_of(trained.settings.but(engine="gluon"), trained.parameters, X)
    np.testing.assert_allclose(net(nd.array(X)).asnumpy(), expected, rtol=1e-5, atol=1e-6)


def test_a_run_without_a_checkpoint_is_read_from_what_it_exported(run):
    trained = read_run(run)
    form = "torch" if trained.settings.engine == "torch" else "gluon"
    assert main([str(run), "--to", form]) == 0
    files = {"torch": {"exported-torch.safetensors": "model-0001.safetensors"},
             "gluon": {"exported-0000.params": "model-0001.params"}}[form]
    for name, new in files.items():
        (run / name).rename(run / new)
    saved = run / "checkpoint" / "epoch-0002-step-000000"
    (saved / "net.safetensors").unlink()
    saved.rmdir()
    again = read_run(run)
    assert again.source in files.values()
    for name, value in trained.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], value)
    (run / again.source).unlink()
    assert main([str(run), "--to", "safetensors"]) == 2


def test_a_damaged_checkpoint_is_named(run, capsys):
    file = run / "checkpoint" / "epoch-0002-step-000000" / "net.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    assert main([str(run), "--to", "safetensors"]) == 2
    error = capsys.readouterr().err
    assert "epoch-0002-step-000000" in error and error.count("\n") == 1
    assert not (run / "exported.safetensors").exists()
