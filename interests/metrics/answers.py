"""How much RAG changes what the LLM answers (paper §3.1)."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from interests.metrics.estimates import Estimate, mean
from interests.triples import Ints


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


def compare_answers(
    *,
    greedy_with: Ints,
    greedy_without: Ints,
    sampled_with: Ints,
    sampled_without: tuple[Ints, Ints],
    retrieved: pa.ListArray | pa.ChunkedArray,
    temperature: float,
) -> Answers:
    """How often two ways of asking the same LLM give the same answer.

        identical = Σ [a(c1, c2) = b(c1, c2)]  /  |C|·(|C|−1)
        repeats   = Σ [a(c1, c2) ∈ retrieved(c1, c2)]  /  pairs with a retrieved cluster       over those pairs

    Intervals are over ordered pairs.

    Args:
        greedy_with, greedy_without: int64 [|C|·(|C|−1)], by the pair's number: the answers with RAG and without.
        sampled_with, sampled_without: the same, sampled at `temperature`; without RAG twice, with different seeds.
        retrieved: list<int32>, by the pair's number: what its RAG prompt is told; empty where it is told nothing.

    Raises:
        ValueError: the arguments are not about the same pairs.
    """
    once, again = sampled_without
    n = len(greedy_with)
    if any(len(other) != n for other in (greedy_without, sampled_with, once, again, retrieved)):
        raise ValueError(f"all answers and the retrieved clusters must be of the same {n} ordered pairs")
    length = pc.fill_null(pc.list_value_length(retrieved), 0).to_numpy(zero_copy_only=False)
    told = length > 0
    pair, cluster = np.repeat(np.arange(n), length), pc.list_flatten(retrieved).to_numpy(zero_copy_only=False)

    def repeats(answers: Ints) -> Estimate:
        return mean(np.isin(np.flatnonzero(told), pair[cluster == answers[pair]]))

    return Answers(
        temperature=temperature,
        pairs=n,
        told=int(np.count_nonzero(told)),
        sampled_with_without=mean(sampled_with == once),
        sampled_repeated=mean(once == again),
        greedy_with_without=mean(greedy_with == greedy_without),
        repeats_retrieved=repeats(greedy_with),
        repeats_anyway=repeats(greedy_without),
        sampled_repeats_retrieved=repeats(sampled_with),
        missing=() if told.any() else ("not enough data: n = 0 pairs whose RAG prompt has a retrieved cluster of their own",),
    )
