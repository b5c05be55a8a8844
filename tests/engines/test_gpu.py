"""What only a GPU shows: `make test-gpu`. The other tests of the engines run on it as well, where there is one."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from driftline.contracts import GenerateJob, Generation, Training, TrainJob
from driftline.engines import memory
from driftline.engines.generate import generate
from driftline.engines.train import LoraTraining, train
from tests.engines.conftest import DESCRIPTIONS, write_prompts, write_samples

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")]


@pytest.fixture
def job(tiny_llm: Path, tmp_path: Path) -> TrainJob:
    training = Training(base_model=str(tiny_llm), rank=4, alpha=8, learning_rate=1e-2, steps=6, batch_size=4)
    samples = write_samples(tmp_path / "samples.parquet")
    return TrainJob(str(samples), training, work=str(tmp_path / "work"), out=str(tmp_path / "out"))


def test_a_training_on_a_gpu_says_so_and_its_adapter_is_float32(job: TrainJob) -> None:
    train(job)
    facts = json.loads((Path(job.out) / "train.json").read_text())
    assert facts["computed"]["device"] == torch.cuda.get_device_name()
    assert facts["gpu_seconds"] > 0
    assert facts["losses"][-1] < facts["losses"][0]
    assert {weight.dtype for weight in load_file(Path(job.out) / "adapter_model.safetensors").values()} == {torch.float32}


def test_a_checkpoint_of_a_gpu_goes_on_on_a_cpu(job: TrainJob, monkeypatch: pytest.MonkeyPatch) -> None:
    named = dataclasses.replace(job, training=dataclasses.replace(job.training, precision="float32"))
    begun = LoraTraining(named)
    begun.update()
    begun.keep_checkpoint()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    on_cpu = LoraTraining(named)
    assert (on_cpu.step, on_cpu.model.device.type) == (1, "cpu")
    on_cpu.update()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_pair_is_answered_on_a_gpu(tiny_llm: Path, tmp_path: Path, precision: str) -> None:
    asked = GenerateJob(
        prompts=str(write_prompts(tmp_path / "prompts", DESCRIPTIONS)),
        base_model=str(tiny_llm),
        generation=Generation(precision=precision),  # type: ignore[arg-type]
        work=str(tmp_path / "work"),
        out=str(tmp_path / "mapping"),
    )
    generate(asked)
    facts = json.loads((Path(asked.out) / "computed.json").read_text())
    assert (facts["precision"], facts["device"]) == (precision, torch.cuda.get_device_name())


def test_the_memory_asked_for_is_the_gpu_s() -> None:
    free, total = torch.cuda.mem_get_info()
    whole, left = memory._total_and_free()
    assert whole == total
    assert left == pytest.approx(free, rel=0.1)
