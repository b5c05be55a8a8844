"""How much RAG changes what the LLM answers (paper §3.1)."""

from dataclasses import dataclass

from interests.metrics.estimates import Estimate


@dataclass(frozen=True)
class Answers:
    """Metric 4. Intervals are over ordered pairs."""

    temperature: float
    pairs: int
    told: int
    """Pairs whose RAG prompt has a retrieved line."""
    sampled_with_without: Estimate
    """Identical with RAG and without, both sampled at `temperature` (the paper: 7.8 %)."""
    sampled_repeated: Estimate
    """Identical in two samplings without RAG at `temperature` (the paper: 37.5 %)."""
    greedy_with_without: Estimate
    """Identical with RAG and without, decoded greedily."""
    repeats_retrieved: Estimate
    """Of the pairs with a retrieved line: the greedy RAG answer is one of the retrieved clusters."""
    repeats_anyway: Estimate
    """The same pairs: the greedy answer without RAG happens to be one of them."""
    sampled_repeats_retrieved: Estimate
    missing: tuple[str, ...] = ()
