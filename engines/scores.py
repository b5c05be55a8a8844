"""Log-probabilities of the descriptions under a prompt: of all of them, or of the likeliest by beam search along the trie.

    log p(c) = Σ log softmax(logits)[token]       over the tokens of c's description up to the one that decides

The softmax is over the whole vocabulary, without a constraint. A token decides when no other description begins with those up to
it. What follows says how a description goes on, and not which one it is; a fine-tuned model has no doubt about it. The events are
disjoint, so these are probabilities of clusters that add up to at most 1.

The prompt is computed already. A pair's descriptions branch from its last token as one prefix tree, each node of which goes
through the model once, and only where another description could still follow. Of a pair's prefixes and decided descriptions the
`k` likeliest stay (the beams); the mass of the others is an upper bound of what is left for all clusters without a score.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from driftline.engines.engine import PairScores
from driftline.engines.shared_prefix import Fed, RowCache, SharedPrefixModel
from driftline.engines.trie import Node, Trie

TOKENS = 512
"""Fed at a time, about: their logits over the whole vocabulary are in memory."""
ROWS = 4
"""Of logits that a CPU looks at together: what it works with stays in its cache."""
NEGLIGIBLE = 9.0
"""A prefix this much less likely than the pair's likeliest (in nats; e⁻⁹ = 1/8,103) is not followed, unless all are asked for.
Round, and safe: what is dropped is in `log_rest`."""


@dataclass(frozen=True)
class Prompt:
    """A pair whose prompt is computed. `slot`: its row; `last`: the prompt's last token, whose place in that row is `own` − 1."""

    c1: int
    c2: int
    slot: int
    last: int
    own: int


@dataclass(frozen=True)
class _Beam:
    """Descriptions that begin alike.

    Attributes:
        log_p: of their tokens up to the first of `tokens`.
        tokens: the last that is scored, and those that follow it without a choice.
        node: where in the trie they lead.
        seen: bool [places]: what the first of them sees, itself not included.
        position: of the first of them.
    """

    log_p: float
    tokens: tuple[int, ...]
    node: Node
    seen: np.ndarray
    position: int

    @property
    def decided(self) -> bool:
        """Scored up to the token that decides."""
        return self.node.high - self.node.low == 1 and len(self.tokens) == 1


@dataclass
class _Pair:
    """One pair's search. `places`: how many its row has taken; `lost`: the mass of the beams that were given up."""

    prompt: Prompt
    beams: list[_Beam]
    places: int
    found: list[_Beam] = field(default_factory=list)
    lost: float = 0.0


