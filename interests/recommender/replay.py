"""The lists that each way to choose items would have shown: the policy, and what it is compared with."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftline.interests import triples
from driftline.interests.back_off import next_interests, rank, sequence
from driftline.interests.pairs import Ints
from driftline.interests.recommender.index import Index
from driftline.interests.recommender.ranking import best
from driftline.interests.recommender.recommend import recommend
from driftline.interests.recommender.rows import Rows
from driftline.interests.recommender.trained import Trained

POLICY = "policy"
POPULAR = "the same interest, its most popular items"
UNRESTRICTED = "the recommender without an interest"
RANDOM = "a novel interest at random"


def lists(
    model: Trained, index: Index, answers: Ints, counts: pa.Table, traffic: Ints, had: Sequence[Rows], dedup: str, top: int
) -> dict[str, Rows]:
    """Rows of `index` for each user, [users, top], by arm.

    Args:
        answers: the table's, by number of the pair; counts: of the window that it was made from (c1, c2, c_next, n).
        traffic: of each interest.
        had: rows of `index` that each user has had, oldest first.
    """
    n_clusters, clusters = len(traffic), index.clusters
    rows = triples.read(counts, n_clusters)
    followed = np.zeros((n_clusters, n_clusters), np.int64)
    np.add.at(followed, (rows.c2, rows.c_next), rows.n)
    ranking = rank(followed, traffic)
    shown = [sequence(clusters[items].tolist(), dedup) for items in had]
    interest = np.array([next_interests(answers, ranking, seen)[0][0] for seen in shown], np.int64)
    rng = np.random.default_rng(0)
    drawn = np.array([_novel(rng, n_clusters, seen) for seen in shown], np.int64)

    of_model = model.rows(index.items.to_pylist())
    known = [of[of >= 0] for of in (of_model[items] for items in had)]
    users, nothing = np.arange(len(had)), [np.empty(0, np.int32)] * len(had)
    popular = model.popular.astype(np.float32) + np.where(np.isneginf(model.vectors[:, -1]), -np.inf, 0)
    asked = {
        POLICY: recommend(model, known, users, interest, nothing, top).rows,
        POPULAR: best(model.starts, interest, known, lambda n, at: np.tile(popular[at], (len(n), 1)), top).rows,
        UNRESTRICTED: recommend(model, known, users, np.full(len(had), -1, np.int64), nothing, top).rows,
        RANDOM: recommend(model, known, users, drawn, nothing, top).rows,
    }
    back = np.full(len(model.vectors) + 1, -1, np.int32)  # the last one is of no item
    back[of_model[of_model >= 0]] = np.flatnonzero(of_model >= 0)
    return {name: back[found] for name, found in asked.items()}


def _novel(rng: np.random.Generator, n_clusters: int, seen: Sequence[int]) -> int:
    """An interest that the user has not shown, else any."""
    left: NDArray[np.int64] = np.setdiff1d(np.arange(n_clusters), seen)
    return int(rng.choice(left if len(left) else n_clusters))
