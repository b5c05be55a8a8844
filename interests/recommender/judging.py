"""How good a recommender's lists are on days that it has not seen, beside popularity and the last item's neighbours."""

import numpy as np
from numpy.typing import NDArray

from driftline.interests.metrics.ranking import Cases, Ranking, compare, find, gains
from driftline.interests.recommender.baselines import covisited, covisits
from driftline.interests.recommender.encoder import Encoder
from driftline.interests.recommender.histories import Histories
from driftline.interests.recommender.index import Index
from driftline.interests.recommender.ranking import best

Floats = NDArray[np.float32]

SEQUENCE, POPULAR, COVISITED = "sequence", "most popular", "last co-visited"
AT = 10
MOST = 5000
"""Users at most who are asked."""
WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 64.0)
"""Of the logarithm of popularity, beside the sequence's score; with the last of them popularity decides."""


def judge(
    index: Index,
    encoder: Encoder,
    vectors: Floats,
    popular: NDArray[np.int64],
    before: Histories,
    held_out: Histories,
    restricted: bool = True,
) -> Ranking:
    """NDCG@10 and hit@10 on the held-out days, within the interest that was turned to, or among all items."""
    cases = find(before, held_out, index, restricted, MOST)
    newest, visits = before.last(cases.user, 1)[:, 0], covisits(before, len(index.items))
    users = _encoded(encoder, vectors, before, cases)
    offered = np.isfinite(vectors[:, -1])
    arms = {
        SEQUENCE: lambda n, rows: users[n] @ vectors[rows].T,
        POPULAR: lambda n, rows: np.broadcast_to(_only(popular[rows], offered[rows]), (len(n), rows.stop - rows.start)),
        COVISITED: lambda n, rows: _only(covisited(visits, popular, newest[n], rows), offered[rows]),
    }
    return compare(cases, [(name, best(index.starts, cases.cluster, cases.seen, score, AT).rows) for name, score in arms.items()])


def weigh_popularity(
    index: Index, encoder: Encoder, vectors: Floats, popular: NDArray[np.int64], before: Histories, validation: Histories
) -> float:
    """The weight of `WEIGHTS` under which the lists of the validation days have the best NDCG; the smaller of equal ones."""
    cases = find(before, validation, index, most=MOST)
    if not len(cases.user):
        return 0.0
    users, log = _encoded(encoder, vectors, before, cases), log_popularity(popular)

    def ndcg(weight: float) -> float:
        weighed = vectors.copy()
        weighed[:, -1] += np.float32(weight) * log
        ranked = best(index.starts, cases.cluster, cases.seen, lambda n, rows: users[n] @ weighed[rows].T, AT)
        return float(gains(cases, ranked.rows)[0].mean())

    return WEIGHTS[int(np.argmax([ndcg(weight) for weight in WEIGHTS]))]


def log_popularity(popular: NDArray[np.int64]) -> Floats:
    """Of users who took each item; that of an item of nobody is finite."""
    log: Floats = np.log(popular + 0.5).astype(np.float32)
    return log


def _encoded(encoder: Encoder, vectors: Floats, before: Histories, cases: Cases) -> Floats:
    users, of = np.unique(cases.user, return_inverse=True)
    return encoder.encode(before.last(users, encoder.length), vectors)[of]


def _only(scores: NDArray[np.int64] | Floats, offered: NDArray[np.bool_]) -> Floats:
    only: Floats = np.where(offered, scores, -np.inf).astype(np.float32)
    return only
