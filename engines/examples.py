"""Fine-tuning samples as tokens, and the loss of a batch of them."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import torch
from transformers import DynamicCache

from engines.cache import repeated
from engines.tokens import Segments
from engines.trie import check_prefix_free

IGNORED = -100


@dataclass(frozen=True)
class Example:
    """One sample as tokens, without what all samples begin with."""

    prompt: list[int]
    label: list[int]


def read_examples(samples: Path, tokenizer) -> tuple[list[int], list[Example]]:
    """The tokens that all prompts begin with, and every sample's own.

    Raises:
        ValueError: there is no sample, or the tokenizer cannot tell two labels apart (known here, it costs no training).
    """
    table = pq.read_table(samples, columns=["shared", "first", "rest", "label"]).to_pydict()
    if not table["label"]:
        raise ValueError("there are no samples to train on: choose a longer or busier window")
    segments = Segments(tokenizer)
    for texts in table.values():
        segments.learn(texts)
    labels = sorted(set(table["label"]))
    check_prefix_free([segments.label(label) for label in labels], [repr(label) for label in labels])
    common = set(table["shared"])
    shared = segments.start(common.pop()) if len(common) == 1 else []
    examples = [
        Example(([] if shared else segments.start(text)) + segments.of(first) + segments.of(rest), segments.label(label))
        for text, first, rest, label in zip(table["shared"], table["first"], table["rest"], table["label"], strict=True)
    ]
    return shared, examples


def label_loss(model, shared: list[int], batch: list[Example]) -> torch.Tensor:
    """Mean cross-entropy of the label tokens, end token included.

    What all prompts share is computed once for the batch: its keys and values are expanded to all rows, gradients included.
    The rest is padded on the left, so that the labels end together and logits are needed there only.
    """
    device = model.device
    rows = [example.prompt + example.label[:-1] for example in batch]
    width, scored = max(map(len, rows)), max(len(example.label) for example in batch)
    padding = [width - len(row) for row in rows]
    tokens = torch.tensor([[0] * pad + row for pad, row in zip(padding, rows, strict=True)], device=device)
    seen = [[1] * len(shared) + [0] * pad + [1] * len(row) for pad, row in zip(padding, rows, strict=True)]
    seen = torch.tensor(seen, device=device)
    labels = [[IGNORED] * (scored - len(example.label)) + example.label for example in batch]
    cache = None
    if shared:
        cache = DynamicCache()
        model(input_ids=torch.tensor([shared], device=device), past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = repeated(cache, len(batch))
    logits = model(
        input_ids=tokens,
        attention_mask=seen,
        position_ids=(seen.cumsum(1) - 1).clamp(min=0)[:, len(shared) :],
        past_key_values=cache,
        use_cache=cache is not None,
        logits_to_keep=scored,
    ).logits
    return torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), torch.tensor(labels, device=device).flatten(), ignore_index=IGNORED
    )
