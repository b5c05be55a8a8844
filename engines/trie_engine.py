"""Bulk inference over all pairs: shared prefixes once, rows in batches, a trie over the answers, forced tokens without a step.

Greedy constrained decoding, equal to `generate(do_sample=False, prefix_allowed_tokens_fn=…)` pair by pair. Along the way every
token of the answer, the end token included, is compared with the unconstrained argmax: one pass also tells whether free greedy
decoding writes exactly this answer (design §3.7).

With `Sampling`, the token at a fork is drawn from softmax(logits / temperature) over the allowed tokens, as
`generate(do_sample=True, …)` under the same constraint draws it. The comparison with the unconstrained argmax stays what it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import DynamicCache

from contracts import Sampling
from engines.cache import repeated
from engines.engine import Answer, Block
from engines.tokens import Segments
from engines.trie import Node, Trie


@dataclass
class Row:
    """One pair on its way to an answer."""

    c1: int
    c2: int
    node: Node
    """Where in the trie the answer stands: a fork, or an end."""
    position: int
    """Tokens the model has seen."""
    forced: list[int] = field(default_factory=list)
    """Tokens of the answer that led to `node` without a choice; the model has yet to say whether it would have written them."""
    feed: list[int] = field(default_factory=list)
    """Tokens the model sees next. The last ones score `forced`, then the choice at a fork."""
    agreed: list[int] = field(default_factory=list)
    """The answer as far as free decoding writes the same."""
    left: int | None = None
    """The token with which free decoding leaves the answer."""
    choices: int = 0
    """Forks passed so far."""

    @property
    def at_end(self) -> bool:
        return self.node.cluster is not None

    @property
    def scores(self) -> int:
        """How many of the last tokens of `feed` matter for what they predict."""
        return len(self.forced) + (not self.at_end)


class TrieEngine:
    """Answers blocks with a Hugging Face causal LM that keeps a key/value cache (transformers' `DynamicCache`).

    Args:
        shared: the segment that all prompts begin with.
        labels: what the model has to write for each cluster (`interests.prompts.completion`); position = cluster id.
        sampling: draw the answers; None: take the likeliest token at every fork.

    Raises:
        ValueError: the descriptions are not prefix-free in this tokenizer.
    """

    def __init__(
        self, model, tokenizer, shared: str, labels: Sequence[str], batch_size: int, sampling: Sampling | None = None
    ) -> None:
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._segments = Segments(tokenizer)
        self._segments.learn(labels)
        self._trie = Trie([self._segments.label(label) for label in labels])
        self._batch_size = batch_size
        self._sampling = sampling
        self.tokens = 0
        self._shared = self._extend(DynamicCache(), self._segments.start(shared))

    def answer(self, block: Block) -> Iterator[Answer]:
        """One answer per pair; a batch's answers come in the order in which they finish."""
        prefix = self._extend(self._shared, self._segments.of(block.first))
        self._segments.learn(block.rest)
        for begin in range(0, len(block.c2), self._batch_size):
            batch = slice(begin, begin + self._batch_size)
            rows = [Row(block.c1, c2, self._trie.root, prefix.get_seq_length()) for c2 in block.c2[batch]]
            for row, rest in zip(rows, block.rest[batch], strict=True):
                self._follow(row, self._segments.of(rest))
            yield from self._decode(rows, prefix)

    def _decode(self, rows: list[Row], prefix: DynamicCache) -> Iterator[Answer]:
        cache = repeated(prefix, len(rows))
        mask = torch.ones(len(rows), prefix.get_seq_length(), dtype=torch.long, device=self._model.device)
        while rows:
            logits, mask = self._forward(rows, cache, mask)
            greedy = logits.argmax(-1).tolist()
            chosen = self._choose(rows, logits[:, -1])
            open_rows = []
            for i, row in enumerate(rows):
                if self._finished(row, greedy[i][-row.scores :], chosen[i]):
                    yield self._answer(row)
                else:
                    open_rows.append(i)
            if len(open_rows) < len(rows):
                index = torch.tensor(open_rows, dtype=torch.long, device=mask.device)
                rows, mask = [rows[i] for i in open_rows], mask[index]
                cache.batch_select_indices(index)

    @torch.inference_mode()
    def _forward(self, rows: list[Row], cache: DynamicCache, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Feeds every row's `feed`, padded on the left; masked padding and own positions keep rows from touching each other.

        Returns:
            logits [rows, most `scores` of a row, vocabulary], and the mask [rows, tokens in the cache] grown by this step.
        """
        width = max(len(row.feed) for row in rows)
        tokens, positions, seen = [], [], []
        for row in rows:
            padding = width - len(row.feed)
            tokens.append([0] * padding + row.feed)
            positions.append([0] * padding + list(range(row.position, row.position + len(row.feed))))
            seen.append([0] * padding + [1] * len(row.feed))
            row.position += len(row.feed)
            self.tokens += len(row.feed)
        mask = torch.cat([mask, self._tensor(seen)], dim=1)
        logits = self._model(
            input_ids=self._tensor(tokens),
            position_ids=self._tensor(positions),
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=max(row.scores for row in rows),
        ).logits
        return logits, mask

    def _choose(self, rows: list[Row], logits: torch.Tensor) -> list[int]:
        """One of the allowed tokens, row by row: that with the highest logit, or one drawn. Meaningless for a row at its end."""
        allowed = [[0] if row.at_end else self._trie.allowed(row.node, row.c1, row.c2) for row in rows]
        width = max(map(len, allowed))
        choices = [tokens + tokens[:1] * (width - len(tokens)) for tokens in allowed]
        scores = logits.gather(1, self._tensor(choices))
        if self._sampling is None:
            best = scores.argmax(1).tolist()
        else:
            drawn = zip(rows, scores.double().cpu().numpy(), allowed, strict=True)
            best = [draw(score[: len(tokens)], self._sampling, row) for row, score, tokens in drawn]
        return [tokens[i] for tokens, i in zip(choices, best, strict=True)]

    def _finished(self, row: Row, greedy: list[int], chosen: int) -> bool:
        """Compares the row's new tokens with the unconstrained ones and moves it on; True when nothing is left to learn."""
        ended = row.at_end
        for token, free in zip(row.forced if ended else [*row.forced, chosen], greedy, strict=True):
            if row.left is None and token == free:
                row.agreed.append(token)
            elif row.left is None:
                row.left = free
        if not ended:
            row.choices += 1
            row.node = row.node.children[chosen]
            self._follow(row, [chosen])
        return ended or (row.at_end and row.left is not None)

    def _follow(self, row: Row, tokens: list[int]) -> None:
        """Feeds `tokens` next, together with all that is forced after them; after an end token there is nothing to predict."""
        row.forced, row.node = self._trie.forced(row.node, row.c1, row.c2)
        row.feed = tokens + (row.forced[:-1] if row.at_end else row.forced)

    def _answer(self, row: Row) -> Answer:
        free = None if row.left is None else self._tokenizer.decode([*row.agreed, row.left])
        return Answer(row.c2, row.node.cluster, free)

    @torch.inference_mode()
    def _extend(self, prefix: DynamicCache, tokens: list[int]) -> DynamicCache:
        """A cache [1, …] of `prefix` and `tokens`; `prefix` stays as it is."""
        cache = repeated(prefix, 1)
        if tokens:
            self.tokens += len(tokens)
            self._model(input_ids=self._tensor([tokens]), past_key_values=cache, use_cache=True, logits_to_keep=1)
        return cache

    def _tensor(self, rows: list[list[int]]) -> torch.Tensor:
        return torch.tensor(rows, dtype=torch.long, device=self._model.device)


def draw(logits: np.ndarray, sampling: Sampling, row: Row) -> int:
    """A position in `logits` [allowed tokens, ascending], drawn from softmax(logits / temperature).

    The Gumbel-max trick: the largest of logits / temperature + noise, which is that of logits + temperature · noise. The noise is
    a function of the seed, the pair and how many forks it has passed, so that neither batches nor a restart change an answer.
    """
    noise = np.random.default_rng([sampling.seed, row.c1, row.c2, row.choices]).gumbel(size=len(logits))
    return int((logits + sampling.temperature * noise).argmax())
