"""Everything that must happen around ``import mxnet`` for MXNet 1.9.1 to run today.

MXNet was retired in 2023. On a current machine it meets a NumPy without ``numpy.bool``, CUDA
libraries that no system has any more, a processor count it halves, and matrix units it does not
know how to ask for. `install` puts a hook in front of the import of mxnet (and of d2lzh) that
sees to all of it, so that ``import nin_gluon`` is enough and costs nothing until MXNet is used.
"""

import ctypes
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import math
import os
import platform
import re
import sys
import warnings
from pathlib import Path

from nin_gluon.errors import InputError

__all__ = [
    "MXNetUnavailable",
    "available_cpus",
    "cpu_flags",
    "describe_machine",
    "gpu_problem",
    "install",
    "parse_ctx",
    "try_all_gpus",
    "try_gpu",
    "use_dtype",
]

# In the order of their dependencies, as libmxnet.so of mxnet-cu112 1.9.1 needs them. Each
# nvidia-*-cu11 wheel keeps its libraries in nvidia/<folder>/lib.
CUDA_LIBRARIES = (
    ("cuda_runtime", "libcudart.so.11.0"),
    ("cuda_nvrtc", "libnvrtc.so.11.2"),
    ("nvtx", "libnvToolsExt.so.1"),
    ("cublas", "libcublasLt.so.11"),
    ("cublas", "libcublas.so.11"),
    ("cufft", "libcufft.so.10"),
    ("curand", "libcurand.so.10"),
    ("cusparse", "libcusparse.so.11"),
    ("cusolver", "libcusolver.so.11"),
    ("nccl", "libnccl.so.2"),
    ("cudnn", "libcudnn.so.8"),
)

# libmxnet.so holds machine code for 5.0, 6.0, 7.0, 8.0 and 8.6 and no PTX. A device runs code
# of its own major version with the same or a lower minor one, and nothing else.
GPU_CODE = ((5, 0), (6, 0), (7, 0), (8, 0), (8, 6))


# OMP_NUM_THREADS as the user set it, or None; `install` settles it for this process.
THREADS_GIVEN = os.environ.get("OMP_NUM_THREADS")


class MXNetUnavailable(ImportError):
    """MXNet cannot be imported here; the message says why and what to do."""


# ------------------------------------------------------------------ before the import


class _BeforeImport(importlib.abc.MetaPathFinder):
    """Finds nothing; prepares the process just before mxnet or d2lzh is really imported."""

    def find_spec(self, name, path=None, target=None):
        if name == "mxnet":
            prepare_mxnet()
        elif name == "d2lzh":
            give_ipython_its_old_name()
        return None


