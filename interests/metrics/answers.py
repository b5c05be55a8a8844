"""How much RAG changes what the LLM answers (paper §3.1)."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from driftline.contracts import BadInput
from driftline.interests.metrics.estimates import Estimate, mean
from driftline.interests.pairs import Ints


@dataclass(frozen=True)
class AnswersCompared:
    """Metric 4, over the pairs whose RAG prompt has a retrieved line. Intervals are over ordered pairs."""

    temperature: float
    pairs: int
    with_line: int
    """Pairs whose RAG prompt has a retrieved line. The others are asked the same with RAG and without, and are in no share."""
    sampled_with_without: Estimate
    """Identical with RAG and without, both sampled at `temperature` (the paper: 7.8 %)."""
    sampled_repeated: Estimate
    """Identical in two samplings without RAG at `temperature` (the paper: 37.5 %)."""
    greedy_with_without: Estimate
    """Identical with RAG and without, decoded greedily."""
    repeats_retrieved: Estimate
    """The greedy RAG answer is one of the retrieved clusters. Not measured where all prompts have the same list."""
    repeats_anyway: Estimate
    """The greedy answer without RAG happens to be one of them."""
    sampled_repeats_retrieved: Estimate
    missing: tuple[str, ...] = ()


def compare_answers(
    *,
    greedy_with: Ints,
    greedy_without: Ints,
    sampled_with: Ints,
    sampled_without: tuple[Ints, Ints],
    retrieved: pa.ListArray | pa.ChunkedArray | None,
    temperature: float,
) -> AnswersCompared:
    """The share of answers that are identical with RAG and without, and that repeat a retrieved cluster.

        identical = Σ [a(c1, c2) = b(c1, c2)]  /  n
        repeats   = Σ [a(c1, c2) ∈ retrieved(c1, c2)]  /  n

    over the n ordered pairs whose RAG prompt has a retrieved line. A pair without one has the same prompt on both sides; on a
    sparse log such pairs would hide what RAG changes. Intervals are over ordered pairs.

    Args:
        greedy_with, greedy_without: int64 [|C|·(|C|−1)], by the pair's number: the answers with RAG and without.
        sampled_with, sampled_without: the same, sampled at `temperature`; without RAG twice, with different seeds.
        retrieved: list<int32>, by the pair's number: its retrieved line; empty where it has none. None: every prompt has the
            same list (granularity `global`); then all pairs count, and whether answers repeat it is not measured.

    Raises:
        BadInput: the arguments are not about the same pairs.
    """
    once, again = sampled_without
    n = len(greedy_with)
    others = (greedy_without, sampled_with, once, again, greedy_with if retrieved is None else retrieved)
    if any(len(other) != n for other in others):
        raise BadInput(f"all answers and the retrieved clusters must be of the same {n} ordered pairs")
    pair, cluster = _pairs_of(retrieved)
    own = np.unique(pair)
    asked = np.arange(n) if retrieved is None else own
    missing = []
    if not len(asked):
        missing.append("not enough data: n = 0 pairs whose RAG prompt has a retrieved line")
    elif retrieved is None:
        missing.append("repeats: not enough data: n = 0 pairs with a retrieved line of their own; all have the same list")

    def repeats(answers: Ints) -> Estimate:
        return mean(np.isin(own, pair[cluster == answers[pair]]))

    return AnswersCompared(
        temperature=temperature,
        pairs=n,
        with_line=len(asked),
        sampled_with_without=mean((sampled_with == once)[asked]),
        sampled_repeated=mean((once == again)[asked]),
        greedy_with_without=mean((greedy_with == greedy_without)[asked]),
        repeats_retrieved=repeats(greedy_with),
        repeats_anyway=repeats(greedy_without),
        sampled_repeats_retrieved=repeats(sampled_with),
        missing=tuple(missing),
    )


def _pairs_of(retrieved: pa.ListArray | pa.ChunkedArray | None) -> tuple[Ints, Ints]:
    """Each retrieved cluster of each pair: the pair's number, and the cluster."""
    if retrieved is None:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    length = pc.fill_null(pc.list_value_length(retrieved), 0).to_numpy(zero_copy_only=False)
    return np.repeat(np.arange(len(retrieved)), length), pc.list_flatten(retrieved).to_numpy(zero_copy_only=False)
