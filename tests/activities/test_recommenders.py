"""The recommender's steps one after another: real sequences, a real child, and a version in Postgres."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from temporalio.testing import ActivityEnvironment

from driftline.activities import recommenders
from driftline.activities.clusters import ClusterActivities
from driftline.activities.recommenders import RecommenderActivities
from driftline.contracts import (
    EmbeddingsRef,
    EncoderRef,
    PlaceItems,
    ReadItemSequences,
    Recommender,
    RecommenderRef,
    TrainEncoder,
    Window,
)
from driftline.db import recommenders as db_recommenders
from driftline.interests.recommender import trained
from driftline.interests.recommender.judging import HALF_LIVES
from driftline.interests.windows import split
from driftline.settings import Settings
from tests.activities.chain import RUN, Chain, run
from tests.end_to_end.shop import START

KNOBS = Recommender(days=90, validation_days=10, test_days=20, dimensions=8, length=10, negatives=16, epochs=2)
WINDOWS = split(START + timedelta(days=110), KNOBS.windows)


def test_from_the_log_to_a_version_that_recommends(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained once for whoever asks; a new item gets its place by its text, a withdrawn one is no longer recommended."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    chain = Chain(postgres_url, tmp_path)
    steps, clusters = RecommenderActivities(chain.resources), ClusterActivities(chain.resources)
    assert WINDOWS.validation is not None
    whole = Window(WINDOWS.train.start, WINDOWS.test.end)
    sequences = run(steps.read_item_sequences, ReadItemSequences(chain.source, chain.cluster_set, None, whole))
    assert (sequences.items, sequences.users) == (32, 300)

    def trained_encoder() -> EncoderRef:
        asked = TrainEncoder(sequences, KNOBS, WINDOWS.validation)  # type: ignore[arg-type]
        made: EncoderRef = asyncio.run(ActivityEnvironment().run(steps.train_encoder, asked))
        return made

    encoder = trained_encoder()
    catalogue = run(clusters.read_catalogue, chain.source)
    with chain.resources.artifacts.folder() as folder:
        np.save(folder / "embeddings.npy", np.random.default_rng(0).normal(size=(catalogue.texts, 6)).astype(np.float32))
        embeddings = EmbeddingsRef(*chain.resources.artifacts.store("embeddings", folder))
    asked = PlaceItems(
        source=chain.source,
        cluster_set=chain.cluster_set,
        assignment=None,
        sequences=sequences,
        encoder=encoder,
        recommender=KNOBS,
        train=WINDOWS.train,
        validation=WINDOWS.validation,
        test=WINDOWS.test,
        nominal=WINDOWS.test.end,
        run=RUN,
        catalogue=catalogue,
        embeddings=embeddings,
    )
    made: RecommenderRef = run(steps.place_items, asked)
    assert run(steps.place_items, replace(asked, run=replace(RUN, run_id="another"))) == made
    assert (made.items, made.new_items) == (32, 0)
    with chain.engine.connect() as connection:
        version = db_recommenders.get(connection, made.version)
        assert db_recommenders.newest(connection, chain.cluster_set, WINDOWS.test.start) == version
        assert db_recommenders.newest(connection, chain.cluster_set, WINDOWS.train.start) is None
    assert version.window_end == WINDOWS.test.start
    assert version.metrics["cpu_seconds"] > 0
    assert [arm.name for arm in version.measured["within the interest"].arms] == [
        "sequence",
        "most popular",
        "last co-visited",
        "popular lately",
    ]
    assert version.metrics["half_life_days"] in HALF_LIVES

    children: list[str] = []

    async def no_child(module: str, *_: Any) -> None:
        children.append(module)

    monkeypatch.setattr(recommenders, "run_child", no_child)
    assert trained_encoder() == encoder
    assert children == []

    # milk-0 leaves the catalogue, and nothing that was trained on is known well enough but bread-1.
    monkeypatch.setattr(recommenders, "LEAST_EVENTS", 10_000)
    items = (tmp_path / "items.csv").read_text()
    (tmp_path / "fewer.csv").write_text("\n".join(line for line in items.splitlines() if not line.startswith("milk-0,")))
    source = replace(chain.source, items=str(tmp_path / "fewer.csv"))
    chain.resources.allowed.add(Settings(source=source))
    fewer: RecommenderRef = run(steps.place_items, replace(asked, source=source))
    assert fewer.version != made.version
    assert fewer.items == 31
    left = trained.read(chain.resources.artifacts.find(fewer.uri, fewer.hash))
    assert np.flatnonzero(np.isneginf(left.vectors[:, -1])).tolist() == left.rows(["milk-0"]).tolist()
    assert left.item(int(left.rows(["wine-3"])[0])) == "wine-3"
    assert left.rows(["nothing of ours"]).tolist() == [-1]
