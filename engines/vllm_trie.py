"""What keeps vLLM's answers inside the trie: a logits processor (the interface of vLLM's V1 model runner)."""

from dataclasses import dataclass, field
from typing import Any

import torch
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, process_dict_updates

from driftline.contracts import Sampling
from driftline.engines.trie import Node, Trie
from driftline.engines.trie_engine import choose


@dataclass
class VllmRow:
    """One pair on its way to an answer."""

    c1: int
    c2: int
    node: Node
    """Where in the trie the answer stands."""
    greedy: list[int] = field(default_factory=list)
    """What free decoding would write after each token of the answer before it."""
    depth: int = 0
    """Tokens that led to `node`."""
    choices: int = 0
    """Forks passed so far."""
    written: list[int] = field(default_factory=list)
    """vLLM's own list of the answer's tokens: it grows."""

    def allowed(self, trie: Trie) -> list[int]:
        """Moves the row along what was written, and returns the tokens that may come next."""
        for token in self.written[self.depth :]:
            self.choices += len(trie.allowed(self.node, self.c1, self.c2)) > 1
            self.node = self.node.children[token]
            self.depth += 1
        return trie.allowed(self.node, self.c1, self.c2)


class TrieRows:
    """The pairs that vLLM decodes, by the tokens of their prompts.

    Attributes:
        asked: by the tokens of their prompts, which is all that a logits processor is told.
    """

    def __init__(self, trie: Trie, sampling: Sampling | None) -> None:
        self.trie = trie
        self.sampling = sampling
        self.asked: dict[tuple[int, ...], VllmRow] = {}

    def processor(self) -> type[LogitsProcessor]:
        """The class that vLLM makes its processor of."""
        return type("Bound", (TrieProcessor,), {"answers": self})


class TrieProcessor(LogitsProcessor):
    """Notes what free decoding would take, and where that leaves the trie (or `sampling` draws), leaves one token to take.

    A row's place in the answer comes from what vLLM has written, never from how often it was scored: a prompt that is computed
    in parts, or again after it made room for others, is scored more often than it is decoded.
    """

    answers: TrieRows
    rows: dict[int, VllmRow]
    """By their place in vLLM's batch."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        self.rows = {}

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        process_dict_updates(self.rows, batch_update, self._row)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Changes logits [batch, vocabulary] in place."""
        trie, sampling = self.answers.trie, self.answers.sampling
        greedy = logits.argmax(-1).tolist()
        held = {}
        for place, row in self.rows.items():
            allowed = row.allowed(trie)
            row.greedy[row.depth :] = [greedy[place]]
            if sampling is not None or greedy[place] not in allowed:
                held[place] = allowed
        if held:
            places = list(held)
            taken = choose(logits[places], list(held.values()), sampling, [self.rows[place] for place in places])
            logits[places] = -torch.inf
            logits[places, taken] = 0
        return logits

    def _row(self, params: Any, prompt: list[int] | None, written: list[int]) -> VllmRow | None:
        row = self.answers.asked[tuple(prompt or ())]
        row.written = written
        return row
