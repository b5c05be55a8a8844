"""Rows over a shared prefix, against the same model on every row's whole text."""

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, Qwen3Config, set_seed

from driftline.engines.precision import cast
from driftline.engines.shared_prefix import Prefix, RowCache, SharedPrefixModel

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "initializer_range": 0.5,
}
PREFIX = [[3, 14, 15], [9, 26]]
STEPS = [
    # tokens of row 0, 1, 2
    [[5, 35, 8], [9], [7, 9]],
    [[32], [], [38, 46, 2, 6]],
    [[4, 33], [], [8]],
    [[], [41, 1], []],
]


def make(config: Any) -> Any:
    set_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("prefix", [PREFIX, []], ids=["prefix", "no-prefix"])
@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(**SIZES),
        Qwen3Config(**SIZES),
        GPT2Config(vocab_size=50, n_embd=32, n_layer=2, n_head=4, initializer_range=0.5),
    ],
    ids=["llama", "qwen3", "gpt2"],
)
def test_every_row_has_the_logits_of_its_whole_text(config: Any, prefix: list[list[int]]) -> None:
    model = make(config)
    shared = SharedPrefixModel(model)
    begun = Prefix()
    for tokens in prefix:
        begun = shared.extend(begun, tokens)
    assert begun.length == sum(map(len, prefix))
    rows = RowCache(begun, 3, 8)
    texts = [[token for tokens in prefix for token in tokens]] * 3
    for step in STEPS:
        busy = [row for row in range(3) if step[row]]
        scores = [min(len(step[row]), row + 1) for row in busy]
        found = shared.forward(rows, busy, [step[row] for row in busy], scores)
        texts = [text + tokens for text, tokens in zip(texts, step, strict=True)]
        with torch.inference_mode():
            whole = [model(torch.tensor([texts[row]])).logits[0, -score:] for row, score in zip(busy, scores, strict=True)]
        torch.testing.assert_close(found, torch.cat(whole), rtol=1e-4, atol=1e-4)
    assert [len(text) for text in texts] == [begun.length + length for length in rows.lengths]


def test_bfloat16_is_as_near_as_bfloat16_is() -> None:
    exact, model = make(LlamaConfig(**SIZES)), cast(make(LlamaConfig(**SIZES)), torch.bfloat16)
    shared = SharedPrefixModel(model)
    found = shared.forward(RowCache(shared.extend(Prefix(), PREFIX[0]), 2, 4), [0, 1], [[5, 35], [9]], [1, 1]).float()
    with torch.inference_mode():
        own = torch.stack([model(torch.tensor([PREFIX[0] + rest])).logits[0, -1].float() for rest in ([5, 35], [9])])
        whole = torch.stack([exact(torch.tensor([PREFIX[0] + rest])).logits[0, -1] for rest in ([5, 35], [9])])
    assert (found - whole).abs().max() < 2 * (own - whole).abs().max()
