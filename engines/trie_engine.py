"""Bulk inference over all pairs. Shared prefixes are computed once, rows are packed without padding, a token trie limits the
answers, and unambiguous tokens are appended without a decoding step.

Greedy constrained decoding, equal to `generate(do_sample=False, prefix_allowed_tokens_fn=…)` pair by pair. Along the way every
token of the answer, the end token included, is compared with the unconstrained argmax: one pass also tells whether free greedy
decoding writes exactly this answer (design §3.7).

With `Sampling`, the token at a fork is drawn from softmax(logits / temperature) over the allowed tokens, as
`generate(do_sample=True, …)` under the same constraint draws it. The comparison with the unconstrained argmax stays what it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Protocol

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from driftline.contracts import Sampling
from driftline.engines.engine import Answer, Block
from driftline.engines.scores import Prompt, Scorer
from driftline.engines.shared_prefix import Prefix, RowCache, SharedPrefixModel
from driftline.engines.tokens import Segments, common_start
from driftline.engines.trie import Node, Trie


class Decoding(Protocol):
    """A pair on its way to an answer, in any engine."""

    c1: int
    c2: int
    choices: int
    """Forks passed so far."""


@dataclass
class TrieRow:
    """One pair on its way to an answer."""

    c1: int
    c2: int
    slot: int
    """Its place among the rows that are decoded together."""
    node: Node
    """Where in the trie the answer stands: a fork, or an end."""
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
        """Number of last tokens of `feed` whose logits are needed."""
        return len(self.forced) + (not self.at_end)


class TrieEngine:
    """Answers blocks with a causal LM of transformers (`SharedPrefixModel`).

    Args:
        shared: the segment that all prompts begin with.
        labels: what the model has to write for each cluster (`interests.prompts.completion`); position = cluster id.
        sampling: draw the answers; None: take the likeliest token at every fork.
        scores: keep the log-probabilities of so many answers to each pair (`engines.scores`); 0: of none.

    Raises:
        BadInput: the descriptions are not prefix-free in this tokenizer, or the model's attention does not suit.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        shared: str,
        labels: Sequence[str],
        batch_size: int,
        sampling: Sampling | None = None,
        scores: int = 0,
    ) -> None:
        self._tokenizer = tokenizer
        self._segments = Segments(tokenizer)
        self._segments.learn(labels)
        self._trie = Trie([self._segments.label(label) for label in labels])
        self._batch_size = batch_size
        self._sampling = sampling
        self.tokens = 0
        self._model = SharedPrefixModel(model)
        self._scorer = Scorer(self._model, self._trie, scores) if scores else None
        self._shared = self._extend(Prefix(), self._segments.start(shared))

    def answer(self, block: Block) -> Iterator[Answer]:
        """One answer per pair; a batch's answers come in the order in which they finish."""
        self._segments.learn(block.rest)
        rests = [self._segments.of(rest) for rest in block.rest]
        # At least one token is each row's own: the one that predicts its answer.
        common = common_start([rest[:-1] for rest in rests])
        prefix = self._extend(self._shared, [*self._segments.of(block.first), *common])
        for begin in range(0, len(block.c2), self._batch_size):
            batch = slice(begin, begin + self._batch_size)
            rows = [TrieRow(block.c1, c2, slot, self._trie.root) for slot, c2 in enumerate(block.c2[batch])]
            own = [rest[len(common) :] for rest in rests[batch]]
            for row, tokens in zip(rows, own, strict=True):
                self._follow(row, tokens)
            cache = RowCache(prefix, len(rows), max(map(len, own)) + self._trie.longest)
            answers = self._decode(rows, cache)
            yield from answers if self._scorer is None else self._scored(self._scorer, answers, rows, own, cache)

    def _scored(
        self, scorer: Scorer, answers: Iterator[Answer], rows: list[TrieRow], own: list[list[int]], cache: RowCache
    ) -> Iterator[Answer]:
        """The answers with scores, once all of them are there: what the prompts computed is still in the cache."""
        found = {answer.c2: answer for answer in answers}
        prompts = [Prompt(row.c1, row.c2, row.slot, tokens[-1], len(tokens)) for row, tokens in zip(rows, own, strict=True)]
        before = scorer.tokens
        for prompt, scores in zip(prompts, scorer.score(cache, prompts), strict=True):
            yield replace(found[prompt.c2], scores=scores)
        self.tokens += scorer.tokens - before

    def _decode(self, rows: list[TrieRow], cache: RowCache) -> Iterator[Answer]:
        while rows:
            logits = self._forward(rows, cache)
            greedy = logits.max(-1).indices.tolist()  # argmax takes four times as long in bfloat16
            ends = list(accumulate(row.scores for row in rows))
            chosen = self._choose(rows, logits[[end - 1 for end in ends]])
            still = []
            for row, end, token in zip(rows, ends, chosen, strict=True):
                if self._finished(row, greedy[end - row.scores : end], token):
                    yield self._answer(row)
                else:
                    still.append(row)
            rows = still

    def _forward(self, rows: list[TrieRow], cache: RowCache) -> torch.Tensor:
        """Logits [sum of `scores`, vocabulary] of every row's `feed`, row after row."""
        self.tokens += sum(len(row.feed) for row in rows)
        return self._model.forward(cache, [row.slot for row in rows], [row.feed for row in rows], [row.scores for row in rows])

    def _choose(self, rows: list[TrieRow], logits: torch.Tensor) -> list[int]:
        """One of the allowed tokens, row by row: that with the highest logit, or one drawn. Meaningless for a row at its end."""
        allowed = [[0] if row.at_end else self._trie.allowed(row.node, row.c1, row.c2) for row in rows]
        return choose(logits, allowed, self._sampling, rows)

    def _finished(self, row: TrieRow, greedy: list[int], chosen: int) -> bool:
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

    def _follow(self, row: TrieRow, tokens: list[int]) -> None:
        """Feeds `tokens` next, together with all that is forced after them; after an end token there is nothing to predict."""
        row.forced, row.node = self._trie.forced(row.node, row.c1, row.c2)
        row.feed = tokens + (row.forced[:-1] if row.at_end else row.forced)

    def _answer(self, row: TrieRow) -> Answer:
        free = None if row.left is None else self._tokenizer.decode([*row.agreed, row.left])
        assert row.node.cluster is not None, "it is at its end"
        return Answer(row.c2, row.node.cluster, free)

    def _extend(self, prefix: Prefix, tokens: list[int]) -> Prefix:
        self.tokens += len(tokens)
        return self._model.extend(prefix, tokens)


