"""The machine that a measurement is of."""

import importlib.metadata
import os
import platform
from collections.abc import Iterable
from pathlib import Path


def machine(packages: Iterable[str]) -> str:
    """One line: processor, cores, memory, system, versions of Python and of those `packages` that are installed."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    versions = [f"Python {platform.python_version()}", *(f"{name} {found}" for name in packages if (found := _version(name)))]
    return f"{processor}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB; {system}; {', '.join(versions)}"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
