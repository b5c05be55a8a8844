"""Training that several processes share, with two on the CPU."""

import dataclasses
import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from driftline.contracts import Training, TrainJob
from driftline.engines.train import train
from tests.engines.conftest import start, write_samples, write_validation

STEPS = 24


@pytest.fixture(scope="module")
def whole(tiny_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainJob:
    """Done by two processes that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    training = Training(
        base_model=str(tiny_llm),
        rank=4,
        alpha=8,
        batch_size=5,
        learning_rate=1e-2,
        steps=STEPS,
        checkpoint_every=4,
        validate_every=8,
        processes=2,
        precision="float32",
    )
    samples, validation = write_samples(folder / "samples.parquet"), write_validation(folder / "validation")
    job = TrainJob(str(samples), training, work=str(folder / "work"), out=str(folder / "out"), validation=str(validation))
    began = time.monotonic()
    out, _ = finished(job, folder)
    steps = [line["done"] for line in map(json.loads, out.splitlines()) if line["note"].startswith("loss")]
    assert steps == list(range(1, STEPS + 1))  # told by one of the processes
    assert facts(job)["wall_seconds"] < time.monotonic() - began  # counted by one of them
    assert not list((folder / "work").iterdir())
    return job


def again(job: TrainJob, folder: Path, processes: int = 2) -> TrainJob:
    """The same job in folders of its own."""
    training = dataclasses.replace(job.training, processes=processes)
    return dataclasses.replace(job, training=training, work=str(folder / "work"), out=str(folder / "out"))


def facts(job: TrainJob) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(job.out) / "train.json").read_text())
    return found


def finished(job: TrainJob, folder: Path) -> tuple[str, str]:
    """Runs the job to its end; stdout and stderr."""
    with start("train", job, folder) as process:
        out, errors = process.communicate()
    assert process.returncode == 0, errors
    return out, errors


def at_step(step: int, process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Waits until the step is reported; the ranks."""
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["done"] >= step:
            break
    return list(psutil.Process(process.pid).children())


@pytest.mark.long
def test_two_processes_train_as_one_does(whole: TrainJob, tiny_llm: Path, tmp_path: Path) -> None:
    alone = again(whole, tmp_path, processes=1)
    train(alone)
    assert facts(whole)["losses"] == pytest.approx(facts(alone)["losses"], abs=1e-4)
    assert facts(whole)["tokens"] == facts(alone)["tokens"]
    assert facts(whole)["validation"]["step"] == facts(alone)["validation"]["step"] == [8, 16, 24]
    assert facts(whole)["validation"]["loss"] == pytest.approx(facts(alone)["validation"]["loss"], abs=1e-4)
    assert facts(whole)["validation"]["exact_match_rate"] == pytest.approx(
        facts(alone)["validation"]["exact_match_rate"], abs=1 / 30
    )
    base = AutoModelForCausalLM.from_pretrained(tiny_llm)
    tokens = torch.arange(10)[None]
    before = base(tokens).logits
    by_two, by_one = (
        PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_llm), job.out)(tokens).logits
        for job in (whole, alone)
    )
    assert (by_two - by_one).abs().max() < (by_one - before).abs().max() / 100


@pytest.mark.long
def test_kill_and_stop_and_resume_end_with_the_same_bits(
    whole: TrainJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = again(whole, tmp_path)
    with start("train", job, tmp_path) as process:
        ranks = at_step(6, process)
        process.kill()
        process.communicate()
    assert len(ranks) == 2
    assert not psutil.wait_procs(ranks, timeout=60)[1]  # no orphan

    with start("train", job, tmp_path) as process:
        at_step(10, process)
        process.terminate()
        process.communicate()
    assert process.returncode == 75
    stopped_after = int(sorted(Path(job.work).glob("step-*"))[-1].name.removeprefix("step-"))
    assert 10 <= stopped_after < STEPS
    by_one = again(whole, tmp_path / "by-one", processes=1)
    shutil.copytree(job.work, by_one.work)

    _, errors = finished(job, tmp_path)
    assert f"goes on after step {stopped_after}\n" in errors
    assert facts(job)["losses"] == facts(whole)["losses"]
    assert facts(job)["validation"] == facts(whole)["validation"]
    adapters = [(Path(one.out) / "adapter_model.safetensors").read_bytes() for one in (job, whole)]
    assert adapters[0] == adapters[1]

    train(by_one)  # another number of processes goes on and says so
    assert f"goes on after step {stopped_after} that 2 processes began\n" in capsys.readouterr().err
    assert facts(by_one)["processes"] == 1
    assert facts(by_one)["losses"] == pytest.approx(facts(whole)["losses"], abs=1e-4)


@pytest.mark.long
def test_sigterm_while_ranks_start_is_a_stop(whole: TrainJob, tmp_path: Path) -> None:
    """A rank that does not listen yet dies of it; the other waits for it in vain."""
    job = again(whole, tmp_path)
    with start("train", job, tmp_path) as process:
        while len(ranks := psutil.Process(process.pid).children()) < 2:
            time.sleep(0.01)
        ranks[1].send_signal(signal.SIGTERM)
        process.terminate()
        process.communicate(timeout=600)
    assert process.returncode == 75
    assert not psutil.wait_procs(ranks, timeout=60)[1]


@pytest.mark.long
def test_a_rank_that_refuses_its_input_ends_all_and_is_heard(whole: TrainJob, tmp_path: Path) -> None:
    nowhere = dataclasses.replace(
        again(whole, tmp_path), training=dataclasses.replace(whole.training, base_model="/no/such/model")
    )
    with start("train", nowhere, tmp_path) as process:
        _, errors = process.communicate()
    assert process.returncode == 2
    assert "there is no model folder" in errors.splitlines()[-1]


def test_more_processes_than_samples_in_a_batch_is_bad_input() -> None:
    with pytest.raises(ValueError, match="3 processes cannot share a batch_size of 2"):
        Training(batch_size=2, processes=3)
