"""The Linux control groups of this process, which containers grant CPU time and memory by."""

from collections.abc import Iterator
from pathlib import Path


def cgroups(controller: str, system: Path) -> Iterator[tuple[Path, int]]:
    """This process's group of a controller, and each one above it, with the version of its files: 2, or 1.

    Args:
        controller: `cpu` or `memory`.
        system: where `proc` and `sys` are.
    """
    try:
        lines = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = system / (f"sys/fs/cgroup/{controller}" if controllers else "sys/fs/cgroup")
        own = top / path.lstrip("/")  # not there where a container sees its own cgroup as the top
        yield from ((group, 1 if controllers else 2) for group in (own, *own.parents) if group.is_relative_to(top))
