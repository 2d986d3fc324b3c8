"""The file of a trained net: written, read, and refused if anything about it is wrong."""

import hashlib
import json
import struct
from dataclasses import replace

import mxnet as mx
import numpy as np
import pytest
import safetensors
from safetensors.numpy import load_file

import nin_gluon
from nin_gluon import InputError
from nin_gluon.data.whitening import standardization, standardized
from nin_gluon.pretrained import Preprocessing, read_packaged, read_weights, write_weights
from nin_gluon.settings import TEXTBOOK
from tests.pretrained.made_weights import made_weights


@pytest.fixture(scope="module")
def weights():
    return made_weights("cifar_nin", 28)


@pytest.fixture
def file(tmp_path, weights, monkeypatch):
    monkeypatch.setenv("NIN_GLUON_PRETRAINED", str(tmp_path))
    path = tmp_path / "cifar_nin.safetensors"
    write_weights(path, weights)
    return path


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_what_was_written_is_read(tmp_path, weights, storage):
    path = tmp_path / "net.safetensors"
    write_weights(path, replace(weights, storage=storage))
    found = read_weights(path)
    for name, array in weights.parameters.items():
        expected = array if storage == "float32" else array.astype(np.float16)
        np.testing.assert_array_equal(found.parameters[name], expected.astype(np.float32))
        assert found.parameters[name].dtype == np.float32
    assert list(found.parameters) == list(weights.parameters)
    assert replace(found, parameters={}) == replace(weights, parameters={}, storage=storage)


def test_others_can_read_it_and_check_the_sum(file, weights):
    arrays = load_file(file)
    assert {name: array.shape for name, array in arrays.items()} == {
        name: array.shape for name, array in weights.parameters.items()}
    with safetensors.safe_open(file, "numpy") as opened:
        metadata = opened.metadata()
    assert json.loads(metadata["classes"]) == list(weights.classes)
    assert metadata["command"] == weights.command
    digest, content = metadata.pop("sha256"), file.read_bytes()
    data = content[8 + struct.unpack("<Q", content[:8])[0]:]
    text = json.dumps(metadata, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode() + data).hexdigest() == digest


def test_levels_are_those_of_the_training():
    images = np.random.RandomState(0).randint(0, 200, (9, 7, 6, 1)).astype(np.uint8)
    made_of = Preprocessing(7, 6, 1, 67, "bilinear", *standardization(images))
    again = Preprocessing(**json.loads(json.dumps(made_of.__dict__)))
    np.testing.assert_array_equal(again.levels, standardized(images))
    plain = Preprocessing(7, 6, 1, 67, "bilinear", 0, 255).levels
    np.testing.assert_array_equal(plain, (mx.nd.arange(256) / 255).asnumpy())


