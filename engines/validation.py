"""What a training is validated on, and the two measures of it (design §3.13)."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

import pyarrow.parquet as pq
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from driftline.engines.engine import Block
from driftline.engines.examples import label_loss, read_examples
from driftline.engines.trie_engine import TrieEngine
from driftline.interests.prompts import completion

BATCH = 32
"""Samples, and pairs, in one forward pass."""


class Validation:
    """Measures loss on samples of the validation window, and exact match on its pairs.

    Args:
        folder: of a `ValidationRef`.
        asks: whether our own engine suits the model; if not, only the loss is measured.
    """

    def __init__(self, folder: Path, tokenizer: PreTrainedTokenizerBase, asks: bool = True) -> None:
        self._asks = asks
        self._tokenizer = tokenizer
        self._labels = [completion(text) for text in pq.read_table(folder / "labels.parquet")["description"].to_pylist()]
        self._start, self._examples = read_examples(folder / "samples.parquet", tokenizer)
        rows = pq.read_table(folder / "pairs.parquet").to_pylist()
        self.pairs = len(rows)
        self._shared = rows[0]["shared"]
        self._blocks = [
            Block(c1, same[0]["first"], tuple(row["c2"] for row in same), tuple(row["rest"] for row in same))
            for c1, same in ((c1, list(rows)) for c1, rows in groupby(rows, key=lambda row: row["c1"]))
        ]

    def measure(
        self, model: PreTrainedModel, together: Accelerator, between: Callable[[str], None]
    ) -> tuple[float | None, float]:
        """Exact-match rate and loss of the model as it is; several processes share the work.

        Args:
            between: called with how far it is by all processes alike, between two pieces of work; it may raise.
        """
        model.eval()
        sums = torch.zeros(3, dtype=torch.float64)  # exact answers; loss; tokens that the loss is of
        pieces = [*self._losses(model), *(self._answers(model) if self._asks else ())]
        for first in range(0, len(pieces), together.num_processes):
            between(f"validating {first}/{len(pieces)}")
            for piece in pieces[first + together.process_index :][:1]:
                sums += piece()
        model.train()
        exact, loss, tokens = together.reduce(sums.to(together.device)).tolist()
        return exact / self.pairs if self._asks else None, loss / tokens

    def _losses(self, model: PreTrainedModel) -> Iterator[Callable[[], torch.Tensor]]:
        def piece(first: int) -> torch.Tensor:
            batch = self._examples[first : first + BATCH]
            tokens = sum(len(example.label) for example in batch)
            with torch.no_grad():
                return torch.tensor([0.0, label_loss(model, self._start, batch).item() * tokens, tokens], dtype=torch.float64)

        return (partial(piece, first) for first in range(0, len(self._examples), BATCH))

    def _answers(self, model: PreTrainedModel) -> Iterator[Callable[[], torch.Tensor]]:
        engine = TrieEngine(model, self._tokenizer, self._shared, self._labels, BATCH)

        def piece(block: Block) -> torch.Tensor:
            return torch.tensor([sum(answer.exact for answer in engine.answer(block)), 0, 0], dtype=torch.float64)

        return (partial(piece, block) for block in self._blocks)
