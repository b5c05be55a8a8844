"""Steps of the sequence recommender: read what users took, train on it, give every item its vector and store the version."""

import asyncio
import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from temporalio import activity

from driftline.activities.child import run_child
from driftline.activities.heartbeats import heartbeats
from driftline.activities.resources import Resources
from driftline.contracts import (
    BadInput,
    EncoderRef,
    ItemSequencesRef,
    PlaceItems,
    ReadItemSequences,
    Recommender,
    RecommenderRef,
    Sequences,
    TrainEncoder,
    TrainEncoderJob,
)
from driftline.db import clusters as db_clusters
from driftline.db import recommenders as db_recommenders
from driftline.interests.recommender import histories, trained
from driftline.interests.recommender.baselines import lately, popularity
from driftline.interests.recommender.index import Index, by_cluster
from driftline.interests.recommender.judging import choose_prior, judge
from driftline.interests.recommender.new_items import LEAST_EVENTS, from_texts
from driftline.sources.profile import offered
from driftline.sources.sequences import read_sequences

Floats32 = NDArray[np.float32]
SHAPELESS = ("checkpoint_every",)
"""Knobs that change no weight."""


@dataclass(frozen=True)
class RecommenderActivities:
    resources: Resources

    @activity.defn
    @heartbeats("reading")
    def read_item_sequences(self, request: ReadItemSequences) -> ItemSequencesRef:
        """What each user took, item by item, in order of time."""
        self.resources.allowed.check_source(request.source)
        with self.resources.engine.connect() as connection:
            clusters = db_clusters.describe(connection, request.cluster_set).clusters
            index = by_cluster(db_clusters.items(connection, request.cluster_set, request.assignment), clusters)
        steps = read_sequences(request.source, Sequences(dedup="adjacent"), request.window, index.assignment())
        if not steps.num_rows:
            raise BadInput("no item of the cluster set is in the log's window: raise recommender.days, or check source.positive")
        with self.resources.artifacts.folder() as folder:
            pq.write_table(pa.table({"item": index.items, "cluster": index.clusters}), folder / "items.parquet")
            pq.write_table(steps, folder / "steps.parquet")
            uri, digest = self.resources.artifacts.store("item-sequences", folder)
        return ItemSequencesRef(uri, digest, pc.count_distinct(steps["user"]).as_py(), steps.num_rows, len(index.items))

    @activity.defn
    async def train_encoder(self, request: TrainEncoder) -> EncoderRef:
        """Trains the encoder in a child process. Idempotent: the same sequences and recipe are not trained again."""
        known = await asyncio.to_thread(self._known, request)
        if known:
            return known
        asked = [request.sequences.hash, knobs(request.recommender), str(request.validation.start), str(request.validation.end)]
        key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        work = self.resources.work("recommender", key[:16])
        out = work / "encoder"
        sequences = await asyncio.to_thread(self.resources.artifacts.find, request.sequences.uri, request.sequences.hash)
        job = TrainEncoderJob(str(sequences), request.recommender, request.validation, str(work), str(out))
        await run_child("driftline.engines.sequence.train", job, work, self.resources.home, self.resources.children)
        uri, digest = await asyncio.to_thread(self.resources.artifacts.store, "encoders", out)
        shutil.rmtree(work)
        return EncoderRef(uri, digest)

    @activity.defn
    @heartbeats("placing items")
    def place_items(self, request: PlaceItems) -> RecommenderRef:
        """Builds the index of items, measures the lists, and stores both. Idempotent: the same input is the same version."""
        self.resources.allowed.check_source(request.source)
        find = self.resources.artifacts.find
        sequences, encoder_folder = find(request.sequences.uri, request.sequences.hash), find(request.encoder.uri)
        items = pq.read_table(sequences / "items.parquet")
        with self.resources.engine.connect() as connection:
            clusters = db_clusters.describe(connection, request.cluster_set).clusters
        index = by_cluster(items, clusters)
        encoder, learned = trained.read_encoder(encoder_folder / "encoder.npz"), np.load(encoder_folder / "vectors.npy")
        taken = histories.read(pq.read_table(sequences / "steps.parquet"))
        before = taken.between(None, request.validation.start)
        events = np.bincount(before.rows, minlength=len(index.items))
        vectors, new = self._vectors(request, index, learned, events)

        start, end = request.validation.start, request.validation.end
        prior = choose_prior(index, encoder, vectors, before, taken.between(start, end), start)
        known, later = taken.between(None, request.test.start), taken.between(request.test.start, request.test.end)
        popular = popularity(known, len(index.items))
        recent = lately(known, len(index.items), request.test.start, prior.half_life)
        vectors[:, -1] += prior.of(recent)
        judged = {
            name: judge(index, encoder, vectors, popular, recent, known, later, restricted)
            for name, restricted in (("within the interest", True), ("all items", False))
        }
        with self.resources.artifacts.folder() as folder:
            weights = {**encoder.weights, "heads": np.array(encoder.heads)}
            trained.write(folder, weights, vectors, index.items.to_pylist(), index.starts, popular)
            uri, digest = self.resources.artifacts.store("recommenders", folder)
        recipe = {
            "recommender": knobs(request.recommender),
            "catalogue": request.catalogue.hash if request.catalogue else None,
            "embeddings": request.embeddings.hash if request.embeddings else None,
        }
        with self.resources.engine.begin() as connection:
            return db_recommenders.add(
                connection,
                request,
                uri=uri,
                digest=digest,
                recipe=recipe,
                items=int(np.isfinite(vectors[:, -1]).sum()),
                new_items=int(new.sum()),
                popularity=prior.weight,
                metrics=json.loads((encoder_folder / "train.json").read_text()) | {"half_life_days": prior.half_life},
                measured=judged,
            )

    def _vectors(
        self, request: PlaceItems, index: Index, learned: Floats32, events: NDArray[np.int64]
    ) -> tuple[Floats32, NDArray[np.bool_]]:
        """The vector of each item, and whether it comes from its text. What is withdrawn, or has neither, has −∞ for its
        popularity: it says who its user is, and is never recommended."""
        vectors, enough = learned.copy(), events >= LEAST_EVENTS
        new = np.zeros(len(vectors), dtype=bool)
        if request.catalogue is not None and request.embeddings is not None:
            texts, has_text = self._texts(request, index)
            new = has_text & ~enough
            fitted = has_text & enough
            if fitted.any():
                vectors[new] = from_texts(texts[fitted], learned[fitted], events[fitted].astype(float), texts[new])
            else:
                new[:] = False
        there = enough | new | (events > 0)
        if request.source.items.strip():
            there &= pc.is_in(index.items, value_set=offered(request.source)).to_numpy(zero_copy_only=False)
        vectors[~there, -1] = -np.inf
        return vectors, new & there

    def _texts(self, request: PlaceItems, index: Index) -> tuple[Floats32, NDArray[np.bool_]]:
        """The embedding of each item's text [items, t], and whether it has one."""
        assert request.catalogue is not None
        assert request.embeddings is not None
        find = self.resources.artifacts.find
        catalogue = find(request.catalogue.uri, request.catalogue.hash)
        embeddings = np.load(find(request.embeddings.uri, request.embeddings.hash) / "embeddings.npy")
        items, texts = pq.read_table(catalogue / "items.parquet"), pq.read_table(catalogue / "texts.parquet")["text"]
        place = pc.index_in(index.items, value_set=items["item"].combine_chunks())
        of = pc.index_in(items["text"].combine_chunks().take(place), value_set=texts.combine_chunks())
        has_text = of.is_valid().to_numpy(zero_copy_only=False)
        return embeddings[of.fill_null(0).to_numpy(zero_copy_only=False)], has_text

    def _known(self, request: TrainEncoder) -> EncoderRef | None:
        """What an earlier run trained on the same, if it is still whole."""
        asked = (request.sequences.hash, knobs(request.recommender), request.validation.end)
        with self.resources.engine.connect() as connection:
            found = db_recommenders.encoder(connection, *asked)
        try:
            return found if found and self.resources.artifacts.find(found.uri, found.hash) else None
        except BadInput:
            return None


def knobs(recommender: Recommender) -> dict[str, Any]:
    """Every knob that shapes the weights, as it is kept in Postgres."""
    return {name: value for name, value in asdict(recommender).items() if name not in SHAPELESS}