def test_any_change_is_found(file):
    content = bytearray(file.read_bytes())
    header = 8 + struct.unpack("<Q", content[:8])[0]
    for place in [*range(0, header, 97), *range(header, len(content), len(content) // 20)]:
        content[place] ^= 1
        file.write_bytes(content)
        with pytest.raises(InputError, match="cifar_nin.safetensors cannot be read as a trained"):
            read_weights(file)
        content[place] ^= 1
    for length in (0, 4, header - 1, header, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(InputError, match="cannot be read as a trained net"):
            read_weights(file)


@pytest.mark.parametrize("change, words", [
    ({"name": "x" * 101}, "name is"), ({"name": "two\nlines"}, "name is"),
    ({"classes": ()}, "classes are not a list"), ({"classes": ("a",) * 1001}, "1 to 1000"),
    ({"classes": ("a" * 101,)}, "a class is"), ({"command": ""}, "command is"),
    ({"evaluation": {"accuracy": 2, "loss": 1, "images": 1, "dtype": "float32"}}, "accuracy is 2"),
    ({"evaluation": {}}, "it has no 'accuracy'"),
    ({"preprocessing": Preprocessing(28, 28, 1, 5000, "bilinear", 0, 255)}, "resize is 5000"),
    ({"preprocessing": Preprocessing(28, 28, 1, 67, "nearest", 0, 255)}, "neither bilinear"),
    ({"preprocessing": Preprocessing(28, 28, 1, 67, "bilinear", 0, 0)}, "deviation is 0"),
    ({"parameters": {"000.weight": np.full((2, 2), np.nan, np.float32)}}, "not finite"),
    ({"classes": tuple("abc")}, "does not tell its 3 classes"),
    ({"settings": TEXTBOOK.but(dataset="garments")}, "data set is 'garments', which is unknown"),
    ({"parameters": {"weight": np.zeros((2, 2), np.float32)}}, "called 'weight'"),
    ({"parameters": {"001.weight": np.zeros((2, 2), np.float32)}}, "not 000"),
])
def test_what_must_not_be_in_a_file_is_not_written(tmp_path, weights, change, words):
    with pytest.raises(ValueError, match=words):
        write_weights(tmp_path / "net.safetensors", replace(weights, **change))
    assert not (tmp_path / "net.safetensors").exists()


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "nin.safetensors"
    with open(path, "wb") as file:
        file.truncate(10**9)
    with pytest.raises(InputError, match="should have .* at most"):
        read_weights(path)


def test_a_safetensors_file_of_another_kind(file, tmp_path):
    from safetensors.numpy import save_file

    save_file({"000.weight": np.zeros((2, 2), np.float32)}, file, {"format": "pt"})
    with pytest.raises(InputError, match="it has no 'name'"):
        read_weights(file)


# ------------------------------------------------------------------ nets


@pytest.mark.parametrize("name, size", [("nin", 67), ("cifar_nin", 28)])
def test_a_net_gets_the_parameters_in_gluon(tmp_path, monkeypatch, name, size):
    weights = made_weights(name, size)
    write_weights(tmp_path / f"{name}.safetensors", weights)
    monkeypatch.setenv("NIN_GLUON_PRETRAINED", str(tmp_path))
    net = nin_gluon.get_model(name, pretrained=True)
    for parameter, value in zip(net.collect_params().values(), weights.parameters.values()):
        np.testing.assert_array_equal(parameter.data().asnumpy(), value)
    assert net(mx.nd.zeros((2, 1, size, size))).shape == (2, 10)
    if name == "nin":
        again = nin_gluon.nin(pretrained=True, dropout=0.1)  # which changes no parameter
        X = mx.nd.random.uniform(shape=(2, 1, 80, 90))
        np.testing.assert_array_equal(again(X).asnumpy(), net(X).asnumpy())


def test_a_net_gets_the_parameters_in_torch(file, weights):
    torch = pytest.importorskip("torch")
    from nin_gluon.torch_models import nets

    net = nets.get_model("cifar_nin", pretrained=True)
    assert not net.training
    X = np.random.RandomState(0).rand(2, 1, 28, 28).astype(np.float32)
    gluon = nin_gluon.get_model("cifar_nin", pretrained=True)(mx.nd.array(X)).asnumpy()
    with torch.no_grad():
        np.testing.assert_allclose(net(torch.from_numpy(X)).numpy(), gluon, rtol=1e-4, atol=1e-5)


def test_other_options_than_the_trained_nets(file, weights, tmp_path):
    with pytest.raises(InputError, match="the trained cifar_nin is that of cifar_nin with 10"):
        nin_gluon.get_model("cifar_nin", classes=5, pretrained=True)
    with pytest.raises(InputError, match="leave out other options"):
        nin_gluon.get_model("cifar_nin,head=fc", pretrained=True)
    write_weights(tmp_path / "nin.safetensors", weights)
    with pytest.raises(InputError, match="has the net cifar_nin; name the file after it"):
        nin_gluon.nin(pretrained=True)


def test_a_net_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("NIN_GLUON_PRETRAINED", str(tmp_path))
    for build in (lambda: nin_gluon.nin(pretrained=True), lambda: read_packaged("nin"),
                  lambda: nin_gluon.get_model("nin,dropout=0.2", pretrained=True)):
        with pytest.raises(InputError, match=r"there is no trained nin in .*: none\); train one"):
            build()


def test_pretrained_is_no_option_of_a_command_line():
    """Training draws new parameters, so it would do nothing there."""
    with pytest.raises(InputError, match="has no option 'pretrained'"):
        nin_gluon.get_model("nin,pretrained=True")
    assert TEXTBOOK.model == "nin"
