"""A recommender that was not trained: an item's own coordinate decides, and nothing else."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import Engine

from driftline.activities.artifacts import LocalArtifacts
from driftline.contracts import EncoderRef, ItemSequencesRef, PlaceItems, Recommender, RecommenderRef, RunIds, Source, Window
from driftline.db import recommenders
from driftline.interests.recommender import trained
from driftline.interests.recommender.encoder import Floats32, Weights
from tests.db import world

D = 4


def encoder() -> Weights:
    """One that says nothing of a history, so that an item's own coordinate decides."""
    norm, weights = np.zeros((2, D), np.float32), {"positions": np.zeros((8, D), np.float32), "heads": np.array(1)}
    shapes = {"mixed": (D, 3 * D), "out": (D, D), "up": (D, 4 * D), "down": (4 * D, D)}
    weights |= {"0.query_norm": norm, "0.feed_norm": norm, "norm": norm}
    weights |= {f"0.{name}": np.zeros(shape, np.float32) for name, shape in shapes.items()}
    return weights | {f"0.{name}_bias": np.zeros(shape[1], np.float32) for name, shape in shapes.items()}


def add_recommender(
    engine: Engine,
    home: Path,
    cluster_set: int,
    vectors: Floats32,
    items: list[str],
    starts: list[int],
    day: int = 0,
    begin: datetime = world.START,
    weights: Weights | None = None,
) -> RecommenderRef:
    """A version whose items are ordered by cluster; it has seen 57 days and `day`. `vectors`: [items, D + 1]."""
    artifacts = LocalArtifacts(home / "artifacts")
    with artifacts.folder() as folder:
        trained.write(folder, weights or encoder(), vectors, items, np.array(starts), np.zeros(len(items), np.int64))
        uri, digest = artifacts.store("recommenders", folder)
    about = {"recipe": {}, "items": len(items), "new_items": 0, "popularity": 0.0, "metrics": {}, "measured": {}}
    with engine.begin() as conn:
        return recommenders.add(conn, request(cluster_set, len(items), day, begin), uri=uri, digest=digest, **about)  # type: ignore[arg-type]


def request(cluster_set: int, items: int = 3, day: int = 0, begin: datetime = world.START) -> PlaceItems:
    """Of a recommender that has seen 57 days and `day`."""
    train = Window(begin, begin + timedelta(days=50 + day))
    days = Window(train.end, train.end + timedelta(days=7))
    return PlaceItems(
        source=Source(),
        cluster_set=cluster_set,
        assignment=None,
        sequences=ItemSequencesRef("file:///s", "s", 1, 1, items),
        encoder=EncoderRef("file:///e", "e"),
        recommender=Recommender(),
        train=train,
        validation=days,
        test=days,
        nominal=days.end,
        run=RunIds("w", "r"),
    )
