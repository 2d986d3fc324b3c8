"""The processors of this machine: how many this process may use, what they can do, their memory."""

import math
import os
import platform
from pathlib import Path
from typing import Iterator, List, Optional, Set, Union

__all__ = ["FEATURES", "THREADS_GIVEN", "available_cpus", "cpu_flags", "cpu_name", "has_bfloat16",
           "memory_bytes"]

# The features that decide how fast a convolution is.
FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")

# OMP_NUM_THREADS as the user set it, or None. `install` changes the variable for this process.
THREADS_GIVEN = os.environ.get("OMP_NUM_THREADS")


def available_cpus(cgroup_root: Union[str, Path] = "/sys/fs/cgroup",
                   cgroup_file: Union[str, Path] = "/proc/self/cgroup") -> int:
    """Count the processors that this process may use; at least 1.

    The affinity of the process and the quotas of its cgroups both limit them. A quota of 1.5
    processors counts as 2: both threads are then busy three quarters of the time, which is more
    than one thread could do.

    Parameters
    ----------
    cgroup_root : path
        Where the cgroup file systems are mounted.
    cgroup_file : path
        The file that names the cgroups of this process.
    """
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    quotas = cgroup_quotas(Path(cgroup_root), Path(cgroup_file))
    return max(1, min([cpus, *(math.ceil(quota) for quota in quotas)]))


def cgroup_quotas(root: Path, cgroup_file: Path) -> Iterator[float]:
    """Yield the quotas, in processors, of this process's cgroups and of all cgroups above them."""
    try:
        lines = cgroup_file.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        version_1 = "cpu" in controllers.split(",")
        if controllers and not version_1:
            continue
        top = root / controllers if version_1 else root
        if version_1 and not top.is_dir():
            top = root / "cpu"
        folder = top / group.lstrip("/")
        # In a container the path may be the host's. The root of the mount is then our own group.
        for at in [folder, *(p for p in folder.parents if p == top or top in p.parents)]:
            if version_1:
                limit = read_words(at / "cpu.cfs_quota_us") + read_words(at / "cpu.cfs_period_us")
            else:
                limit = read_words(at / "cpu.max")
            if len(limit) == 2 and limit[0] not in ("max", "-1"):
                yield int(limit[0]) / int(limit[1])


def read_words(path: Path) -> List[str]:
    """The words of a text file; none if it cannot be read."""
    try:
        return path.read_text().split()
    except OSError:
        return []


def cpu_flags() -> Set[str]:
    """The processor's features by Linux's names; an empty set on Arm and on other systems."""
    return set(cpuinfo("flags").split())


def has_bfloat16() -> bool:
    """Whether the processor computes in bfloat16."""
    return bool(cpu_flags() & {"avx512_bf16", "amx_bf16"})


def cpu_name() -> str:
    """The processor's own name, or what Python's platform module knows."""
    return cpuinfo("model name") or platform.processor() or platform.machine()


def memory_bytes() -> Optional[int]:
    """The machine's memory; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def cpuinfo(key: str) -> str:
    """The first value of a key in Linux's /proc/cpuinfo; empty if there is none."""
    try:
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith(key):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""