def choose(logits: torch.Tensor, allowed: Sequence[list[int]], sampling: Sampling | None, rows: Sequence[Decoding]) -> list[int]:
    """One of each row's `allowed` tokens, by its `logits` [rows, vocabulary]: the likeliest, or with `sampling` one drawn."""
    width = max(map(len, allowed))
    choices = [tokens + tokens[:1] * (width - len(tokens)) for tokens in allowed]
    scores = logits.gather(1, torch.tensor(choices, device=logits.device))
    if sampling is None:
        best = scores.argmax(1).tolist()
    else:
        drawn = zip(rows, scores.double().cpu().numpy(), allowed, strict=True)
        best = [draw(score[: len(tokens)], sampling, row) for row, score, tokens in drawn]
    return [tokens[i] for tokens, i in zip(choices, best, strict=True)]


def draw(logits: np.ndarray, sampling: Sampling, row: Decoding) -> int:
    """A position in `logits` [allowed tokens, ascending], drawn from softmax(logits / temperature).

    The Gumbel-max trick: the largest of logits / temperature + noise, which is that of logits + temperature · noise. The noise is
    a function of the seed, the pair and how many forks it has passed, so that neither batches nor a restart change an answer.
    """
    noise = np.random.default_rng([sampling.seed, row.c1, row.c2, row.choices]).gumbel(size=len(logits))
    return int((logits + sampling.temperature * noise).argmax())
