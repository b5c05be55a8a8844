"""Cores of made-up machines."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from driftline.interests.cores import cores

Make = Callable[[str, str], None]


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Writes a file of `/proc` or `/sys`. The machine has 8 CPUs, two of each core."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)

    def make(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text + "\n")

    for cpu in range(8):
        make(f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", f"{cpu % 4},{cpu % 4 + 4}")
    return make


def test_hardware_threads_of_a_core_are_one_core(system: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cores(tmp_path) == 4
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 4})
    assert cores(tmp_path) == 2


def test_a_machine_that_tells_nothing_has_as_many_as_python_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert cores(tmp_path) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores(tmp_path) == 1


@pytest.mark.parametrize(
    ("version", "files", "found"),
    [
        ("0::/", {"cpu.max": "200000 100000"}, 2),  # a container sees its own group as the top
        ("0::/", {"cpu.max": "max 100000"}, 4),
        ("0::/", {"cpu.max": "50000 100000"}, 1),
        ("0::/app.slice/worker.service", {"app.slice/worker.service/cpu.max": "300000 100000"}, 3),  # systemd's CPUQuota
        ("0::/a/b", {"a/cpu.max": "150000 100000", "a/b/cpu.max": "max 100000"}, 1),  # granted to all of a group
        ("0::/docker/of-the-host", {"cpu.max": "200000 100000"}, 2),  # a path of which nothing is to be seen from here
        ("3:cpu,cpuacct:/x", {"cpu/x/cpu.cfs_quota_us": "250000", "cpu/x/cpu.cfs_period_us": "100000"}, 2),
        ("3:cpu,cpuacct:/x", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, 4),
        ("9:memory:/x", {"cpu/x/cpu.cfs_quota_us": "100000", "cpu/x/cpu.cfs_period_us": "100000"}, 4),
    ],
)
def test_the_time_that_a_group_is_granted_bounds_them(
    system: Make, tmp_path: Path, version: str, files: dict[str, str], found: int
) -> None:
    system("proc/self/cgroup", version)
    for name, text in files.items():
        system(f"sys/fs/cgroup/{name}", text)
    assert cores(tmp_path) == found
