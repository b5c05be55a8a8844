"""An adapter beside a base model in 4 bits: trained, resumed, asked beside the same bits, and refused where that cannot be."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from driftline.contracts import BadInput, GenerateJob, Generation, Precision, Training, TrainJob
from driftline.engines import suits, weights
from driftline.engines.engine import Block
from driftline.engines.generate import generate, trie_engine, vllm_engine
from driftline.engines.prompts import read_prompts
from driftline.engines.train import train
from tests.engines.conftest import DESCRIPTIONS, first, rest, write_prompts, write_samples, write_validation

# Not among the tools of development: peft imports it wherever it is, which takes every child a second more.
pytest.importorskip("bitsandbytes", reason="pip install bitsandbytes, then these tests run")


def asked(tiny_llm: Path, tmp_path: Path, precision: Precision = "float32") -> TrainJob:
    training = Training(
        base_model=str(tiny_llm), rank=4, steps=4, batch_size=8, validate_every=2, precision=precision, quantize="nf4"
    )
    samples, validation = write_samples(tmp_path / "samples.parquet"), write_validation(tmp_path / "validation")
    return TrainJob(
        str(samples), training, work=str(tmp_path / "work"), out=str(tmp_path / "out"), engine="trie", validation=str(validation)
    )


def mapping_job(job: TrainJob, tmp_path: Path, precision: Precision) -> GenerateJob:
    return GenerateJob(
        prompts=str(write_prompts(tmp_path / "prompts", DESCRIPTIONS)),
        base_model=job.training.base_model,
        generation=Generation(precision=precision),
        work=str(tmp_path / "mapping-work"),
        out=str(tmp_path / "mapping"),
        adapter=job.out,
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_it_is_asked_beside_is_what_it_was_trained_beside(precision: Precision, tiny_llm: Path, tmp_path: Path) -> None:
    job = asked(tiny_llm, tmp_path, precision)
    train(job)
    facts = json.loads((tmp_path / "out" / "train.json").read_text())
    assert facts["quantize"] == "nf4"
    assert facts["losses"][-1] < facts["losses"][0]
    mapping = mapping_job(job, tmp_path, precision)
    engine: Any = trie_engine(mapping, read_prompts(Path(mapping.prompts)))
    merged = dict(engine._model._model.named_parameters())["model.layers.0.mlp.up_proj.weight"].float()
    whole, in_bits = (
        weights.load_model(str(tiny_llm), getattr(torch, precision), quantize).model.layers[0].mlp.up_proj
        for quantize in ("none", "nf4")
    )
    of_bits = in_bits(torch.eye(32, dtype=getattr(torch, precision))).T.float()
    assert (of_bits - whole.weight.float()).abs().max() > 0.01  # 4 bits are few
    adapter = {name: tensor for name, tensor in _adapter(Path(job.out)).items() if "layers.0.mlp.up_proj" in name}
    a, b = (next(tensor for name, tensor in adapter.items() if f"lora_{letter}" in name) for letter in "AB")
    expected = of_bits + 32 / 4 * b @ a
    assert torch.allclose(merged, expected, atol=1e-5 if precision == "float32" else 0.02)
    generate(mapping)


def _adapter(folder: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def test_the_answers_of_a_validation_are_those_of_the_mapping(tiny_llm: Path, tmp_path: Path) -> None:
    """The model in bits with its adapter beside it, and the whole model with the adapter merged into it."""
    job = asked(tiny_llm, tmp_path)
    train(job)
    base = weights.load_model(str(tiny_llm), torch.float32, "nf4")
    from peft import PeftModel

    beside = PeftModel.from_pretrained(base, job.out).eval()
    mapping = mapping_job(job, tmp_path, "float32")
    engine: Any = trie_engine(mapping, read_prompts(Path(mapping.prompts)))
    tokens = torch.tensor([[5, 9, 40, 33, 7, 120, 80]])
    with torch.no_grad():
        one, other = beside(tokens).logits, engine._model._model(tokens).logits
    assert torch.allclose(one, other, atol=1e-4 * float(one.std()))
    assert {answer.c2 for answer in engine.answer(Block(0, first(0), (1, 2), (rest(1), rest(2))))} == {1, 2}


def test_the_same_bits_after_a_stop(tiny_llm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = asked(tiny_llm, tmp_path)
    train(job)
    whole = (tmp_path / "out" / "adapter_model.safetensors").read_bytes()
    again = dataclasses.replace(job, work=str(tmp_path / "again-work"), out=str(tmp_path / "again"))
    from driftline.engines import child

    stops = iter([False, False, True])
    with monkeypatch.context() as patch:
        patch.setattr(child, "stopping", lambda: next(stops, True))
        with pytest.raises(child.Stopped):
            train(again)
    train(again)
    assert (tmp_path / "again" / "adapter_model.safetensors").read_bytes() == whole


def test_it_takes_a_third_of_the_room(tiny_llm: Path) -> None:
    sizes = []
    for quantize in ("none", "nf4"):
        model: Any = weights.load_model(str(tiny_llm), torch.bfloat16, quantize)
        sizes.append(sum(weight.numel() * weight.element_size() for weight in model.model.layers.parameters()))
    assert sizes[1] < sizes[0] / 3


def test_numbers_that_are_none_are_seen_in_bits_too(tiny_llm: Path) -> None:
    model: Any = weights.load_model(str(tiny_llm), torch.bfloat16, "nf4")
    suits.check(model, 40, training=True, inference=True)
    model.model.layers[1].mlp.up_proj.weight.quant_state.absmax[3] = float("nan")
    with pytest.raises(BadInput, match=r"up_proj\.weight are not all finite"):
        suits.check(model, 40, training=True)


def test_vllm_has_no_such_model(tiny_llm: Path, tmp_path: Path) -> None:
    job = asked(tiny_llm, tmp_path)
    with pytest.raises(BadInput, match="vLLM has no model in nf4"):
        train(dataclasses.replace(job, engine="vllm"))
    train(job)
    mapping = mapping_job(job, tmp_path, "float32")
    with pytest.raises(BadInput, match=r"set generation\.engine = 'trie'"):
        vllm_engine(mapping, read_prompts(Path(mapping.prompts)))


def test_without_the_extra_it_says_what_to_install(tiny_llm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match="pip install bitsandbytes"):
        weights.load_model(str(tiny_llm), torch.float32, "nf4")
