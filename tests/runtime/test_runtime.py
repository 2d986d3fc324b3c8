"""The tests of `nin_gluon.runtime`: what happens around ``import mxnet``."""

import ast
import ctypes
import importlib.util
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from nin_gluon import InputError, runtime

HELPERS = importlib.util.spec_from_file_location(
    "cuda_stub", Path(__file__).parents[1] / "cuda_stub.py")
cuda_stub = importlib.util.module_from_spec(HELPERS)
HELPERS.loader.exec_module(cuda_stub)
output, run_python = cuda_stub.output, cuda_stub.run_python

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="uses Linux's own interfaces")
cpu_build = pytest.mark.skipif(runtime.is_gpu_build(), reason="is about the CPU build of MXNet")


@pytest.fixture(scope="module")
def mx():
    """MXNet, imported only now that nin_gluon is."""
    import mxnet

    return mxnet


# ------------------------------------------------------------------ the import


def test_importing_the_package_does_not_import_mxnet():
    code = "import sys, nin_gluon; print([m for m in ('mxnet', 'numpy') if m in sys.modules])"
    assert output("-c", code) == "[]"


def test_mxnet_imports_and_computes_after_the_package():
    code = ("import nin_gluon, mxnet as mx, numpy as np; "
            "print(np.bool is np.bool_, np.int is int, mx.nd.arange(4).sum().asscalar())")
    assert output("-c", code) == "True True 6.0"


def test_the_hook_is_put_in_place_once():
    before = list(sys.meta_path)
    runtime.install()
    assert sys.meta_path == before


def test_d2lzh_draws_after_the_package():
    code = ("import nin_gluon, d2lzh; from matplotlib import pyplot as plt; "
            "d2lzh.semilogy([1, 2], [3, 4], 'x', 'y', figsize=(3, 2)); "
            "print(plt.gca().get_yscale(), plt.gcf().get_size_inches())")
    assert output("-c", code) == "log [3. 2.]"


def test_a_numpy_that_mxnet_cannot_use_is_named(monkeypatch):
    import numpy

    monkeypatch.setattr(numpy, "__version__", "2.5.5")
    with pytest.raises(runtime.MXNetUnavailable, match=r"below 2, and this is 2\.5\.5"):
        runtime.alias_numpy()


@on_linux
@pytest.mark.parametrize("library, package", [("libgomp.so.1", "libgomp1"),
                                              ("libquadmath.so.0", "libquadmath0")])
