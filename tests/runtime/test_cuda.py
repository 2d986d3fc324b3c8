"""The CUDA libraries, the driver and its devices."""

import ast
import sys

import pytest
from cuda_stub import build_broken_driver, build_cuda_stub, output

from nin_gluon.runtime import MXNetUnavailable, cuda

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="uses Linux's own interfaces")

ASK_DRIVER = "from nin_gluon import runtime; print(runtime.device_capabilities())"


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    """Folder with the stand-in for the driver."""
    return str(build_cuda_stub(tmp_path_factory.mktemp("driver")))


@on_linux
@pytest.mark.parametrize("devices, capabilities", [
    ("8.6", [(8, 6)]), ("9.0,8.9,12.1", [(9, 0), (8, 9), (12, 1)]), ("", [])])
def test_the_driver_is_asked_for_its_devices(stub, devices, capabilities):
    told = output("-c", ASK_DRIVER, LD_LIBRARY_PATH=stub, CUDA_STUB_CAPABILITIES=devices)
    assert ast.literal_eval(told) == capabilities


@on_linux
def test_the_driver_is_asked_for_names_and_version(stub):
    ask = ("from nin_gluon.runtime import cuda; "
           "print([cuda.device_names(), cuda.cuda_of_driver()])")
    told = output("-c", ask, LD_LIBRARY_PATH=stub, CUDA_STUB_CAPABILITIES="9.0,8.9")
    assert ast.literal_eval(told) == [["Stub GPU 0", "Stub GPU 1"], "12.4"]
    told = output("-c", ask, LD_LIBRARY_PATH=stub, CUDA_STUB_CAPABILITIES="")
    assert ast.literal_eval(told) == [[], "12.4"]


def test_without_a_driver_there_are_no_names(monkeypatch):
    monkeypatch.setattr(cuda, "load_driver", lambda: None)
    assert cuda.device_names() == [] and cuda.cuda_of_driver() is None


@pytest.mark.parametrize("installed, wheels, gpu_build", [
    (["numpy", "mxnet"], ["mxnet"], False),
    (["mxnet_cu112", "MXNet-cu117"], ["mxnet-cu117", "mxnet_cu112"], True),
    (["mxnet-model-server", None], [], False),
])
@pytest.mark.parametrize("kind, file", [("dist-info", "METADATA"), ("egg-info", "PKG-INFO")])
def test_builds_of_mxnet(monkeypatch, tmp_path, installed, wheels, gpu_build, kind, file):
    for number, name in enumerate(installed):
        folder = tmp_path / f"{number}.{kind}"
        folder.mkdir()
        if name:
            (folder / file).write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n\n"
                                       "Name: mxnet-cu80 is named in the description only\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert cuda.mxnet_wheels() == wheels and cuda.is_gpu_build() == gpu_build


@on_linux
def test_no_driver_that_could_be_asked(tmp_path):
    broken = build_broken_driver(tmp_path)
    assert output("-c", ASK_DRIVER, LD_LIBRARY_PATH=str(broken)) == "None"


def test_a_missing_driver_is_named_before_missing_libraries(monkeypatch):
    # Otherwise the user would install 2 GB of libraries to learn that they are useless here.
    monkeypatch.setattr(cuda, "CUDA_LIBRARIES", (("none", "libnone.so.11"),))
    monkeypatch.setattr(cuda, "load_driver", lambda: None)
    with pytest.raises(MXNetUnavailable, match="no NVIDIA driver") as error:
        cuda.load_cuda_libraries()
    assert "pip install -e '.[cpu]'" in str(error.value) and "\n" not in str(error.value)


def test_a_missing_cuda_library_is_named(monkeypatch):
    monkeypatch.setattr(cuda, "CUDA_LIBRARIES", (("none", "libnone.so.11"),))
    monkeypatch.setattr(cuda, "load_driver", object)
    with pytest.raises(MXNetUnavailable, match=r"needs libnone\.so\.11") as error:
        cuda.load_cuda_libraries()
    assert "pip install -e '.[gpu]'" in str(error.value) and "\n" not in str(error.value)
