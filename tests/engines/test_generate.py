"""The mapping of a small cluster set, and what a killed run leaves behind."""

import dataclasses
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoTokenizer

from driftline.contracts import Cost, GenerateJob, Generation, Sampling, Training, TrainJob
from driftline.engines import machine
from driftline.engines.engine import Answer, Block
from driftline.engines.generate import ENGINES, MAPPING, generate, trie_engine
from driftline.engines.precision import precision
from driftline.engines.prompts import read_prompts
from driftline.engines.train import train
from tests.engines.conftest import (
    DESCRIPTIONS,
    MANY,
    SHARED,
    fills_the_disk,
    finished,
    first,
    kept,
    rest,
    start,
    wait_for_blocks,
    write_prompts,
    write_samples,
)

PAIRS = [(c1, c2) for c1 in range(6) for c2 in range(6) if c1 != c2]


@pytest.fixture
def job(tiny_llm: Path, tmp_path: Path) -> GenerateJob:
    return GenerateJob(
        prompts=str(write_prompts(tmp_path / "prompts", DESCRIPTIONS)),
        base_model=str(tiny_llm),
        generation=Generation(batch_size=4),
        work=str(tmp_path / "work"),
        out=str(tmp_path / "mapping"),
    )


def mapping(job: GenerateJob) -> pa.Table:
    return pq.read_table(Path(job.out) / "mapping.parquet")


def cost(job: GenerateJob) -> Cost:
    return Cost(**json.loads((Path(job.out) / "cost.json").read_text()))


def test_the_mapping_holds_every_pair_and_only_novel_answers(job: GenerateJob, tiny_llm: Path, tmp_path: Path) -> None:
    training = Training(
        base_model=str(tiny_llm), rank=8, alpha=16, learning_rate=2e-2, steps=60, batch_size=8, checkpoint_every=100
    )
    samples = write_samples(tmp_path / "samples.parquet")
    adapter = str(tmp_path / "adapter")
    train(TrainJob(samples=str(samples), training=training, work=str(tmp_path / "checkpoints"), out=adapter))

    generate(dataclasses.replace(job, adapter=adapter))
    assert mapping(job).schema.equals(MAPPING)
    rows = mapping(job).to_pylist()
    assert [(row["c1"], row["c2"]) for row in rows] == [(a, b) for a in range(6) for b in range(6) if a != b]
    assert all(row["c_next"] not in (row["c1"], row["c2"]) for row in rows)
    assert all((row["free"] is None) == row["exact"] for row in rows)
    assert sum(row["exact"] for row in rows) > 15  # the adapter is really in use: without it not one is exact

    plain = dataclasses.replace(job, out=str(tmp_path / "plain"))
    generate(plain)
    assert not any(row["exact"] for row in mapping(plain).to_pylist())


@pytest.mark.long
def test_a_killed_run_goes_on_from_its_last_finished_block(job: GenerateJob, tmp_path: Path) -> None:
    """Killed, without a disk to write to, and stopped."""
    job = dataclasses.replace(job, prompts=str(write_prompts(tmp_path / "many", MANY)), generation=Generation(batch_size=1))
    whole = dataclasses.replace(job, work=str(tmp_path / "work-whole"), out=str(tmp_path / "whole"))

    with start("generate", job, tmp_path) as process:
        wait_for_blocks(process, job, 3)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    killed = finished(job)
    assert 3 <= len(killed) < len(MANY)
    assert not Path(job.out).exists()

    with start("generate", job, tmp_path) as process:
        wait_for_blocks(process, job, len(killed) + 1)
        fills_the_disk(process)
        _, errors = process.communicate()
    before = finished(job)
    assert (process.returncode, "File too large" in errors.splitlines()[-1]) == (1, True)
    assert killed.items() <= before.items()
    assert not list(Path(job.work).glob("blocks-*/.*")), "half a block"

    with start("generate", job, tmp_path) as process:
        wait_for_blocks(process, job, len(before) + 2)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 75
    after = finished(job)
    assert before.items() <= after.items()  # the same files, byte for byte and inode for inode
    assert len(before) < len(after) < len(MANY)

    stopped = kept(Path(job.work))
    generate(job)
    generate(whole)
    assert mapping(job).equals(mapping(whole))
    spent, least = cost(job), cost(whole)
    assert (spent.asked, spent.reused) == (least.asked, least.reused) == (380, 0)
    assert len(MANY) * 19 < least.tokens <= spent.tokens  # blocks that a kill cut short were paid for as well
    assert len(stopped) == 3  # the accounts of three more processes that were started, and had torch to load
    assert spent.cpu_seconds > sum(attempt["cpu_seconds"] for attempt in stopped)
    assert spent.wall_seconds > sum(attempt["wall_seconds"] for attempt in stopped)
    assert spent.gpu_seconds == 0 or torch.cuda.is_available()
    assert not list(Path(job.work).glob("blocks-*"))


