"""The GPU build of MXNet, imported for real on a machine that needs no GPU and no CUDA toolkit.

``make test-gpu-wheel`` makes the environment. The driver is the stand-in from cuda_stub.py.
"""

import json
from pathlib import Path

import pytest
from cuda_stub import build_broken_driver, build_cuda_stub, output, run_python

from nin_gluon import runtime

if not runtime.is_gpu_build():
    pytest.skip("needs the GPU build of MXNet (make test-gpu-wheel)", allow_module_level=True)

NO_DRIVER = (
    "the GPU build of MXNet is installed, but this machine has no NVIDIA driver (libcuda.so.1 "
    "does not load); install the driver, or use the CPU build; in a checkout of the project: pip "
    "uninstall mxnet-cu112 && pip install -e '.[cpu]'"
)


@pytest.fixture
def same_random_numbers():
    """Replace the fixture in conftest.py: this process cannot import MXNet."""


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    """Variables with which the loader finds the stand-in, which has no device."""
    folder = build_cuda_stub(tmp_path_factory.mktemp("driver"))
    return {"LD_LIBRARY_PATH": str(folder), "CUDA_STUB_CAPABILITIES": None}


@pytest.fixture(params=["absent", "broken"])
def no_driver(request, tmp_path):
    """Variables with which the loader finds no driver, or one that does not load."""
    if request.param == "broken":
        (tmp_path / "driver").mkdir()
        return {"LD_LIBRARY_PATH": str(build_broken_driver(tmp_path / "driver"))}
    if runtime.load_driver() is not None:
        pytest.skip("this machine has a driver")
    return {"LD_LIBRARY_PATH": None}


def test_mxnet_imports_with_the_cuda_libraries_of_the_wheels(stub):
    code = ("import json, nin_gluon, mxnet; "
            "assert mxnet.runtime.Features().is_enabled('CUDA'); "
            "print(json.dumps([line.split()[-1] for line in open('/proc/self/maps')]))")
    loaded = {path for path in json.loads(output("-c", code, **stub)) if ".so" in path}
    for folder, name in runtime.CUDA_LIBRARIES:
        copies = [path for path in loaded if Path(path).name == name]
        assert len(copies) == 1, (name, copies)
        assert copies[0].endswith(f"/nvidia/{folder}/lib/{name}")


def test_it_computes_on_the_cpu(stub):
    code = ("import nin_gluon, mxnet as mx; net = nin_gluon.nin(); net.initialize(); "
            "net.hybridize(); ctx = nin_gluon.try_gpu(); x = mx.nd.ones((2, 1, 67, 67), ctx); "
            "y = net(x).asnumpy(); print(ctx, y.shape, (y == y).all(), (y > 0).any())")
    assert output("-c", code, **stub) == "cpu(0) (2, 10) True True"


def test_training_on_a_gpu_that_is_not_there(stub, tmp_path):
    done = run_python("-m", "nin_gluon.train", "--ctx", "gpu", cwd=tmp_path, **stub)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ("nin_gluon.train: error: gpu(0) cannot be used: the NVIDIA driver "
                           "finds no GPU; see what nvidia-smi says.\n")
    assert not list(tmp_path.iterdir())  # no run folder is left


def test_training_on_a_gpu_that_mxnet_has_no_code_for(stub, tmp_path):
    devices = {**stub, "CUDA_STUB_CAPABILITIES": "9.0"}
    done = run_python("-m", "nin_gluon.train", "--ctx", "gpu", cwd=tmp_path, **devices)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "nin_gluon.train: error: gpu(0) cannot be used: its compute capability is 9.0, and MXNet "
        "1.9.1 has machine code for 5.0 to 8.9 only; train with --engine torch, or on the CPU "
        "with --ctx cpu.\n")


@pytest.mark.parametrize("capabilities, gpus", [
    ("9.0", "[cpu(0)]"), ("8.6", "[gpu(0)]"), ("9.0,7.5,3.5,8.9", "[gpu(1), gpu(3)]")])
def test_the_gpus_of_use_are_picked(stub, capabilities, gpus):
    devices = {**stub, "CUDA_STUB_CAPABILITIES": capabilities}
    code = ("import nin_gluon; gpus = nin_gluon.try_all_gpus(); print(gpus); "
            "assert nin_gluon.try_gpu() == gpus[0]; "
            "assert nin_gluon.runtime.parse_ctx(','.join(map(str, gpus))) == gpus")
    assert output("-c", code, **devices) == gpus


def test_without_a_driver_the_import_says_so(no_driver):
    done = run_python("-c", "import nin_gluon, mxnet", **no_driver)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"nin_gluon.runtime.MXNetUnavailable: {NO_DRIVER}"


def test_without_a_driver_a_command_says_so_in_one_line(no_driver, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    done = run_python("-m", "nin_gluon.train", cwd=work, **no_driver)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"nin_gluon.train: error: {NO_DRIVER}\n"
    assert not list(work.iterdir())


# MXNet compiles fused kernels for a hybridized net on a GPU while it runs. The compiler needs no
# GPU, but it loads another library from its wheel, which nothing has loaded by name before.
COMPILE = """
import ctypes
import nin_gluon, mxnet
nvrtc, program = ctypes.CDLL("libnvrtc.so.11.2"), ctypes.c_void_p()
source = b'extern "C" __global__ void k(float *x) { x[threadIdx.x] = expf(x[threadIdx.x]); }'
assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, b"k.cu", 0, None, None) == 0
options = (ctypes.c_char_p * 1)(b"--gpu-architecture=sm_86")
print(nvrtc.nvrtcCompileProgram(program, 1, options))
"""


def test_kernels_can_be_compiled_at_run_time(stub):
    assert output("-c", COMPILE, **stub) == "0"
