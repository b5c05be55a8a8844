"""A mapping by itself: what makes it complete, its answers by pair, how many are exact, how many clusters (design §3.2, §3.7)."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftline.contracts import BadInput
from driftline.interests import triples
from driftline.interests.pairs import pair_count, pairs


def check(mapping: pa.Table, n_clusters: int) -> None:
    """A mapping answers every ordered pair once, with a cluster that is in neither place of the pair.

    Args:
        mapping: c1, c2, c_next: int32, in any order.

    Raises:
        BadInput: an answer is not novel or an id is unknown, or pairs are missing or answered twice; with examples.
    """
    answered = np.bincount(triples.read(mapping, n_clusters).pair(n_clusters), minlength=pair_count(n_clusters))
    c1, c2 = pairs(n_clusters)
    problems = []
    for what, wrong in (
        ("have no answer", np.flatnonzero(answered == 0)),
        ("have several answers", np.flatnonzero(answered > 1)),
    ):
        if len(wrong):
            problems.append(f"{len(wrong)} {what}, e.g. {', '.join(f'({c1[i]}, {c2[i]})' for i in wrong[:3])}")
    if problems:
        raise BadInput(f"of the {len(answered)} ordered pairs {'; '.join(problems)}: a mapping answers each once")


def exact_match_rate(mapping: pa.Table) -> float | None:
    """Share of pairs for which free greedy decoding writes exactly one description (`exact`; design §3.7, paper §2.2)."""
    return float(np.mean(mapping["exact"].to_numpy())) if mapping.num_rows else None


def coverage(mapping: pa.Table) -> int:
    """Distinct clusters that the mapping ever answers; low when it sends everything to a few popular ones."""
    return len(mapping["c_next"].unique())


def answers_of(mapping: pa.Table, n_clusters: int) -> NDArray[np.int64]:
    """The answer of every ordered pair, by the pair's number: int64 [|C|·(|C|−1)].

    Raises:
        BadInput: the mapping does not answer every pair.
    """
    answered = triples.read(mapping, n_clusters)
    answers = np.full(pair_count(n_clusters), -1)
    answers[answered.pair(n_clusters)] = answered.c_next
    if (answers < 0).any():
        raise BadInput(f"the mapping leaves {np.count_nonzero(answers < 0)} of {len(answers)} ordered pairs without an answer")
    return answers