def test_blocks_of_other_prompts_are_never_mixed_in(job: GenerateJob, tmp_path: Path) -> None:
    from driftline.engines.generate import _work_folder as folder

    def _work_folder(job: GenerateJob, **other: Any) -> Path:
        own = machine.computed(job.generation.engine, job.generation.precision)
        return Path(folder(job, dataclasses.replace(own, **other)))

    turned = dataclasses.replace(job, prompts=str(write_prompts(tmp_path / "turned", DESCRIPTIONS[::-1])))
    assert _work_folder(job) == _work_folder(job)
    drawn = dataclasses.replace(job, sampling=Sampling(temperature=1.0))
    again = dataclasses.replace(job, sampling=Sampling(temperature=1.0, seed=1))
    elsewhere = _work_folder(job, device="another")
    assert len({*(_work_folder(one) for one in (job, turned, drawn, again)), elsewhere}) == 5


def test_a_machine_that_is_not_what_its_worker_takes_it_for_answers_nothing(job: GenerateJob) -> None:
    own = machine.computed("trie", "auto")
    with pytest.raises(RuntimeError, match="counts on"):
        generate(dataclasses.replace(job, computed=dataclasses.replace(own, torch="1.0")))
    assert not Path(job.out).exists()
    generate(dataclasses.replace(job, computed=own))
    assert json.loads((Path(job.out) / "computed.json").read_text()) == dataclasses.asdict(own)


class Repeating:
    """An engine that answers with a cluster that the pair already has."""

    tokens = 0

    def answer(self, block: Block) -> Iterator[Answer]:
        return (Answer(c2, block.c1, None) for c2 in block.c2)


def test_an_answer_that_is_not_novel_is_a_fault_of_the_engine(job: GenerateJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "trie", lambda job, prompts: Repeating())
    with pytest.raises(RuntimeError, match="not three distinct ids"):
        generate(job)
    assert not Path(job.out).exists()


def test_incomplete_prompts_are_bad_input(job: GenerateJob) -> None:
    path = Path(job.prompts) / "prompts.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(ValueError, match="every ordered pair"):
        generate(job)


def test_what_was_answered_before_is_not_asked_again(job: GenerateJob, tmp_path: Path) -> None:
    generate(job)
    told = {(0, 1): "Often next: soft drinks\n", (0, 4): "Often next: bread, fresh\n", (3, 2): "Often next: soft drinks\n"}
    later = dataclasses.replace(
        job, prompts=str(write_prompts(tmp_path / "later", DESCRIPTIONS, told)), out=str(tmp_path / "later-out")
    )
    reusing = dataclasses.replace(later, out=str(tmp_path / "reusing"), known=(job.out,))
    generate(later)
    generate(reusing)
    # The same bytes, and so the same artifact.
    assert (Path(reusing.out) / "mapping.parquet").read_bytes() == (Path(later.out) / "mapping.parquet").read_bytes()
    assert (cost(later).asked, cost(later).reused) == (30, 0)
    assert (cost(reusing).asked, cost(reusing).reused) == (3, 27)
    differ = [not same for same in pc.equal(mapping(job)["prompt"], mapping(later)["prompt"]).to_pylist()]
    assert [pair for pair, other in zip(PAIRS, differ, strict=True) if other] == list(told)

    # Both known: nothing is left to ask, and no model is loaded.
    third = dataclasses.replace(reusing, out=str(tmp_path / "third"), base_model="/gone", known=(job.out, reusing.out))
    generate(third)
    assert mapping(third).equals(mapping(later))
    assert (cost(third).tokens, cost(third).asked, cost(third).reused) == (0, 0, 30)


