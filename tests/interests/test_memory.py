"""What a job needs, beside what there is."""

from dataclasses import replace
from pathlib import Path

import pytest

from driftline.interests import memory
from driftline.interests.memory import GIB, Shapes

BILLIONS_7 = Shapes(7_000_000_000, ((4096, 4096),) * 128 + ((11008, 4096),) * 96, 32_000, 4096, 32)


def test_a_model_is_checked_in_float32_whatever_it_works_in() -> None:
    need = memory.of_mapping(BILLIONS_7, "bfloat16", 1, 100)
    assert 26 < need.weights / GIB < 27
    assert memory.of_mapping(BILLIONS_7, "bfloat16", 1000, 1000).work > 14 * GIB


def test_a_model_that_is_stored_in_what_it_works_in_needs_half_the_room() -> None:
    need = memory.of_mapping(replace(BILLIONS_7, bfloat16=True), "bfloat16", 1, 100)
    assert 13 < need.weights / GIB < 17
    assert memory.of_mapping(replace(BILLIONS_7, bfloat16=True), "float32", 1, 100).weights == 28_000_000_000


def test_gradient_checkpointing_keeps_a_fraction_for_the_way_back() -> None:
    whole, less = (memory.of_training(BILLIONS_7, "float32", 16, 2000, 100, again) for again in (False, True))
    assert less.work < whole.work / 5
    assert less.weights == whole.weights


def test_shapes_are_those_of_the_files(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    tensors = {
        "model.embed_tokens.weight": torch.zeros(50, 8),
        "model.layers.0.mlp.up_proj.weight": torch.zeros(16, 8),
        "model.layers.1.mlp.up_proj.weight": torch.zeros(16, 8, dtype=torch.bfloat16),
        "model.norm.weight": torch.zeros(8),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    assert memory.shapes(tmp_path) == Shapes(400 + 2 * 128 + 8, ((16, 8), (16, 8)), 50, 8, 2)
    assert memory.shapes(tmp_path / "nowhere") is None
    save_file({name: tensor.bfloat16() for name, tensor in tensors.items()}, tmp_path / "model.safetensors")
    assert memory.shapes(tmp_path) == Shapes(400 + 2 * 128 + 8, ((16, 8), (16, 8)), 50, 8, 2, bfloat16=True)


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_has_what_its_group_grants(tmp_path: Path, version: int) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: 4194304 kB\n")
    assert memory.total_and_free(tmp_path) == (8 * GIB, 4 * GIB)
    group = tmp_path / ("sys/fs/cgroup/memory/pod/job" if version == 1 else "sys/fs/cgroup/pod/job")
    group.mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("4:cpu:/other\n3:memory:/pod/job\n" if version == 1 else "0::/pod/job\n")
    limit, used = ("limit_in_bytes", "usage_in_bytes") if version == 1 else ("max", "current")
    (group / f"memory.{limit}").write_text("max\n")
    (group.parent / f"memory.{limit}").write_text(f"{3 * GIB}\n")
    (group.parent / f"memory.{used}").write_text(f"{GIB}\n")
    assert memory.total_and_free(tmp_path) == (3 * GIB, 2 * GIB)
