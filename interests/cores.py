"""How many cores this process may compute on."""

import os
from collections.abc import Iterator
from pathlib import Path

from driftline.interests.cgroups import cgroups


def cores(system: Path = Path("/")) -> int:
    """Physical cores of the CPUs that this process may run on, and not more than the CPU time that it is granted (containers).

    Two hardware threads of a core share its arithmetic: a second one only waits, and makes matrix products dearer.

    Args:
        system: where `proc` and `sys` are.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)  # macOS has none
    physical = len({_core(cpu, system) for cpu in allowed})
    return max(1, min([physical, *map(int, _grants(system))]))


def _core(cpu: int, system: Path) -> str:
    """What names the core of a CPU: the list of its hardware threads."""
    try:
        return (system / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _grants(system: Path) -> Iterator[float]:
    """CPUs' worth of time that this process's cgroup may use, and each one above it."""
    return (quota for group, _ in cgroups("cpu", system) if (quota := _quota(group)))


def _quota(group: Path) -> float | None:
    try:
        version_2 = group / "cpu.max"
        names = [version_2] if version_2.exists() else [group / "cpu.cfs_quota_us", group / "cpu.cfs_period_us"]
        quota, period = map(int, " ".join(name.read_text() for name in names).split())
    except (OSError, ValueError):  # no file, or "max"
        return None
    return quota / period if quota > 0 else None
