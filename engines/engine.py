"""What bulk inference needs from an engine. vLLM, or anything else, stands in by having this method and this count."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Block:
    """Prompts of one c1: `first` is theirs in common, `rest[i]` belongs to the pair (c1, c2[i])."""

    c1: int
    first: str
    c2: tuple[int, ...]
    rest: tuple[str, ...]


@dataclass(frozen=True)
class PairScores:
    """Log-probabilities of one pair's novel clusters (`engines.scores`), likeliest first."""

    answer: tuple[int, ...]
    """Clusters."""
    log_p: tuple[float, ...]
    """Log-probabilities of their descriptions."""
    log_rest: float
    """Of all that get none, at most; −inf where every novel cluster has one."""


@dataclass(frozen=True)
class Answer:
    """The novel cluster for one pair."""

    c2: int
    c_next: int
    free: str | None
    """None: decoding freely writes exactly this description (design §3.7). Else the text it writes, up to and including the
    first token that leaves the constrained answer: evidence for the engineer. Free decoding is greedy even where the answer is
    drawn at random (`Sampling`), so the share of exact answers says nothing about the model then."""
    scores: PairScores | None = None
    """None: none were asked for."""

    @property
    def exact(self) -> bool:
        return self.free is None


class Engine(Protocol):
    """Answers blocks; made once per run with the model, the segment all prompts share, the descriptions and how to decode."""

    tokens: int
    """Tokens fed to the model so far. What prompts share counts as often as it is computed; padding never does."""

    def answer(self, block: Block) -> Iterator[Answer]:
        """One answer per pair, in any order, as they come: whoever iterates sees progress."""
        ...