def test_a_missing_system_library_is_named_with_its_package(monkeypatch, library, package):
    load = ctypes.CDLL

    def without(name, *args, **kwargs):
        if name == library:
            raise OSError(f"{name}: cannot open shared object file")
        return load(name, *args, **kwargs)

    monkeypatch.setattr(runtime.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(runtime.ctypes, "CDLL", without)
    with pytest.raises(runtime.MXNetUnavailable, match=f"{library}.*apt-get install {package}"):
        runtime.check_system_libraries()


# ------------------------------------------------------------------ threads

THREADS = """
import ctypes, os
if {cpus}:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{cpus}])
import nin_gluon, mxnet
mxnet.nd.ones(1).wait_to_read()
print(os.environ["OMP_NUM_THREADS"], ctypes.CDLL("libgomp.so.1").omp_get_max_threads())
"""


@on_linux
def test_all_processors_that_the_process_may_use_get_a_thread():
    cpus = runtime.available_cpus()
    assert output("-c", THREADS.format(cpus=0)) == f"{cpus} {cpus}"


@on_linux
def test_processors_outside_the_affinity_get_no_thread():
    assert output("-c", THREADS.format(cpus=1)) == "1 1"


@on_linux
def test_the_users_number_of_threads_stays():
    assert output("-c", THREADS.format(cpus=1), OMP_NUM_THREADS="3") == "3 3"


def cgroup(tmp_path, membership, files):
    """Make a cgroup tree; return what `available_cpus` takes to look there."""
    root, own = tmp_path / "fs", tmp_path / "cgroup"
    root.mkdir()
    own.write_text(membership)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root, own


@pytest.fixture
def sixteen_cpus(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)


@pytest.mark.parametrize("files, cpus", [
    ({"a/b/cpu.max": "200000 100000"}, 2),
    ({"a/b/cpu.max": "max 100000"}, 16),
    ({"a/b/cpu.max": "2000000 100000"}, 16),  # above the affinity
    ({"a/b/cpu.max": "150000 100000"}, 2),
    ({"a/b/cpu.max": "10000 100000"}, 1),
    ({"a/b/cpu.max": "50000 25000"}, 2),
    ({"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),
    ({"a/cpu.max": "300000 100000", "a/b/cpu.max": "200000 100000"}, 2),
    ({"a/cpu.max": "200000 100000", "a/b/cpu.max": "500000 100000"}, 2),
    ({"cpu.max": "400000 100000"}, 4),  # a container's own group is the root it sees
    ({"other/cpu.max": "100000 100000", "a/b/c/cpu.max": "100000 100000"}, 16),
    ({"a/b/cpu.max": ""}, 16),
    ({}, 16),
])
def test_quota_of_cgroup_version_2(tmp_path, sixteen_cpus, files, cpus):
    assert runtime.available_cpus(*cgroup(tmp_path, "0::/a/b\n", files)) == cpus


@pytest.mark.parametrize("files, cpus", [
    ({"cpu,cpuacct/a/b/cpu.cfs_quota_us": "200000",
      "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000"}, 2),
    ({"cpu,cpuacct/a/b/cpu.cfs_quota_us": "250000",
      "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000"}, 3),
    ({"cpu,cpuacct/a/b/cpu.cfs_quota_us": "-1",
      "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000"}, 16),
    ({"cpu,cpuacct/a/b/cpu.cfs_quota_us": "-1", "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000",
      "cpu,cpuacct/a/cpu.cfs_quota_us": "500000",
      "cpu,cpuacct/a/cpu.cfs_period_us": "100000"}, 5),
    ({"cpu/a/b/cpu.cfs_quota_us": "200000", "cpu/a/b/cpu.cfs_period_us": "100000"}, 2),
    ({"cpu,cpuacct/cpu.cfs_quota_us": "400000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 4),
    ({"cpu,cpuacct/a/b/cpu.cfs_quota_us": "200000"}, 16),
    ({"cpuset/x/cpu.cfs_quota_us": "100000", "cpuset/x/cpu.cfs_period_us": "100000"}, 16),
    ({}, 16),
])
def test_quota_of_cgroup_version_1(tmp_path, sixteen_cpus, files, cpus):
    membership = "5:cpuset:/x\n4:cpu,cpuacct:/a/b\n1:name=systemd:/y\n0::/z\n"
    assert runtime.available_cpus(*cgroup(tmp_path, membership, files)) == cpus


def test_no_cgroups_at_all(tmp_path, sixteen_cpus):
    assert runtime.available_cpus(tmp_path / "none", tmp_path / "neither") == 16


# ------------------------------------------------------------------ no MXNet


def test_the_message_about_missing_mxnet_names_both_extras():
    message = runtime.missing_mxnet_message("Linux", "x86_64")
    assert "nin_gluon[cpu]" in message and "nin_gluon[gpu]" in message
    assert "\n" not in message
    assert runtime.missing_mxnet_message("Linux", "aarch64") == message
    assert runtime.missing_mxnet_message("Darwin", "x86_64") == message


@pytest.mark.parametrize("system, machine", [
    ("Darwin", "arm64"), ("Windows", "AMD64"), ("Linux", "ppc64le"), ("FreeBSD", "x86_64")])
def test_the_message_names_a_platform_without_wheels(system, machine):
    message = runtime.missing_mxnet_message(system, machine)
    assert f"no wheel for {system} on {machine}" in message
    assert "pip install" not in message  # it would not help


# Without site-packages (-S) nothing but the standard library and the checkout is found.


def test_without_mxnet_a_command_says_so_in_one_line(tmp_path):
    done = run_python("-S", "-m", "nin_gluon.train", cwd=tmp_path, only_root=True)
    assert done.returncode == 2
    assert done.stderr == f"nin_gluon.train: error: {runtime.missing_mxnet_message()}\n"
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())  # no run folder is left


def test_without_mxnet_on_a_platform_that_has_no_wheels(tmp_path):
    code = ("import platform, sys; platform.machine = lambda: 'riscv64'; "
            "from nin_gluon.train import main; sys.exit(main([]))")
    done = run_python("-S", "-c", code, cwd=tmp_path, only_root=True)
    assert done.returncode == 2
    assert re.fullmatch(r"nin_gluon\.train: error: .* no wheel for \w+ on riscv64, .*\n",
                        done.stderr)


def test_without_mxnet_importing_it_is_an_import_error():
    code = ("import nin_gluon\ntry:\n    import mxnet\nexcept ImportError as error:\n"
            "    print(type(error).__name__, error)")
    expected = f"MXNetUnavailable {runtime.missing_mxnet_message()}"
    assert output("-S", "-c", code, only_root=True) == expected


# ------------------------------------------------------------------ --ctx


@pytest.mark.parametrize("text, expected", [
    ("cpu", [("cpu", 0)]),
    (" cpu ( 2 ) ", [("cpu", 2)]),
    ("cpu(0),cpu(1)", [("cpu", 0), ("cpu", 1)]),
    ("cpu(1), cpu", [("cpu", 1), ("cpu", 0)]),
])
def test_ctx_names_cpus(text, expected):
    assert [(c.device_type, c.device_id) for c in runtime.parse_ctx(text)] == expected


def test_ctx_names_gpus(mx, monkeypatch):
    monkeypatch.setattr(runtime, "gpu_problem", lambda device_id: None)
    assert runtime.parse_ctx("gpu") == [mx.gpu(0)]
    assert runtime.parse_ctx("gpu(1), gpu(0)") == [mx.gpu(1), mx.gpu(0)]


def test_ctx_auto_is_what_try_gpu_finds(mx, monkeypatch):
    assert runtime.parse_ctx(" auto ") == [runtime.try_gpu()]
    monkeypatch.setattr(runtime, "try_gpu", lambda: mx.gpu(3))
    assert runtime.parse_ctx("auto") == [mx.gpu(3)]


@pytest.mark.parametrize("text", [
    "", "tpu", "cpu(", "cpu()", "cpu(a)", "gpu(-1)", "gpu(1000)", "cpu,", "cpu cpu", "auto,cpu"])
def test_ctx_that_is_no_device(text):
    with pytest.raises(InputError, match="is not a device; use auto, cpu, gpu") as error:
        runtime.parse_ctx(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("text", ["cpu,cpu", "cpu,cpu(0)", "cpu(1),cpu(0),cpu(1)", "gpu(0),gpu"])
def test_ctx_that_names_a_device_twice(text):
    with pytest.raises(InputError, match="twice"):
        runtime.parse_ctx(text)


def test_ctx_that_mixes_cpu_and_gpu(monkeypatch):
    monkeypatch.setattr(runtime, "gpu_problem", lambda device_id: None)
    with pytest.raises(InputError, match="mixes CPU and GPU"):
        runtime.parse_ctx("cpu,gpu")


def test_ctx_with_a_gpu_that_cannot_be_used_says_why(monkeypatch):
    problems = {0: None, 1: "gpu(1) cannot be used: it rains."}
    monkeypatch.setattr(runtime, "gpu_problem", problems.get)
    with pytest.raises(InputError, match=r"^gpu\(1\) cannot be used: it rains\.$"):
        runtime.parse_ctx("gpu(0),gpu(1)")


@cpu_build
def test_a_gpu_in_the_cpu_build():
    with pytest.raises(InputError) as error:
        runtime.parse_ctx("gpu(1)")
    assert str(error.value).startswith("gpu(1) cannot be used: this is the CPU build of MXNet")
    assert "pip install 'nin_gluon[gpu]'" in str(error.value)


@cpu_build
def test_auto_in_the_cpu_build_is_the_cpu(mx, monkeypatch):
    monkeypatch.setattr(runtime, "device_capabilities", lambda: [(8, 0)])
    assert runtime.parse_ctx("auto") == [mx.cpu()] == runtime.try_all_gpus()


# ------------------------------------------------------------------ GPUs


@pytest.mark.parametrize("device_id, capabilities, said", [
    (0, None, "no NVIDIA driver (libcuda.so.1 does not load)"),
    (0, [], "the NVIDIA driver finds no GPU"),
    (2, [(8, 0), (8, 6)], "the NVIDIA driver finds 2 GPU(s), gpu(0) to gpu(1)"),
    (0, [(9, 0)], "its compute capability is 9.0"),
    (1, [(8, 0), (12, 0)], "its compute capability is 12.0"),
    (0, [(3, 5)], "its compute capability is 3.5"),
])
def test_a_gpu_that_cannot_be_used(device_id, capabilities, said):
    problem = runtime.device_problem(device_id, capabilities)
    assert problem.startswith(f"gpu({device_id}) cannot be used: ") and said in problem
    assert "\n" not in problem and problem.endswith(".")


@pytest.mark.parametrize("capability", [
    (5, 0), (5, 2), (6, 0), (6, 1), (7, 0), (7, 5), (8, 0), (8, 6), (8, 9)])
def test_a_gpu_that_can_be_used(capability):
    assert runtime.device_problem(1, [(9, 0), capability]) is None


@pytest.fixture
def gpu_features(mx, monkeypatch):
    """MXNet says of itself that it is a GPU build."""

    class Features:
        def is_enabled(self, name):
            return name == "CUDA"

    monkeypatch.setattr(mx.runtime, "Features", Features)


def test_gpus_that_cannot_be_used_are_passed_over(mx, gpu_features, monkeypatch):
    monkeypatch.setattr(runtime, "device_capabilities", lambda: [(9, 0), (8, 6), (3, 5), (5, 2)])
    assert runtime.try_all_gpus() == [mx.gpu(1), mx.gpu(3)]
    assert runtime.try_gpu() == mx.gpu(1)
    assert runtime.gpu_problem(1) is None
    assert "9.0" in runtime.gpu_problem(0)


@pytest.mark.parametrize("capabilities", [None, [], [(9, 0)]])
def test_without_a_gpu_of_use_it_is_the_cpu(mx, gpu_features, monkeypatch, capabilities):
    monkeypatch.setattr(runtime, "device_capabilities", lambda: capabilities)
    assert runtime.try_all_gpus() == [mx.cpu()]
    assert runtime.try_gpu() == mx.cpu()
    assert runtime.gpu_problem()


ASK_DRIVER = "from nin_gluon import runtime; print(runtime.device_capabilities())"


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    """Folder with a driver that has the devices it is told to have."""
    return str(cuda_stub.build_cuda_stub(tmp_path_factory.mktemp("driver")))


@on_linux
@pytest.mark.parametrize("devices, capabilities", [
    ("8.6", [(8, 6)]), ("9.0,8.9,12.1", [(9, 0), (8, 9), (12, 1)]), ("", [])])
def test_the_driver_is_asked_for_its_devices(stub, devices, capabilities):
    told = output("-c", ASK_DRIVER, LD_LIBRARY_PATH=stub, CUDA_STUB_CAPABILITIES=devices)
    assert ast.literal_eval(told) == capabilities


@on_linux
def test_no_driver_that_could_be_asked(tmp_path):
    broken = cuda_stub.build_broken_driver(tmp_path)
    assert output("-c", ASK_DRIVER, LD_LIBRARY_PATH=str(broken)) == "None"


def test_a_missing_driver_is_named_before_missing_libraries(monkeypatch):
    # Else one would install the libraries, 2 GB, to learn that they are of no use here.
    monkeypatch.setattr(runtime, "CUDA_LIBRARIES", (("none", "libnone.so.11"),))
    monkeypatch.setattr(runtime, "load_driver", lambda: None)
    with pytest.raises(runtime.MXNetUnavailable, match="no NVIDIA driver") as error:
        runtime.load_cuda_libraries()
    assert "nin_gluon[cpu]" in str(error.value) and "\n" not in str(error.value)


def test_a_missing_cuda_library_is_named(monkeypatch):
    monkeypatch.setattr(runtime, "CUDA_LIBRARIES", (("none", "libnone.so.11"),))
    monkeypatch.setattr(runtime, "load_driver", object)
    with pytest.raises(runtime.MXNetUnavailable, match=r"needs libnone\.so\.11") as error:
        runtime.load_cuda_libraries()
    assert "nin_gluon[gpu]" in str(error.value) and "\n" not in str(error.value)


# ------------------------------------------------------------------ precision


def test_float32_needs_nothing(mx, monkeypatch):
    monkeypatch.setattr(runtime, "cpu_flags", set)
    assert runtime.use_dtype("float32", [mx.cpu(), mx.gpu()]) is None


def test_bfloat16_on_a_cpu_without_it(mx, monkeypatch):
    monkeypatch.setattr(runtime, "cpu_flags", lambda: {"avx2", "avx512f"})
    with pytest.raises(InputError, match="neither avx512_bf16 nor amx_bf16"):
        runtime.use_dtype("bfloat16", [mx.cpu()])


def test_bfloat16_on_a_gpu(mx, monkeypatch):
    monkeypatch.setattr(runtime, "cpu_flags", lambda: {"avx512_bf16", "amx_bf16"})
    with pytest.raises(InputError, match="bfloat16 is for CPUs"):
        runtime.use_dtype("bfloat16", [mx.gpu()])


def test_a_dtype_that_is_not_known(mx):
    with pytest.raises(InputError, match="'int8' is not known; use float32, bfloat16 or float16"):
        runtime.use_dtype("int8", [mx.cpu()])


def test_float16_on_a_cpu(mx):
    with pytest.raises(InputError, match="float16 is for GPUs .*; use --dtype bfloat16"):
        runtime.use_dtype("float16", [mx.cpu()])


def test_float16_on_a_gpu_is_mxnets_mixed_precision(mx, monkeypatch):
    from mxnet.contrib import amp

    chosen = []
    monkeypatch.setattr(amp, "init", lambda target_dtype: chosen.append(target_dtype))
    runtime.use_dtype("float16", [mx.gpu(0), mx.gpu(1)])
    assert chosen == ["float16"]


# Prints whether Linux lets this process use the matrix units, then what use_dtype leaves behind.
BFLOAT16 = """
import ctypes, os, sys
from nin_gluon import runtime
import mxnet as mx
if "amx_bf16" in runtime.cpu_flags():
    print("tiles granted:", ctypes.CDLL(None).syscall(158, 0x1023, 18) == 0)
runtime.use_dtype("bfloat16", [mx.cpu()])
print("left behind:", os.environ.get("DNNL_MAX_CPU_ISA"))
from nin_gluon.models import nin
net = nin(classes=4)
net.load_parameters("net.params")
net.hybridize()
scores = net(mx.nd.load("x")[0])
print("dtype:", scores.dtype.__name__)
mx.nd.save("scores", scores.astype("float32"))
"""


@pytest.mark.skipif(not runtime.cpu_flags() & {"avx512_bf16", "amx_bf16"},
                    reason="this CPU has no bfloat16 arithmetic")
def test_bfloat16_scores_are_close_to_float32_scores(mx, tmp_path):
    from nin_gluon.models import nin

    mx.random.seed(0)
    net = nin(classes=4)
    # Uniform weights above zero: no ReLU hides a difference, and all scores have one size.
    net.initialize(mx.init.Uniform(0.02))
    x = mx.nd.random.uniform(shape=(2, 1, 67, 67))
    net(x)
    for weight in net.collect_params(".*weight").values():
        weight.set_data(weight.data().abs())
    expected = net(x).asnumpy()
    net.save_parameters(str(tmp_path / "net.params"))
    mx.nd.save(str(tmp_path / "x"), [x])

    log = output("-c", BFLOAT16, cwd=tmp_path, DNNL_VERBOSE="1")
    scores = mx.nd.load(str(tmp_path / "scores"))[0].asnumpy()
    difference = abs(scores - expected).max() / abs(expected).max()
    assert 0 < difference < 0.05  # none at all would mean float32 arithmetic
    assert "left behind: None" in log
    kernels = [line for line in log.splitlines()
               if re.search(r",exec,cpu,convolution,.*src_bf16", line)]
    assert len(kernels) == 12
    if "tiles granted: True" in log:
        assert any("amx_bf16" in line for line in kernels)


# Twenty steps of the chapter's net, momentum and all; prints the losses.
STEPS = """
import json, sys
from nin_gluon import runtime
import mxnet as mx
import numpy as np
runtime.use_dtype(sys.argv[1], [mx.cpu()])
from nin_gluon import models
from nin_gluon.training import loop
from nin_gluon.data import load_data
mx.random.seed(5)
np.random.seed(5)
net = models.get_model("nin")
net.initialize(models.initializer("identity"))
net.hybridize(static_alloc=True, static_shape=True)
net(mx.nd.zeros((1, 1, 67, 67)))
train_iter, test_iter = load_data("sample", 32, 67, limit=640)
trainer = mx.gluon.Trainer(list(net.collect_params().values()), "sgd",
                           {"learning_rate": 0.02, "momentum": 0.9})
losses = []
class Watch:
    def step(self, tally):
        before = tally.loss_sum
        tally.collect()
        losses.append((tally.loss_sum - before) / 32)
    def evaluating(self): pass
    def epoch(self, history): pass
loop.train_ch5(net, train_iter, test_iter, 32, trainer, mx.cpu(), 2, watch=Watch(),
               form=models.training_form)
print(json.dumps(losses))
"""


@pytest.mark.skipif(not runtime.cpu_flags() & {"avx512_bf16", "amx_bf16"},
                    reason="this CPU has no bfloat16 arithmetic")
def test_bfloat16_starts_as_float32_does_and_learns_alike():
    single, half = (np.array(json.loads(output("-c", STEPS, dtype).splitlines()[-1]))
                    for dtype in ("float32", "bfloat16"))
    assert len(single) == len(half) == 40
    assert 0 < np.abs(half / single - 1)[:5].max() < 0.01
    assert np.abs(half - single).mean() < 0.15
    for losses in (single, half):
        assert losses[-5:].mean() < losses[:5].mean() - 0.5


def test_the_users_choice_of_kernels_stays(mx, monkeypatch):
    monkeypatch.setattr(runtime, "cpu_flags", lambda: {"amx_bf16"})
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "AVX512_CORE_BF16")
    runtime.enable_amx()
    assert os.environ["DNNL_MAX_CPU_ISA"] == "AVX512_CORE_BF16"


# ------------------------------------------------------------------ description


def test_the_machine_is_described_in_json(mx, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "6,2")  # a user may set one number for each level
    told = runtime.describe_machine()
    assert json.loads(json.dumps(told)) == told
    assert told["mxnet"] == mx.__version__
    assert told["python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert told["threads"] == 6
    assert told["cpu"]
