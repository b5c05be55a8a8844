"""How good a recommender's lists are on days that it has not seen, beside popularity and the last item's neighbours."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from driftline.interests.metrics.ranking import Cases, RankingQuality, compare, find, gains
from driftline.interests.recommender.baselines import covisited, covisits, lately
from driftline.interests.recommender.encoder import Encoder
from driftline.interests.recommender.histories import Histories
from driftline.interests.recommender.index import Index
from driftline.interests.recommender.ranking import Score, best

Floats32 = NDArray[np.float32]

SEQUENCE, POPULAR, COVISITED, LATELY = "sequence", "most popular", "last co-visited", "popular lately"
AT = 10
MOST = 5000
"""Users at most whose cases are judged."""
WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 64.0)
"""Of the logarithm of popularity, beside the sequence's score; with the last of them popularity decides."""
HALF_LIVES = (36_500.0, 730.0, 180.0, 60.0, 20.0, 7.0)
"""Days after which a user counts half for what is popular; with the first of them everybody counts alike."""


@dataclass(frozen=True)
class Prior:
    """What is popular `lately`, as a term of the score: `weight` times its logarithm."""

    half_life: float
    """In days."""
    weight: float

    def of(self, recent: NDArray[np.float64]) -> Floats32:
        """The term of each item, by what is popular lately with this half-life."""
        return np.float32(self.weight) * _log(recent)


def judge(
    index: Index,
    encoder: Encoder,
    vectors: Floats32,
    popular: NDArray[np.int64],
    recent: NDArray[np.float64],
    before: Histories,
    held_out: Histories,
    restricted: bool = True,
) -> RankingQuality:
    """NDCG@10 and hit@10 on the held-out days, within the interest that was turned to, or among all items.

    Args:
        popular, recent: users of each item by the histories `before`: `popularity`, and what is popular `lately`.
    """
    cases = find(before, held_out, index, restricted, MOST)
    newest, visits = before.last(cases.user, 1)[:, 0], covisits(before, len(index.items))
    users = _encoded(encoder, vectors, before, cases)
    offered = np.isfinite(vectors[:, -1])
    arms: dict[str, Score] = {
        SEQUENCE: lambda n, rows: users[n] @ vectors[rows].T,
        POPULAR: lambda n, rows: _alike(n, _only(popular[rows], offered[rows])),
        COVISITED: lambda n, rows: _only(covisited(visits, popular, newest[n], rows), offered[rows]),
        LATELY: lambda n, rows: _alike(n, _only(recent[rows], offered[rows])),
    }
    return compare(cases, [(name, best(index.starts, cases.cluster, cases.seen, score, AT).rows) for name, score in arms.items()])


def choose_prior(
    index: Index, encoder: Encoder, vectors: Floats32, before: Histories, validation: Histories, start: datetime
) -> Prior:
    """The half-life under which what is popular lately ranks best on the validation days, which begin at `start`; then the weight
    beside the sequence's score under which both do. By NDCG; of equal ones the first."""
    cases = find(before, validation, index, most=MOST)
    if not len(cases.user):
        return Prior(HALF_LIVES[0], 0.0)
    users, offered = _encoded(encoder, vectors, before, cases), np.isfinite(vectors[:, -1])
    recent = {half_life: lately(before, len(index.items), start, half_life) for half_life in HALF_LIVES}

    def ndcg(score: Score) -> float:
        return float(gains(cases, best(index.starts, cases.cluster, cases.seen, score, AT).rows)[0].mean())

    def alone(half_life: float) -> float:
        return ndcg(lambda n, rows: _alike(n, _only(recent[half_life][rows], offered[rows])))

    def beside(weight: float) -> float:
        term = Prior(half_life, weight).of(recent[half_life])
        return ndcg(lambda n, rows: users[n] @ vectors[rows].T + term[rows])

    half_life = max(HALF_LIVES, key=alone)
    return Prior(half_life, max(WEIGHTS, key=beside))


def _log(popular: NDArray[np.float64]) -> Floats32:
    """Log-popularity of each item, by the users who took it; that of an item of nobody is finite."""
    log: Floats32 = np.log(popular + 0.5).astype(np.float32)
    return log


def _alike(requests: NDArray[np.int64], scores: Floats32) -> Floats32:
    """The same scores for each request."""
    return np.broadcast_to(scores, (len(requests), len(scores)))


def _encoded(encoder: Encoder, vectors: Floats32, before: Histories, cases: Cases) -> Floats32:
    users, of = np.unique(cases.user, return_inverse=True)
    return encoder.encode(before.last(users, encoder.length), vectors)[of]


def _only(scores: NDArray[np.int64] | NDArray[np.float64] | Floats32, offered: NDArray[np.bool_]) -> Floats32:
    only: Floats32 = np.where(offered, scores, -np.inf).astype(np.float32)
    return only
