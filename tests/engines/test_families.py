"""Each model that is not refused gives the losses and the answers that plain transformers gives, whatever its configuration.

The oracle knows nothing of ours: whole texts, one by one, without a cache.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from driftline.contracts import BadInput
from driftline.engines import suits
from driftline.engines.engine import Block
from driftline.engines.examples import Example, label_loss
from driftline.engines.precision import cast
from driftline.engines.tokens import Segments
from driftline.engines.trie_engine import TrieEngine
from tests.engines.conftest import DESCRIPTIONS, SHARED, first, rest
from tests.engines.zoo import RIGHT, UNSUITED, make

LABELS = [" " + text for text in DESCRIPTIONS]
LONGEST = 80


def rope(kind: str, **more: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 1e4, **more}}


LONG = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
YARN = {"factor": 4.0, "original_max_position_embeddings": 64}
ODD: list[tuple[str, dict[str, Any]]] = [
    ("llama", {"num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    ("llama", {"num_key_value_heads": 4, "head_dim": 16, "num_hidden_layers": 1, "hidden_act": "gelu"}),
    ("llama", {"attention_dropout": 0.1}),
    ("llama", rope("linear", factor=2.0)),
    ("llama", rope("dynamic", factor=2.0) | {"max_position_embeddings": 32}),
    ("llama", rope("dynamic", factor=2.0)),
    ("llama", rope("yarn", **YARN)),
    ("llama", rope("llama3", **YARN, low_freq_factor=1.0, high_freq_factor=4.0)),
    ("qwen2", {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1}),
    ("qwen2", {"use_sliding_window": True, "sliding_window": 200, "max_window_layers": 1}),
    ("qwen3", {"layer_types": ["sliding_attention", "full_attention"], "use_sliding_window": True, "sliding_window": 16}),
    ("qwen3_moe", {"mlp_only_layers": [0], "norm_topk_prob": True}),
    ("mixtral", {"router_jitter_noise": 0.1}),
    ("gemma3_text, wide window", {"attn_logit_softcapping": 20.0}),
    ("gemma3_text, wide window", {"final_logit_softcapping": 5.0}),
    ("gpt2", {"scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True, "attn_pdrop": 0.1}),
    ("gpt2", {"add_cross_attention": True}),
    ("gpt_neox", {"use_parallel_residual": False, "attention_bias": False}),
    ("opt", {"do_layer_norm_before": False, "word_embed_proj_dim": 16}),
    ("phi", {"qk_layernorm": True, "partial_rotary_factor": 1.0}),
    ("phi3", {"sliding_window": 16}),
    ("phi3", rope("longrope", **LONG) | {"original_max_position_embeddings": 128}),
    ("phi3", rope("longrope", **LONG) | {"original_max_position_embeddings": 32}),
    ("olmo", {"clip_qkv": 1.0}),
    ("smollm3", {"no_rope_layers": [0, 1], "attention_bias": True}),
    ("cohere", {"use_qk_norm": True, "logit_scale": 0.1}),
    ("starcoder2", {"sliding_window": 16}),
    ("deepseek_v3", {"q_lora_rank": None, "rope_interleave": False}),
    ("deepseek_v2", {"topk_method": "group_limited_greedy", "scoring_func": "softmax"}),
    ("granite", {"attention_multiplier": 0.5, "residual_multiplier": 0.5, "embedding_multiplier": 2.0, "logits_scaling": 3.0}),
    ("glm", {"partial_rotary_factor": 1.0, "attention_bias": True}),
]


@pytest.fixture(scope="module")
def tokenizer(tiny_llm: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_llm)


@pytest.mark.parametrize("name", RIGHT)
def test_a_family_that_suits(name: str, tokenizer: Any) -> None:
    model = make(name, vocab_size=len(tokenizer))
    suits.check(model, LONGEST, training=True, inference=True)
    check_against_transformers(model, tokenizer)


@pytest.mark.parametrize(("name", "changes"), ODD, ids=lambda value: value if isinstance(value, str) else "-".join(value))
def test_an_odd_configuration_is_right_or_refused(name: str, changes: dict[str, Any], tokenizer: Any) -> None:
    model = make(name, vocab_size=len(tokenizer), **changes)
    try:
        suits.check(model, LONGEST, training=True, inference=True)
    except BadInput as error:
        assert "Choose another training.base_model" in str(error) or "generation.engine = 'vllm'" in str(error)  # noqa: PT017
        return
    check_against_transformers(model, tokenizer)


@pytest.mark.parametrize("name", [*RIGHT, *UNSUITED])
def test_weights_that_are_no_numbers_are_refused(name: str) -> None:
    """In whichever of its tensors, the last one here."""
    model = make(name)
    with torch.no_grad():
        list(model.parameters())[-1].view(-1)[-1] = float("nan")
    with pytest.raises(BadInput, match="not all finite"):
        suits.check(model, LONGEST, training=True)


@pytest.mark.parametrize("name", [*RIGHT, *UNSUITED])
def test_a_cast_rounds_what_transformers_rounds(name: str, tmp_path: Path) -> None:
    """The same bits as loaded in bfloat16, but for Gemma's scale, which is rounded where it is used."""
    make(name).save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    ours = cast(AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32), torch.bfloat16)
    found = dict((*ours.named_parameters(), *ours.named_buffers()))
    for part, weights in (*loaded.named_parameters(), *loaded.named_buffers()):
        if part.endswith("embed_scale"):
            continue
        assert found[part].dtype == weights.dtype, part
        assert torch.equal(found[part], weights), part