def install():
    """Settle the threads and put the hook in place. Called by ``import nin_gluon``."""
    # Before any library that reads it is loaded.
    os.environ.setdefault("OMP_NUM_THREADS", str(available_cpus()))
    if not any(isinstance(finder, _BeforeImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _BeforeImport())


def prepare_mxnet():
    """Make ``import mxnet`` work in this process.

    Raises
    ------
    MXNetUnavailable
        Neither build is installed, the platform has no wheel, or the GPU build finds no driver.
    """
    if importlib.machinery.PathFinder.find_spec("mxnet") is None:
        raise MXNetUnavailable(missing_mxnet_message())
    alias_numpy()
    check_system_libraries()
    settle_memory()
    if is_gpu_build():
        load_cuda_libraries()


def settle_memory():
    """Have MXNet use less memory, and glibc hand it back less often.

    MXNet keeps four copies of its temporary space, of which a chain of layers on the CPU uses one
    at a time: 400 MB too many for a float32 training step of 128 images at 224x224.

    It asks for the memory of each batch anew. By itself glibc hands so large a piece back to the
    system at once, and the next batch pays for getting it, zeroed, page by page: about 2 % of a
    bfloat16 step. So glibc is to keep up to 1 GiB, and to take arrays of up to 32 MiB from it.
    """
    os.environ.setdefault("MXNET_CPU_TEMP_COPY", "1")
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        mmap_threshold, trim_threshold = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD in <malloc.h>
        libc.mallopt(mmap_threshold, 32 * 2**20)  # the largest that glibc accepts
        libc.mallopt(trim_threshold, 2**30)


def missing_mxnet_message(system=None, machine=None):
    """Why there is no MXNet here: not installed, or no wheel for this platform."""
    system, machine = system or platform.system(), machine or platform.machine()
    wheels = {"Linux": ("x86_64", "aarch64"), "Darwin": ("x86_64",)}
    if machine not in wheels.get(system, ()):
        return (
            f"MXNet 1.9.1 has no wheel for {system} on {machine}, only for Linux on x86_64 or "
            "aarch64 and macOS on x86_64; use one of those, for example in Docker or WSL 2."
        )
    return (
        "MXNet is not installed; run: pip install 'nin_gluon[cpu]' (any machine) or "
        "pip install 'nin_gluon[gpu]' (NVIDIA GPU of compute capability 5.0 to 8.9); in a "
        "checkout of the project: pip install -e '.[cpu]' or '.[gpu]'."
    )


def check_system_libraries():
    """MXNet's Linux wheels bring libgfortran but not what that needs; slim images lack it."""
    if platform.system() != "Linux":
        return
    for name, package in (("libgomp.so.1", "libgomp1"), ("libquadmath.so.0", "libquadmath0")):
        if name.startswith("libquadmath") and platform.machine() != "x86_64":
            continue  # Arm's libgfortran does without
        try:
            ctypes.CDLL(name)
        except OSError:
            raise MXNetUnavailable(f"MXNet needs the system library {name}; install it, on Debian "
                                   f"and Ubuntu by: apt-get install {package}") from None


def alias_numpy():
    """Give NumPy back the names that MXNet 1.9.1 uses and NumPy 1.24 removed."""
    import numpy as np

    if int(np.__version__.split(".")[0]) >= 2:
        raise MXNetUnavailable(f"MXNet 1.9.1 needs a NumPy below 2, and this is {np.__version__}; "
                               "run: pip install 'numpy<2'")
    for name, replacement in {"bool": np.bool_, "int": int}.items():
        if name not in vars(np):
            setattr(np, name, replacement)


def give_ipython_its_old_name():
    """d2lzh calls ``IPython.display.set_matplotlib_formats``, which has moved."""
    try:
        from IPython import display
    except ImportError:  # then d2lzh is not there either, and its own import says so
        return
    if not hasattr(display, "set_matplotlib_formats"):
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        display.set_matplotlib_formats = set_matplotlib_formats


def available_cpus(cgroup_root="/sys/fs/cgroup", cgroup_file="/proc/self/cgroup"):
    """Processors this process may use: its affinity, cut to the cgroup's quota, at least 1.

    MXNet takes half of the processors, the other half being hyper-threads in its eyes. A quota
    of 1.5 processors counts as 2: both threads are then busy three quarters of the time, which
    does more than one thread could.
    """
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    return max(1, min([cpus, *(math.ceil(q) for q in cgroup_quotas(cgroup_root, cgroup_file))]))


def cgroup_quotas(root, cgroup_file):
    """Processor quotas, in processors, of this process's cgroups and of all those above them."""

    def read(path):
        try:
            return path.read_text().split()
        except OSError:
            return []

    try:
        lines = Path(cgroup_file).read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        version_1 = "cpu" in controllers.split(",")
        if controllers and not version_1:
            continue
        top = Path(root, controllers) if version_1 else Path(root)
        if version_1 and not top.is_dir():
            top = Path(root, "cpu")
        folder = top / group.lstrip("/")
        # Inside a container the path may be the host's; the mount's root then is our group.
        for at in [folder, *(p for p in folder.parents if p == top or top in p.parents)]:
            if version_1:
                limit = read(at / "cpu.cfs_quota_us") + read(at / "cpu.cfs_period_us")
            else:
                limit = read(at / "cpu.max")
            if len(limit) == 2 and limit[0] not in ("max", "-1"):
                yield int(limit[0]) / int(limit[1])


def cpu_flags():
    """The processor's feature flags as Linux names them; an empty set where they are not told."""
    try:
        with open("/proc/cpuinfo") as lines:
            return set(next((x for x in lines if x.startswith("flags")), "").split())
    except OSError:
        return set()


def is_gpu_build():
    """Whether the installed MXNet is one of the mxnet-cu* wheels (without importing it)."""
    names = (d.metadata["Name"] or "" for d in importlib.metadata.distributions())
    return any(re.match(r"mxnet[-_]cu\d+", name, re.IGNORECASE) for name in names)


def load_cuda_libraries():
    """Load the CUDA 11 libraries from their wheels, so that libmxnet.so finds them by name."""
    # The driver first: without it the libraries, 2 GB to install, would be of no use.
    if load_driver() is None:
        raise MXNetUnavailable(
            "the GPU build of MXNet is installed, but this machine has no NVIDIA driver "
            "(libcuda.so.1 does not load); install the driver, or use the CPU build: "
            "pip uninstall mxnet-cu112 && pip install 'nin_gluon[cpu]'"
        )
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(p) for p in (spec.submodule_search_locations if spec else ())]
    for folder, name in CUDA_LIBRARIES:
        wheel_copy = next((r / folder / "lib" / name for r in roots
                           if (r / folder / "lib" / name).is_file()), None)
        try:
            ctypes.CDLL(str(wheel_copy or name), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            raise MXNetUnavailable(
                f"the GPU build of MXNet needs {name}, which does not load ({error}); "
                "run: pip install 'nin_gluon[gpu]'"
            ) from None


# ------------------------------------------------------------------ devices


def load_driver():
    """The CUDA driver's library, or None where there is none."""
    try:
        return ctypes.CDLL("libcuda.so.1", mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return None


def device_capabilities():
    """Compute capability of each CUDA device, as the driver tells it.

    Returns
    -------
    list of (int, int), or None
        (major, minor) a device; None without a driver; empty without a device.
    """
    driver = load_driver()
    if driver is None:
        return None
    count, value = ctypes.c_int(0), ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return []

    def attribute(number, device):
        driver.cuDeviceGetAttribute(ctypes.byref(value), number, device)
        return value.value

    major, minor = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
    return [(attribute(major, i), attribute(minor, i)) for i in range(count.value)]


def has_gpu_code(capability):
    """Whether MXNet 1.9.1's wheels hold machine code that this compute capability runs."""
    return any(code[0] == capability[0] and code[1] <= capability[1] for code in GPU_CODE)


def gpu_problem(device_id=0):
    """Why ``gpu(device_id)`` cannot be used, in one sentence; None when it can."""
    import mxnet as mx

    wanted = f"gpu({device_id}) cannot be used: "
    if not mx.runtime.Features().is_enabled("CUDA"):
        return (wanted + "this is the CPU build of MXNet; for a GPU, pip uninstall mxnet and "
                "pip install 'nin_gluon[gpu]', or leave out --ctx gpu.")
    return device_problem(device_id, device_capabilities())


def device_problem(device_id, capabilities):
    """The part of `gpu_problem` that depends on the driver and the devices it names."""
    wanted = f"gpu({device_id}) cannot be used: "
    if capabilities is None:
        return wanted + "this machine has no NVIDIA driver (libcuda.so.1 does not load)."
    if not capabilities:
        return wanted + "the NVIDIA driver finds no GPU; see what nvidia-smi says."
    if device_id >= len(capabilities):
        return (wanted + f"the NVIDIA driver finds {len(capabilities)} GPU(s), "
                f"gpu(0) to gpu({len(capabilities) - 1}).")
    major, minor = capabilities[device_id]
    if not has_gpu_code((major, minor)):
        return (wanted + f"its compute capability is {major}.{minor}, and MXNet 1.9.1 has machine "
                "code for 5.0 to 8.9 only; train on the CPU with --ctx cpu.")
    return None


def parse_ctx(text):
    """Turn ``--ctx`` into devices.

    Parameters
    ----------
    text : str
        ``auto`` (a GPU if one can be used, else the CPU), or device names separated by commas:
        ``cpu``, ``gpu``, ``gpu(1)``, ``gpu(0),gpu(1)``.

    Returns
    -------
    list of mxnet.Context

    Raises
    ------
    InputError
        The text is not of that form, names a device twice, or names a GPU that cannot be used.
    """
    import mxnet as mx

    if text.strip() == "auto":
        return [try_gpu()]
    contexts = []
    for name in text.split(","):
        match = re.fullmatch(r"\s*(cpu|gpu)\s*(?:\(\s*(\d{1,3})\s*\))?\s*", name)
        if not match:
            raise InputError(f"--ctx {text!r} is not a device; use auto, cpu, gpu, gpu(1) or a "
                             "list such as gpu(0),gpu(1).")
        contexts.append(mx.Context(match[1], int(match[2] or 0)))
    if len(set(contexts)) < len(contexts):
        raise InputError(f"--ctx {text!r} names a device twice; name each once.")
    if len({ctx.device_type for ctx in contexts}) > 1:
        raise InputError(f"--ctx {text!r} mixes CPU and GPU; use devices of one kind.")
    for ctx in contexts:
        problem = gpu_problem(ctx.device_id) if ctx.device_type == "gpu" else None
        if problem:
            raise InputError(problem)
    return contexts


def try_gpu():
    """Return ``mx.gpu(0)`` where it can be used, else ``mx.cpu()``; as in d2lzh."""
    return try_all_gpus()[0]


def try_all_gpus():
    """Return every GPU that can be used, or ``[mx.cpu()]`` where there is none; as in d2lzh."""
    import mxnet as mx

    gpus = []
    if mx.runtime.Features().is_enabled("CUDA"):
        capabilities = device_capabilities() or []
        usable = (i for i, capability in enumerate(capabilities) if has_gpu_code(capability))
        gpus = [mx.gpu(i) for i in usable]
    return gpus or [mx.cpu()]


# ------------------------------------------------------------------ precision, description

_precision = "float32"


def use_dtype(dtype, contexts):
    """Choose the arithmetic of the networks that are built from now on in this process.

    Parameters
    ----------
    dtype : str
        ``float32``; or, with float32 parameters and convolutions in half of the bits by MXNet's
        automatic mixed precision, ``bfloat16`` on CPUs and ``float16`` on GPUs. Mixed precision
        patches MXNet's operators and cannot be undone. In float16 small gradients would become 0:
        the trainer needs ``amp.init_trainer``, for the loop to scale the loss.
    contexts : list of mxnet.Context
        The devices to be trained on.

    Raises
    ------
    InputError
        The devices have no such arithmetic.
    """
    check_dtype(dtype, contexts)
    if dtype == "float32":
        return
    from mxnet.contrib import amp

    if dtype == "bfloat16":
        enable_amx()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        amp.init(target_dtype=dtype)
    global _precision
    _precision = dtype


def check_dtype(dtype, contexts):
    """Raise `InputError` unless the devices have this arithmetic; see `use_dtype`."""
    if dtype not in ("float32", "bfloat16", "float16"):
        raise InputError(f"dtype {dtype!r} is not known; use float32, bfloat16 or float16.")
    on_gpu = any(ctx.device_type == "gpu" for ctx in contexts)
    if dtype == "bfloat16" and on_gpu:
        raise InputError("bfloat16 is for CPUs here (MXNet 1.9.1 has no bfloat16 GPU kernels); "
                         "use --dtype float16 or float32 on a GPU.")
    if dtype == "float16" and not on_gpu:
        raise InputError("float16 is for GPUs (MXNet 1.9.1 has no fast float16 on CPUs); use "
                         "--dtype bfloat16 or float32 on a CPU.")
    if dtype == "bfloat16" and not cpu_flags() & {"avx512_bf16", "amx_bf16"}:
        raise InputError("this CPU has no bfloat16 arithmetic (neither avx512_bf16 nor amx_bf16 "
                         "among its flags); use --dtype float32.")


def precision():
    """The arithmetic that `use_dtype` has chosen: ``float32`` unless it was called."""
    return _precision


def enable_amx():
    """Let oneDNN use the AMX matrix units for bfloat16, which it does not do by itself.

    The oneDNN 2.4 inside MXNet has AMX kernels but keeps them behind ``DNNL_MAX_CPU_ISA``, and
    does not ask Linux for the permission that the tile registers need (without it the first
    such instruction kills the process). Ask first, and switch the kernels on only when granted.
    On a Sapphire Rapids server this makes a bfloat16 training step four times as fast. It comes
    too late, and changes nothing, once this process has used a oneDNN kernel.
    """
    if "amx_bf16" not in cpu_flags() or "DNNL_MAX_CPU_ISA" in os.environ:
        return
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18  # x86-64 Linux, <asm/prctl.h>
    if ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data) != 0:
        return
    from mxnet import nd

    # oneDNN reads the variable at its first kernel. It must not stay: a program started by this
    # process would inherit it, but not the permission.
    os.environ["DNNL_MAX_CPU_ISA"] = "AVX512_CORE_AMX"
    one = nd.ones((1, 1, 1, 1))
    nd.Convolution(one, one, no_bias=True, kernel=(1, 1), num_filter=1).wait_to_read()
    del os.environ["DNNL_MAX_CPU_ISA"]


def describe_machine():
    """Machine and versions, for the record beside a result.

    Returns
    -------
    dict
        Strings and numbers only, JSON-ready.
    """
    import mxnet as mx
    import numpy as np

    from nin_gluon import __version__

    flags = cpu_flags()
    wide = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in flags]
    return {
        "nin_gluon": __version__,
        "mxnet": mx.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cpu_features": wide,
        "threads": int(os.environ.get("OMP_NUM_THREADS", "0").split(",")[0] or 0),
    }


def cpu_name():
    """The processor's name as it tells it itself, or what the platform module knows."""
    try:
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
