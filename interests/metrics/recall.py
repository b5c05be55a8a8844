"""How good a mapping is: exact-match rate, test-set recall with its baselines, coverage (design §3.7, §3.8; paper §2.2).

Shares are in [0, 1]; what cannot be measured is None beside its n, never NaN.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import betaincinv

from driftline.contracts import BadInput, Evaluation
from driftline.interests import triples


@dataclass(frozen=True)
class Proportion:
    """`hits` of `n`."""

    hits: int
    n: int

    @property
    def value(self) -> float | None:
        return self.hits / self.n if self.n else None

    def low(self, confidence: float) -> float | None:
        """One-sided lower Clopper–Pearson bound: the `1 − confidence` quantile of Beta(hits, n − hits + 1).

        It takes the n occurrences as independent; those of one user are not quite, so the true confidence is a little lower.
        """
        if self.n == 0:
            return None
        return float(betaincinv(self.hits, self.n - self.hits + 1, 1 - confidence)) if self.hits else 0.0


def evaluate(mapping: pa.Table, counts: pa.Table, test_counts: pa.Table, n_clusters: int, confidence: float) -> Evaluation:
    """Everything the gates judge a candidate by.

    Args:
        mapping: c1, c2, c_next: int32, exact: bool (not there: no LLM was asked); complete.
        counts: c1, c2, c_next: int32, n: int64; the window that the candidate was trained on or retrieved from. The baselines
            know this window, too.
        test_counts: the same of the test window.

    Raises:
        BadInput: fewer than 3 clusters, an empty or incomplete mapping.
    """
    found = recall(mapping, test_counts, n_clusters)
    known = counts.num_rows > 0
    return Evaluation(
        exact_match_rate=(exact_match_rate(mapping).value or 0.0) if "exact" in mapping.column_names else None,
        recall=found.value,
        recall_low=found.low(confidence),
        recall_chance=chance(n_clusters),
        recall_popular=recall(most_popular(counts, n_clusters), test_counts, n_clusters).value if known else None,
        recall_frequent=recall(most_frequent(counts, n_clusters), test_counts, n_clusters).value if known else None,
        test_triples=found.n,
        coverage=coverage(mapping),
    )


def exact_match_rate(mapping: pa.Table) -> Proportion:
    """Share of pairs for which free greedy decoding writes exactly one description (`exact`; design §3.7, paper §2.2)."""
    return Proportion(int(np.count_nonzero(mapping["exact"].to_numpy())), mapping.num_rows)


def recall(mapping: pa.Table, test_counts: pa.Table, n_clusters: int) -> Proportion:
    """Test-set recall (design §3.8, paper §2.2): the share of what users really did next that the mapping predicts.

        Σ n(c1, c2, c) · [mapping(c1, c2) = c]  /  Σ n(c1, c2, c)      over the triples (c1, c2, c) of the test window

    Raises:
        BadInput: the mapping does not answer every pair.
    """
    answers = answers_of(mapping, n_clusters)
    test = triples.read(test_counts, n_clusters)
    hit = answers[test.pair(n_clusters)] == test.c_next
    return Proportion(int(test.n[hit].sum()), int(test.n.sum()))


def chance(n_clusters: int) -> float:
    """Recall of a novel cluster drawn at random: 1 / (|C| − 2).

    Raises:
        BadInput: fewer than 3 clusters leave no novel one.
    """
    if n_clusters < 3:
        raise BadInput(f"{n_clusters} clusters leave no novel one for any pair: use 3 or more")
    return 1 / (n_clusters - 2)


def most_popular(counts: pa.Table, n_clusters: int) -> pa.Table:
    """Baseline mapping: every pair's answer is the most frequent successor overall that is neither c1 nor c2.

    Returns:
        c1, c2, c_next: int32, complete. Equally frequent successors are ordered by a hash of the id.
    """
    c1, c2 = triples.pairs(n_clusters)
    known = triples.read(counts, n_clusters)
    total = np.zeros(n_clusters, dtype=np.int64)
    np.add.at(total, known.c_next, known.n)
    ids = np.arange(n_clusters)
    best = np.lexsort((triples.Triples(ids, ids, ids, total).tie_break(), -total))[:3]
    answer = np.full(len(c1), best[0])
    for candidate in best[1:]:
        taken = (answer == c1) | (answer == c2)
        answer[taken] = candidate
    return _mapping(c1, c2, answer)


def most_frequent(counts: pa.Table, n_clusters: int) -> pa.Table:
    """Baseline mapping: every pair's own most frequent successor; for a pair never seen, the most popular one.

    Returns:
        c1, c2, c_next: int32, complete. Equally frequent successors are ordered by a hash of the triple.
    """
    popular = most_popular(counts, n_clusters)
    known = triples.read(counts, n_clusters)
    pair = known.pair(n_clusters)
    order = np.lexsort((known.tie_break(), -known.n, pair))
    seen, first = np.unique(pair[order], return_index=True)
    answer = popular["c_next"].to_numpy().copy()
    answer[seen] = known.c_next[order][first]
    return _mapping(*triples.pairs(n_clusters), answer)


def coverage(mapping: pa.Table) -> int:
    """Distinct clusters that the mapping ever answers; low when it sends everything to a few popular ones."""
    return len(mapping["c_next"].unique())


def answers_of(mapping: pa.Table, n_clusters: int) -> NDArray[np.int64]:
    """The answer of every ordered pair, by the pair's number: int64 [|C|·(|C|−1)].

    Raises:
        BadInput: the mapping does not answer every pair.
    """
    answered = triples.read(mapping, n_clusters)
    answers = np.full(n_clusters * (n_clusters - 1), -1)
    answers[answered.pair(n_clusters)] = answered.c_next
    if (answers < 0).any():
        raise BadInput(f"the mapping leaves {np.count_nonzero(answers < 0)} of {len(answers)} ordered pairs without an answer")
    return answers


def _mapping(c1: triples.Ints, c2: triples.Ints, c_next: NDArray[np.integer]) -> pa.Table:
    columns = {"c1": c1, "c2": c2, "c_next": c_next}
    return pa.table({name: column.astype(np.int32) for name, column in columns.items()})
