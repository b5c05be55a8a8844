"""Each model is right in training and inference, or refused before any work; none is wrong without a word."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from driftline.contracts import BadInput, GenerateJob, Generation, Training, TrainJob
from driftline.engines import suits
from driftline.engines.first_layers import first_layers
from driftline.engines.generate import generate
from driftline.engines.prefix_tree import SHORT
from driftline.engines.train import train
from tests.engines.conftest import DESCRIPTIONS, write_prompts, write_samples
from tests.engines.zoo import RIGHT, UNSUITED, make

LONGEST = 40


@pytest.mark.parametrize("name", RIGHT)
def test_a_model_that_suits(name: str) -> None:
    suits.check(make(name), LONGEST, training=True, inference=True)


@pytest.mark.parametrize("name", ["llama", "gpt2", "opt", "deepseek_v3"])
def test_rows_too_long_for_plain_products(name: str) -> None:
    suits.check(make(name), SHORT + 20, training=True)


@pytest.mark.parametrize(("name", "use", "reason"), [(name, *unsuited) for name, unsuited in UNSUITED.items()])
def test_a_model_that_does_not_suit(name: str, use: str, reason: str) -> None:
    model = make(name)
    if use == "both":
        with pytest.raises(BadInput, match=rf"{reason}.*Choose another training\.base_model"):
            suits.check(model, LONGEST, training=True)
    else:
        suits.check(model, LONGEST, training=True)
    with pytest.raises(BadInput, match=rf"{reason}.*generation\.engine = 'vllm'"):
        suits.check(model, LONGEST, inference=True)


def test_numbers_that_are_none_are_refused_where_ever_they_are() -> None:
    model = make("llama")
    model.model.embed_tokens.weight.data[49, 0] = float("nan")  # of a token that no probe may hold
    for use in ({"training": True}, {"inference": True}):
        with pytest.raises(BadInput, match=r"embed_tokens\.weight are not all finite"):
            suits.check(model, LONGEST, **use)


def test_logits_that_are_no_numbers_are_refused() -> None:
    model = make("llama")
    model.model.norm.weight.data.fill_(3e38)  # finite, and too large to multiply
    with pytest.raises(BadInput, match="other logits"):
        suits.check(model, LONGEST, training=True)


def test_the_probe_leaves_the_model_as_it_was() -> None:
    model = make("llama").train()
    suits.check(model, LONGEST, training=True, inference=True)
    assert model.training
    assert model.config._attn_implementation == "sdpa"
    model(torch.tensor([[3, 4, 5]])).logits.sum().backward()  # nothing of it was made in inference mode


def test_a_window_shorter_than_the_longest_prompt_is_refused() -> None:
    model = make("mistral, wide window")
    suits.check(model, 100, training=True, inference=True)
    with pytest.raises(BadInput, match="sees 100 tokens and the longest prompt has 101"):
        suits.check(model, 101, training=True)


@pytest.fixture
def folder(tiny_llm: Path, tmp_path: Path) -> Any:
    """The tokenizer of the tiny LLM beside another model of the same vocabulary."""

    def save(name: str, **changes: Any) -> str:
        tokenizer = AutoTokenizer.from_pretrained(tiny_llm)
        tokenizer.save_pretrained(tmp_path / "llm")
        make(name, vocab_size=len(tokenizer), **changes).save_pretrained(tmp_path / "llm")
        return str(tmp_path / "llm")

    return save


def job(base_model: str, tmp_path: Path) -> TrainJob:
    samples = write_samples(tmp_path / "samples.parquet")
    training = Training(base_model=base_model, rank=4, alpha=8, steps=1, batch_size=4)
    return TrainJob(samples=str(samples), training=training, work=str(tmp_path / "work"), out=str(tmp_path / "out"))


def test_training_refuses_before_its_first_step(folder: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadInput, match=r"^Lfm2ForCausalLM cannot be trained by Driftline: it gives other logits"):
        train(job(folder("lfm2"), tmp_path))
    assert "loss" not in capsys.readouterr().out


def test_training_refuses_what_our_inference_could_not_ask_unless_vllm_is_to(folder: Any, tmp_path: Path) -> None:
    asked = job(folder("diffllama"), tmp_path)
    with pytest.raises(BadInput, match=r"cannot be asked by Driftline's own engine.*generation\.engine = 'vllm'"):
        train(dataclasses.replace(asked, engine="trie"))
    train(dataclasses.replace(asked, engine="vllm"))
    assert (Path(asked.out) / "adapter_model.safetensors").exists()


def test_inference_refuses_before_its_first_block(folder: Any, tmp_path: Path) -> None:
    asked = GenerateJob(
        prompts=str(write_prompts(tmp_path / "prompts", DESCRIPTIONS)),
        base_model=folder("mistral"),
        generation=Generation(),
        work=str(tmp_path / "work"),
        out=str(tmp_path / "mapping"),
    )
    with pytest.raises(BadInput, match=r"MistralForCausalLM cannot be asked.*sees 8 tokens.*'vllm'"):
        generate(asked)
    assert not list(Path(asked.work).glob("blocks-*/*.parquet"))


@pytest.mark.parametrize(("name", "unsuited"), [*((name, None) for name in RIGHT), *UNSUITED.items()])
def test_a_model_in_bfloat16_is_judged_by_its_first_layers(name: str, unsuited: tuple[str, str] | None) -> None:
    model, uses = make(name).bfloat16(), {"training": True, "inference": unsuited is None or unsuited[0] == "both"}
    if unsuited is None or unsuited[0] == "inference":
        suits.check(model, LONGEST, training=True, inference=unsuited is None)
    else:
        with pytest.raises(BadInput, match=unsuited[1]):
            suits.check(model, LONGEST, **uses)
    assert model.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("name", "changes", "enough"),
    [
        ("llama", {"num_hidden_layers": 9, "num_key_value_heads": 4}, 2),
        ("gpt2", {"n_layer": 6}, 2),
        ("qwen3_moe", {"num_hidden_layers": 6, "mlp_only_layers": [0, 1, 3]}, 3),
        ("smollm3", {"num_hidden_layers": 8, "no_rope_layer_interval": 4}, 4),
        ("deepseek_v3", {"num_hidden_layers": 7, "first_k_dense_replace": 3}, 4),
        ("gemma3_text, wide window", {"num_hidden_layers": 12}, 6),
    ],
)
def test_the_first_layers_hold_every_kind(name: str, changes: dict[str, Any], enough: int) -> None:
    model = make(name, **changes).bfloat16()
    layers = model.config.num_hidden_layers
    copied = first_layers(model)
    assert copied.dtype == torch.float32
    assert (
        sum(f".{number}." in "".join(f"{part}." for part, _ in copied.named_parameters()) for number in range(layers)) == enough
    )
    assert copied(torch.tensor([[3, 4, 5]])).logits.isfinite().all()
    assert max(len(part) for part in model.modules() if isinstance(part, torch.nn.ModuleList)) == layers