def check_against_transformers(model: Any, tokenizer: Any) -> None:
    segments = Segments(tokenizer)
    start = segments.start(SHARED)
    batch = [
        Example(segments.of(first(c1)) + segments.of(rest(c2)), segments.label(LABELS[label]))
        for c1, c2, label in ((0, 1, 3), (0, 2, 4), (5, 1, 2), (0, 1, 3))
    ]
    with torch.no_grad():
        loss = label_loss(model, start, batch).item()
        assert loss == pytest.approx(label_loss_of_whole_texts(model, start, batch), rel=1e-4)
    engine = TrieEngine(model, tokenizer, SHARED, LABELS, 4)
    others = (1, 2, 5)
    answers = engine.answer(Block(0, first(0), others, tuple(map(rest, others))))
    found = {answer.c2: answer.c_next for answer in answers}
    assert found == {c2: greedy(model, start + segments.of(first(0)) + segments.of(rest(c2)), segments, {0, c2}) for c2 in others}


def label_loss_of_whole_texts(model: Any, start: list[int], batch: list[Example]) -> float:
    losses: list[torch.Tensor] = []
    for example in batch:
        tokens = torch.tensor([start + example.prompt + example.label])
        with torch.no_grad():
            predicted = model(tokens, use_cache=False).logits[0, -len(example.label) - 1 : -1]
        losses += torch.nn.functional.cross_entropy(predicted.float(), torch.tensor(example.label), reduction="none")
    return float(torch.stack(losses).mean())


def greedy(model: Any, prompt: list[int], segments: Segments, known: set[int]) -> int:
    """The cluster whose description greedy decoding writes, token by token, if it may write those of novel clusters only."""
    left = {cluster: segments.label(label) for cluster, label in enumerate(LABELS) if cluster not in known}
    written: list[int] = []
    while True:
        with torch.no_grad():
            logits = model(torch.tensor([prompt + written]), use_cache=False).logits[0, -1]
        allowed = {tokens[len(written)] for tokens in left.values()}
        written.append(max(allowed, key=lambda token: logits[token].item()))
        left = {cluster: tokens for cluster, tokens in left.items() if tokens[: len(written)] == written}
        done = [cluster for cluster, tokens in left.items() if tokens == written]
        if done:
            return done[0]
