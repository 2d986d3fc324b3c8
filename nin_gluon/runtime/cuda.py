"""CUDA: the libraries that MXNet's GPU build needs, the driver, and the GPUs that it can use."""

import ctypes
import importlib.metadata
import importlib.util
import re
from pathlib import Path
from typing import List, Optional, Tuple

from nin_gluon.runtime.unavailable import MXNetUnavailable

__all__ = ["CUDA_LIBRARIES", "cuda_of_driver", "device_capabilities", "device_names",
           "has_gpu_code", "is_gpu_build", "load_cuda_libraries", "load_driver", "mxnet_wheels"]

# What libmxnet.so of mxnet-cu112 1.9.1 needs, each library after those that it depends on. The
# wheels nvidia-*-cu11 keep their libraries in nvidia/<folder>/lib.
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

# The compute capabilities that libmxnet.so holds machine code for. It holds no PTX, which a
# driver could compile for newer GPUs.
GPU_CODE = ((5, 0), (6, 0), (7, 0), (8, 0), (8, 6))

Capability = Tuple[int, int]  # (major, minor)


def mxnet_wheels() -> List[str]:
    """Names of the installed builds of MXNet, such as ``mxnet`` or ``mxnet-cu112``."""
    # Each import of MXNet asks this. Parsing all metadata would take a tenth of that import.
    texts = (d.read_text("METADATA") or d.read_text("PKG-INFO") or ""
             for d in importlib.metadata.distributions())
    found = (re.search(r"^Name: *(\S+)", text, re.MULTILINE) for text in texts)
    names = {name[1].lower() for name in found if name}
    return sorted(name for name in names if re.fullmatch(r"mxnet([-_]cu\d+.*)?", name))


def is_gpu_build() -> bool:
    """Whether one of the mxnet-cu* wheels is installed. Does not import MXNet."""
    return any(name != "mxnet" for name in mxnet_wheels())


def load_cuda_libraries() -> None:
    """Load the CUDA 11 libraries from their wheels, so that libmxnet.so finds them by name.

    Raises
    ------
    MXNetUnavailable
        There is no driver, or a library does not load.
    """
    # First the driver. Without it the user would install 2 GB of libraries for nothing.
    if load_driver() is None:
        raise MXNetUnavailable(
            "the GPU build of MXNet is installed, but this machine has no NVIDIA driver "
            "(libcuda.so.1 does not load); install the driver, or use the CPU build; in a "
            "checkout of the project: pip uninstall mxnet-cu112 && pip install -e '.[cpu]'"
        )
    spec = importlib.util.find_spec("nvidia")
    roots = (spec.submodule_search_locations if spec else None) or []
    for folder, name in CUDA_LIBRARIES:
        copies = [Path(root, folder, "lib", name) for root in roots]
        wheel_copy = next((path for path in copies if path.is_file()), None)
        try:
            ctypes.CDLL(str(wheel_copy or name), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            raise MXNetUnavailable(
                f"the GPU build of MXNet needs {name}, which does not load ({error}); "
                "in a checkout of the project, run: pip install -e '.[gpu]'"
            ) from None


def load_driver() -> Optional[ctypes.CDLL]:
    """Load the CUDA driver's library; None if this machine has none."""
    try:
        return ctypes.CDLL("libcuda.so.1", mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return None


def device_capabilities() -> Optional[List[Capability]]:
    """Ask the driver for the compute capability of each CUDA device.

    Returns
    -------
    list of (int, int), or None
        (major, minor) for each device. None without a driver; empty without a device.
    """
    driver = load_driver()
    if driver is None:
        return None
    value = ctypes.c_int(0)

    def attribute(number: int, device: int) -> int:
        driver.cuDeviceGetAttribute(ctypes.byref(value), number, device)
        return value.value

    major, minor = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
    return [(attribute(major, i), attribute(minor, i)) for i in range(count_devices(driver))]


def device_names() -> List[str]:
    """Ask the driver for the name of each CUDA device; empty without a driver."""
    driver = load_driver()
    if driver is None:
        return []
    text = ctypes.create_string_buffer(256)
    names = []
    for device in range(count_devices(driver)):
        failed = driver.cuDeviceGetName(text, len(text), device)
        names.append("unknown" if failed else text.value.decode("utf-8", "replace"))
    return names


def count_devices(driver: ctypes.CDLL) -> int:
    """How many CUDA devices the driver lets this process use."""
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def cuda_of_driver() -> Optional[str]:
    """The newest CUDA that the driver can run, such as ``"12.4"``; None without a driver."""
    driver, version = load_driver(), ctypes.c_int(0)
    if driver is None or driver.cuDriverGetVersion(ctypes.byref(version)):
        return None
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def has_gpu_code(capability: Capability) -> bool:
    """Whether MXNet 1.9.1's wheels hold machine code that runs on this compute capability.

    A GPU runs code of its own major version whose minor version is not above its own.
    """
    return any(code[0] == capability[0] and code[1] <= capability[1] for code in GPU_CODE)
