"""A job that cannot fit is refused before its weights are loaded."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from driftline.contracts import BadInput, GenerateJob, Generation, Training, TrainJob
from driftline.contracts.children import CHECK_MEMORY
from driftline.engines import memory, weights
from driftline.engines.generate import trie_engine
from driftline.engines.prompts import read_prompts
from driftline.engines.train import train, with_lora
from driftline.interests.memory import GIB, Need
from tests.engines.conftest import DESCRIPTIONS, write_prompts, write_samples

BIG = Need(weights=6 * GIB, work=1 * GIB)


def test_what_never_fits_is_bad_input_and_what_does_not_now_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    memory.check(BIG, "", (8 * GIB, 8 * GIB))
    with pytest.raises(BadInput, match=r"needs about 7\.5 GiB.*there are 4\.0 GiB: lower it, or set children\.check_memory"):
        memory.check(BIG, "lower it", (4 * GIB, 4 * GIB))
    with pytest.raises(RuntimeError, match=r"only 2\.0 of 8\.0 GiB are free now"):
        memory.check(BIG, "lower it", (8 * GIB, 2 * GIB))
    monkeypatch.setenv(CHECK_MEMORY, "false")
    memory.check(BIG, "lower it", (4 * GIB, 2 * GIB))


def test_training_asks_before_it_loads(tiny_llm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = write_samples(tmp_path / "samples.parquet")
    training = Training(base_model=str(tiny_llm), rank=4, steps=1, batch_size=4)
    job = TrainJob(str(samples), training, work=str(tmp_path / "work"), out=str(tmp_path / "out"))
    monkeypatch.setattr(memory, "_total_and_free", lambda: (GIB // 4, GIB // 4))
    monkeypatch.setattr(weights, "load_model", lambda *_: pytest.fail("loaded"))
    with pytest.raises(BadInput, match=r"there are 0\.2 GiB: lower training\.batch_size"):
        train(job)
    monkeypatch.setenv(CHECK_MEMORY, "false")
    with pytest.raises(pytest.fail.Exception, match="loaded"):
        train(job)


@pytest.fixture
def stored_in_bfloat16(tiny_llm: Path, tmp_path: Path) -> Path:
    """The tiny LLM as models of real size are stored, and beside it an adapter that changes it."""
    folder = tmp_path / "llm"
    AutoTokenizer.from_pretrained(tiny_llm).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(tiny_llm, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    adapted = with_lora(model.float(), Training(rank=4))
    torch.manual_seed(0)
    for name, parameter in adapted.named_parameters():
        if "lora" in name:
            parameter.data.normal_(0, 0.2)
    adapted.save_pretrained(tmp_path / "adapter")
    return folder


def test_what_is_loaded_in_half_the_room_has_the_same_bits(
    stored_in_bfloat16: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = GenerateJob(
        prompts=str(write_prompts(tmp_path / "prompts", DESCRIPTIONS)),
        base_model=str(stored_in_bfloat16),
        generation=Generation(precision="bfloat16"),
        work=str(tmp_path / "work"),
        out=str(tmp_path / "mapping"),
        adapter=str(tmp_path / "adapter"),
    )
    load, loaded, models = weights.load_model, [], []

    def watched(name: str, dtype: torch.dtype, quantize: str) -> Any:
        loaded.append(dtype)
        return load(name, dtype, quantize)

    monkeypatch.setattr(weights, "load_model", watched)
    for _ in range(2):
        engine: Any = trie_engine(job, read_prompts(Path(job.prompts)))
        models.append(dict(engine._model._model.named_parameters()))
        monkeypatch.setattr(memory, "loads_in", lambda *_: torch.float32)
    assert loaded == [torch.bfloat16, torch.float32]
    for name, weight in models[0].items():
        assert weight.dtype == torch.bfloat16
        assert torch.equal(weight, models[1][name]), name


def test_a_training_of_what_is_loaded_in_half_the_room_has_the_same_bits(
    stored_in_bfloat16: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = write_samples(tmp_path / "samples.parquet")
    training = Training(base_model=str(stored_in_bfloat16), rank=4, steps=2, batch_size=4, precision="bfloat16")
    adapters = []
    for name in ("half", "whole"):
        train(TrainJob(str(samples), training, work=str(tmp_path / f"{name}-work"), out=str(tmp_path / name)))
        adapters.append((tmp_path / name / "adapter_model.safetensors").read_bytes())
        monkeypatch.setattr(memory, "loads_in", lambda *_: torch.float32)
    assert adapters[0] == adapters[1]
