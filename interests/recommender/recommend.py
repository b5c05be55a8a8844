"""Items for users, each restricted to an interest: what serving and the batch both do."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from driftline.interests.recommender.ranking import Ranked, best
from driftline.interests.recommender.rows import NOTHING, Rows
from driftline.interests.recommender.trained import Trained


def recommend(
    model: Trained,
    histories: Sequence[Rows],
    user: NDArray[np.int64],
    cluster: NDArray[np.int64],
    hidden: Sequence[Rows],
    top: int,
) -> Ranked:
    """Ranks up to `top` items of an interest for each request, without those of the user's history and those that are hidden.

    Args:
        histories: of each user, oldest first; rows of the model. Whoever has none gets what is popular.
        user, cluster: of each request; the cluster is −1 for all items.
        hidden: of each request, besides its user's history.
    """
    length = max(1, min(model.encoder.length, max(map(len, histories), default=1)))
    newest = np.full((len(histories), length), NOTHING, np.int32)
    for line, history in zip(newest, histories, strict=True):
        if len(history):
            line[-len(history) :] = history[-length:]
    users = model.encoder.encode(newest, model.vectors)
    gone = [np.concatenate([histories[one], more]) for one, more in zip(user, hidden, strict=True)]
    return best(model.starts, cluster, gone, lambda n, rows: users[user[n]] @ model.vectors[rows].T, top)
