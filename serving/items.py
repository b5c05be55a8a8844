"""Items of the interests that are answered: a forward pass in NumPy over the items that the request names."""

from collections.abc import Sequence

import numpy as np

from driftline.interests.recommender.recommend import recommend
from driftline.interests.recommender.trained import Trained
from driftline.serving.messages import Ask, Item, NextInterests


def add_items(model: Trained, asks: Sequence[Ask], answers: Sequence[NextInterests]) -> None:
    """Adds the best items of each interest to the answers of requests with `recommend`."""
    wanted = [number for number, ask in enumerate(asks) if ask.recommend]
    rows = model.rows([str(item) for number in wanted for item in (*(asks[number].items or ()), *(asks[number].exclude or ()))])
    histories, hidden, at = [], [], 0
    for number in wanted:
        taken, excluded = len(asks[number].items or ()), len(asks[number].exclude or ())
        own = rows[at : at + taken]
        histories.append(own[own >= 0])
        hidden.append(rows[at + taken : at + taken + excluded])
        at += taken + excluded
    places = [(user, one) for user, number in enumerate(wanted) for one in answers[number].next]
    users = np.array([user for user, _ in places], np.int64)
    clusters = np.array([one.interest for _, one in places], np.int64)
    top = max(asks[number].recommend for number in wanted)
    found = recommend(model, histories, users, clusters, [hidden[user] for user in users], top)
    for (user, one), line, scores in zip(places, found.rows.tolist(), found.scores.tolist(), strict=True):
        best = [Item(model.item(row), round(score, 4)) for row, score in zip(line, scores, strict=True) if row >= 0]
        one.items = best[: asks[wanted[user]].recommend]