def test_reused_pairs_are_reported_as_done(job: GenerateJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate(job)
    told = {(0, 1): "Often next: soft drinks\n"}
    later = write_prompts(tmp_path / "later", DESCRIPTIONS, told)
    capsys.readouterr()
    generate(dataclasses.replace(job, prompts=str(later), out=str(tmp_path / "later-out"), known=(job.out,)))
    assert [line["done"] for line in map(json.loads, capsys.readouterr().out.splitlines())] == [29, 29, 30]


def test_a_mapping_of_other_clusters_is_refused(job: GenerateJob, tmp_path: Path) -> None:
    generate(job)
    fewer = str(write_prompts(tmp_path / "fewer", DESCRIPTIONS[:5]))
    with pytest.raises(ValueError, match="another cluster set"):
        generate(dataclasses.replace(job, prompts=fewer, out=str(tmp_path / "fewer-out"), known=(job.out,)))


def test_tokens_are_counted_once_where_they_are_shared(job: GenerateJob, tiny_llm: Path, tmp_path: Path) -> None:
    """Three clusters of one token each leave no choice, so every pair is fed its prompt and, to see the end token, its answer."""
    words = ["milk", "bread", "cheese"]
    small = dataclasses.replace(job, prompts=str(write_prompts(tmp_path / "small", words)))
    generate(small)
    tokenizer = AutoTokenizer.from_pretrained(tiny_llm)

    def tokens(text: str) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False).input_ids
        return found

    def count(text: str) -> int:
        return len(tokens(text))

    answers = [next(c for c in range(3) if c not in (c1, c2)) for c1 in range(3) for c2 in range(3) if c1 != c2]
    fed = count(SHARED) + sum(count(first(c1, words)) for c1 in range(3))
    fed += sum(count(rest(c2, words)) for c1 in range(3) for c2 in range(3) if c1 != c2)
    for c1 in range(3):
        one, other = (rest(c2, words) for c2 in range(3) if c2 != c1)
        alike = [a == b for a, b in zip(tokens(one), tokens(other), strict=False)]
        assert alike[0]
        fed -= alike.index(False)
    fed += sum(count(" " + words[c]) for c in answers)
    assert cost(small).tokens == fed


def test_a_mapping_in_bfloat16_is_nearly_the_same(job: GenerateJob, tmp_path: Path) -> None:
    generate(job)
    lower = dataclasses.replace(job, generation=Generation(precision="bfloat16"), out=str(tmp_path / "lower"))
    engine: Any = trie_engine(lower, read_prompts(Path(job.prompts)))
    assert engine._model._model.dtype == torch.bfloat16
    generate(lower)
    same = pc.equal(mapping(lower)["c_next"], mapping(job)["c_next"])
    assert pc.mean(pc.cast(same, pa.int8())).as_py() > 0.8


def test_what_answers_is_resolved_where_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    found = machine.computed("trie", "auto")
    assert (found.engine, found.torch, found.vllm) == ("trie", torch.__version__, None)
    assert found.precision == precision("auto")
    assert found.device == "cpu " + torch.backends.cpu.get_cpu_capability() or torch.cuda.is_available()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    assert machine.computed("trie", "float32").device == "NVIDIA H100"


@pytest.mark.parametrize("able", ["amx_bf16", "avx512_bf16", "avx2"])
def test_auto_is_what_the_processor_multiplies_in(able: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {able: True})
    assert precision("auto") == ("float32" if able == "avx2" else "bfloat16")
    assert precision("float32") == "float32"


def test_sampled_mappings_are_the_seed_s(job: GenerateJob, tmp_path: Path) -> None:
    jobs = [
        dataclasses.replace(job, out=str(tmp_path / f"{i}"), sampling=Sampling(temperature=1.0, seed=seed))
        for i, seed in enumerate((1, 1, 2))
    ]
    for one in (job, *jobs):
        generate(one)
    once, again, other = (mapping(one)["c_next"].to_pylist() for one in jobs)
    assert once == again
    assert once != other
    assert once != mapping(job)["c_next"].to_pylist()
