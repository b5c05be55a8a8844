"""Fine-tuning samples as tokens, and the loss of a batch of them."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from driftline.contracts import BadInput
from driftline.engines.prefix_tree import PrefixTree, logits
from driftline.engines.tokens import Segments
from driftline.engines.trie import check_labels


@dataclass(frozen=True)
class Example:
    """One sample as tokens, without what all samples begin with."""

    prompt: list[int]
    label: list[int]


def read_examples(samples: Path, tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[Example]]:
    """The tokens that all prompts begin with, and every sample's own.

    Raises:
        BadInput: there is no sample, or the tokenizer cannot tell two labels apart (known here, it costs no training).
    """
    table = pq.read_table(samples, columns=["shared", "first", "rest", "label"]).to_pydict()
    if not table["label"]:
        raise BadInput("there are no samples to train on: choose a longer or busier window")
    segments = Segments(tokenizer)
    for texts in table.values():
        segments.learn(texts)
    labels = sorted(set(table["label"]))
    check_labels([segments.label(label) for label in labels], [repr(label) for label in labels])
    common = set(table["shared"])
    shared = segments.start(common.pop()) if len(common) == 1 else []
    examples = [
        Example(([] if shared else segments.start(text)) + segments.of(first) + segments.of(rest), segments.label(label))
        for text, first, rest, label in zip(table["shared"], table["first"], table["rest"], table["label"], strict=True)
    ]
    return shared, examples


def label_loss(model: PreTrainedModel, shared: list[int], batch: list[Example]) -> torch.Tensor:
    """Mean cross-entropy of the label tokens, end token included.

    Every distinct prefix of the batch goes through the model once, gradients included; logits are made for the labels only.
    """
    device = model.device
    tree = PrefixTree.of([shared + example.prompt + example.label[:-1] for example in batch], device)
    before = [node for path, example in zip(tree.paths, batch, strict=True) for node in path[-len(example.label) :]]
    labels = [token for example in batch for token in example.label]
    predicted = logits(model, tree, torch.tensor(before, device=device))
    return torch.nn.functional.cross_entropy(predicted.float(), torch.tensor(labels, device=device))
