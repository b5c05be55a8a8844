"""The machine that a measurement is of: `python -m bench.machine` prints the first cells of its row in docs/machines.md."""

import importlib.metadata
import os
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path

INSTRUCTION_SETS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""Flags of `/proc/cpuinfo` on which sums and the precision of `auto` depend."""
QUIET = 1.0
"""Load average."""


def machine(packages: Iterable[str]) -> str:
    """One line: processor, cores, memory, system, versions of Python and of those `packages` that are installed."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    versions = [f"Python {platform.python_version()}", *(f"{name} {found}" for name in packages if (found := _version(name)))]
    return f"{kind()}, {_cores()} core{'s' * (_cores() > 1)}, {memory:.0f} GiB; {system}; {', '.join(versions)}"


def quiet() -> bool:
    """Whether nothing else runs now. Where something does, wall times tell of that."""
    return os.getloadavg()[0] < QUIET


def kind() -> str:
    """Machines of one kind round alike: processor and instruction sets."""
    return f"{_processor()} ({_sets() or platform.machine()})"


def row() -> str:
    """Processor, instruction sets, cores, the precision that `auto` takes, and Python, as cells of a Markdown table."""
    cells = (_processor(), _sets() or platform.machine(), str(_cores()), auto(), platform.python_version())
    return f"| {' | '.join(cells)} |"


def _sets() -> str:
    flags = next(_told("flags"), "").split()
    return ", ".join(name for name in INSTRUCTION_SETS if name in flags)


def _told(name: str) -> Iterator[str]:
    """What `/proc/cpuinfo` has under a name, once for each core."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return (line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name)


def _processor() -> str:
    return next(_told("model name"), platform.machine())


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def auto() -> str:
    try:
        from driftline.engines.precision import precision
    except ImportError:  # without torch there are no engines
        return "–"
    return str(precision("auto"))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    print(row())
