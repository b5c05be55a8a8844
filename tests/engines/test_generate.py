"""The mapping of a small cluster set, and what a killed run leaves behind."""

import dataclasses
import signal
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts import GenerateJob, Generation, Training, TrainJob
from engines.generate import MAPPING, generate
from engines.train import train
from tests.engines.conftest import DESCRIPTIONS, SHARED, first, rest, start, write_samples


def write_prompts(folder: Path, descriptions: list[str]) -> Path:
    folder.mkdir()
    pairs = [(c1, c2) for c1 in range(len(descriptions)) for c2 in range(len(descriptions)) if c1 != c2]
    prompts = {
        "c1": pa.array([c1 for c1, _ in pairs], pa.int32()),
        "c2": pa.array([c2 for _, c2 in pairs], pa.int32()),
        "shared": [SHARED] * len(pairs),
        "first": [first(c1, descriptions) for c1, _ in pairs],
        "rest": [rest(c2, descriptions) for _, c2 in pairs],
        "retrieved": pa.array([[]] * len(pairs), pa.list_(pa.int32())),
    }
    pq.write_table(pa.table(prompts), folder / "prompts.parquet")
    labels = {"cluster": pa.array(range(len(descriptions)), pa.int32()), "description": descriptions}
    pq.write_table(pa.table(labels), folder / "labels.parquet")
    return folder


@pytest.fixture
def job(tiny_llm: Path, tmp_path: Path) -> GenerateJob:
    return GenerateJob(
        prompts=str(write_prompts(tmp_path / "prompts", DESCRIPTIONS)),
        base_model=str(tiny_llm),
        generation=Generation(batch_size=4),
        work=str(tmp_path / "work"),
        out=str(tmp_path / "mapping.parquet"),
    )


def test_the_mapping_holds_every_pair_and_only_novel_answers(job: GenerateJob, tiny_llm: Path, tmp_path: Path) -> None:
    training = Training(
        base_model=str(tiny_llm), rank=8, alpha=16, learning_rate=2e-2, steps=60, batch_size=8, checkpoint_every=100
    )
    samples = write_samples(tmp_path / "samples.parquet")
    adapter = str(tmp_path / "adapter")
    train(TrainJob(samples=str(samples), training=training, work=str(tmp_path / "checkpoints"), out=adapter))

    generate(dataclasses.replace(job, adapter=adapter))
    mapping = pq.read_table(job.out)
    assert mapping.schema.equals(MAPPING)
    rows = mapping.to_pylist()
    assert [(row["c1"], row["c2"]) for row in rows] == [(a, b) for a in range(6) for b in range(6) if a != b]
    assert all(row["c_next"] not in (row["c1"], row["c2"]) for row in rows)
    assert all((row["free"] is None) == row["exact"] for row in rows)
    assert sum(row["exact"] for row in rows) > 15  # the adapter is really in use: without it not one is exact

    plain = dataclasses.replace(job, out=str(tmp_path / "plain.parquet"))
    generate(plain)
    assert not any(row["exact"] for row in pq.read_table(plain.out).to_pylist())


def test_a_killed_run_goes_on_from_its_last_finished_block(job: GenerateJob, tmp_path: Path) -> None:
    many = [f"{one} {two}, fresh" for one in ("milk", "bread", "cheese", "snacks", "soft") for two in "abcd"]
    job = dataclasses.replace(job, prompts=str(write_prompts(tmp_path / "many", many)), generation=Generation(batch_size=1))
    whole = dataclasses.replace(job, work=str(tmp_path / "work-whole"), out=str(tmp_path / "whole.parquet"))

    with start("generate", job, tmp_path) as process:
        deadline = time.monotonic() + 60
        while len(finished(job)) < 3 and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    before = finished(job)
    assert 3 <= len(before) < len(many)
    assert not Path(job.out).exists()

    with start("generate", job, tmp_path) as process:
        deadline = time.monotonic() + 60
        while len(finished(job)) < len(before) + 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 75
    after = finished(job)
    assert before.items() <= after.items()  # the same files, byte for byte and inode for inode
    assert len(before) < len(after) < len(many)

    generate(job)
    generate(whole)
    assert pq.read_table(job.out).equals(pq.read_table(whole.out))


def finished(job: GenerateJob) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in Path(job.work).glob("blocks-*/[0-9]*.parquet")}


def test_blocks_of_other_prompts_are_never_mixed_in(job: GenerateJob, tmp_path: Path) -> None:
    from engines.generate import _work_folder

    turned = dataclasses.replace(job, prompts=str(write_prompts(tmp_path / "turned", DESCRIPTIONS[::-1])))
    assert _work_folder(job) == _work_folder(job)
    assert _work_folder(job) != _work_folder(turned)


def test_incomplete_prompts_are_bad_input(job: GenerateJob) -> None:
    path = Path(job.prompts) / "prompts.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(ValueError, match="every ordered pair"):
        generate(job)