class Scorer:
    """Scores after the prompts that an engine has computed.

    Args:
        k: answers to keep for each pair; all where there are no more than 2·k.
    """

    def __init__(self, model: SharedPrefixModel, trie: Trie, k: int) -> None:
        self._model, self._trie = model, trie
        answers = trie.root.high - 2
        self._all = answers <= 2 * k
        self._k = answers if self._all else k
        self.tokens = 0

    def score(self, cache: RowCache, prompts: Sequence[Prompt]) -> list[PairScores]:
        """The scores of each prompt. `cache`: rows that begin with what each prompt has of its own."""
        step = max(1, TOKENS // min(self._k, self._trie.shared + 1))
        batches = (prompts[begin : begin + step] for begin in range(0, len(prompts), step))
        return [scores for batch in batches for scores in self._search(cache, batch)]

    def _search(self, cache: RowCache, prompts: Sequence[Prompt]) -> list[PairScores]:
        own = max(prompt.own for prompt in prompts)
        room = own + min(self._trie.shared, self._k * self._trie.deepest)
        rows = cache.fork([prompt.slot for prompt in prompts], own, room)
        pairs = []
        for prompt in prompts:
            before = np.arange(room) < prompt.own - 1
            pairs.append(_Pair(prompt, [_Beam(0.0, (prompt.last,), self._trie.root, before, prompt.own - 1)], own))
        while any(pair.beams for pair in pairs):
            self._step(rows, pairs)
        return [_scores(pair, self._trie) for pair in pairs]

    def _step(self, rows: RowCache, pairs: Sequence[_Pair]) -> None:
        """Feeds every beam up to its next fork or decision, and keeps the likeliest of what can follow."""
        fed: list[Fed] = []
        seen: list[list[np.ndarray]] = [[] for _ in pairs]
        asked: list[list[int]] = []
        for row, pair in enumerate(pairs):
            for beam in pair.beams:
                asked += self._feed(row, pair, beam, fed, seen[row])
        self.tokens += len(fed)
        masks = np.ones((len(pairs), max(map(len, seen)), max(pair.places for pair in pairs)), bool)
        for row, of in enumerate(seen):
            if of:
                masks[row, : len(of)] = np.stack(of)[:, : masks.shape[2]]
        logits = self._model.branch(rows, fed, torch.from_numpy(masks)).float()
        at = torch.tensor([i for i, tokens in enumerate(asked) for _ in tokens], device=logits.device)
        tokens = torch.tensor([token for tokens in asked for token in tokens], device=logits.device)
        log_p = iter((logits[at, tokens] - _norms(logits)[at]).tolist())
        for pair, of in zip(pairs, seen, strict=True):
            places = iter(of)
            pair.beams = [new for beam in pair.beams for new in self._grow(pair.prompt, beam, log_p, places)]
            self._keep_likeliest(pair)

    def _feed(self, row: int, pair: _Pair, beam: _Beam, fed: list[Fed], seen: list[np.ndarray]) -> list[list[int]]:
        """Adds the beam's tokens to those of this pass. Returns the tokens whose log p is requested after each of them."""
        at_root, decides = beam.node is self._trie.root, beam.node.high - beam.node.low == 1
        places = beam.seen
        for turn, token in enumerate(beam.tokens[:-1] if decides else beam.tokens):
            place = pair.prompt.own - 1 if at_root else pair.places
            pair.places += not at_root
            places = places.copy()
            places[place] = True
            fed.append(Fed(row, token, place, beam.position + turn))
            seen.append(places)
        after = [] if decides else [self._trie.allowed(beam.node, pair.prompt.c1, pair.prompt.c2)]
        return [*([token] for token in beam.tokens[1:]), *after]

    def _grow(self, prompt: Prompt, beam: _Beam, log_p: Iterator[float], places: Iterator[np.ndarray]) -> Iterator[_Beam]:
        """The beam once its tokens are scored: itself if they decide, else the ones that follow it."""
        scored = beam.log_p + sum(next(log_p) for _ in beam.tokens[1:])
        seen = beam.seen
        if beam.node.high - beam.node.low == 1:
            for _ in beam.tokens[1:]:
                seen = next(places)
            yield _Beam(scored, beam.tokens[-1:], beam.node, seen, beam.position)
            return
        for _ in beam.tokens:
            seen = next(places)
        for token in self._trie.allowed(beam.node, prompt.c1, prompt.c2):
            tokens, node = [token], beam.node.children[token]
            while node.high - node.low > 1 and len(allowed := self._trie.allowed(node, prompt.c1, prompt.c2)) == 1:
                tokens.append(allowed[0])
                node = node.children[allowed[0]]
            yield _Beam(scored + next(log_p), tuple(tokens), node, seen, beam.position + len(beam.tokens))

    def _keep_likeliest(self, pair: _Pair) -> None:
        every = sorted([*pair.found, *pair.beams], key=lambda beam: -beam.log_p)
        if not self._all:
            kept = [beam for beam in every[: self._k] if beam.log_p >= every[0].log_p - NEGLIGIBLE]
            pair.lost += float(np.exp([beam.log_p for beam in every[len(kept) :]]).sum())
            every = kept
        pair.found = [beam for beam in every if beam.decided]
        pair.beams = [beam for beam in every if not beam.decided]


def _norms(logits: torch.Tensor) -> torch.Tensor:
    """log Σ exp of each row: bit by bit what `logsumexp` of all rows is, in a quarter of the CPU time."""
    step = ROWS if logits.device.type == "cpu" else len(logits)
    return torch.cat([rows.logsumexp(-1) for rows in logits.split(step)])


def _scores(pair: _Pair, trie: Trie) -> PairScores:
    log_rest = float(np.log(pair.lost)) if pair.lost > 0 else -np.inf
    return PairScores(tuple(trie.order[beam.node.low] for beam in pair.found), tuple(beam.log_p for beam in pair.found), log_rest)
