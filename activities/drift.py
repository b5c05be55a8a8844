"""Steps of the drift measurement: list each window's top successors once, then compare the lists (paper §2.1, §3.1)."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from temporalio import activity

from driftline.activities.heartbeats import heartbeats
from driftline.activities.resources import Resources
from driftline.contracts import ListSuccessors, MeasureDrift, MeasurementRef, MeasureStaleness, SuccessorsRef
from driftline.db import clusters as db_clusters
from driftline.db import measurements as db_measurements
from driftline.interests import metrics
from driftline.interests.metrics import RANKINGS, Sampled, Successors
from driftline.interests.metrics.moved import Crowds
from driftline.sources.halves import sampled_successors

CROWDS = ("pair", "c_next", "n", "popularity")


@dataclass(frozen=True)
class DriftActivities:
    resources: Resources

    @activity.defn
    @heartbeats("counting")
    def list_successors(self, request: ListSuccessors) -> SuccessorsRef:
        """Rank the successors of every pair in one window, over all its users and over random halves of them."""
        self.resources.allowed.check_source(request.source)
        with self.resources.engine.connect() as connection:
            clusters = db_clusters.describe(connection, request.cluster_set).clusters
            assignment = db_clusters.items(connection, request.cluster_set, request.assignment)
        sampled = sampled_successors(request.source, request.sequences, request.window, assignment, request.top_k, clusters)
        with self.resources.artifacts.folder() as folder:
            _write(sampled, folder)
            uri, digest = self.resources.artifacts.store("successors", folder)
        return SuccessorsRef(uri, digest, request.window, sampled.users, sampled.triples)

    @activity.defn
    @heartbeats("comparing")
    def measure_drift(self, request: MeasureDrift) -> MeasurementRef:
        """Measures drift: the change of top successors between windows beyond sampling noise."""
        measures = request.measures
        with self.resources.engine.connect() as connection:
            clusters = db_clusters.describe(connection, request.cluster_set).clusters
        windows = [self._read(found) for found in request.lists]
        drift = metrics.drift(windows, clusters, measures.lags, measures.top_k, measures.min_support, measures.drift_margin)
        inputs = _inputs(request, request.lists) | _only(
            request, "lags", "window_days", "windows", "top_k", "min_support", "drift_margin"
        )
        with self.resources.engine.begin() as connection:
            return db_measurements.add(
                connection, kind="drift", cluster_set=request.cluster_set, inputs=inputs, result=drift, run=request.run
            )

    @activity.defn
    @heartbeats("comparing")
    def measure_staleness(self, request: MeasureStaleness) -> MeasurementRef:
        """Measures staleness: the share of a retrieval date's lists that still hold in the days after it."""
        measures, at = request.measures, request.retrieved.window.end
        later = [((found.window.end - at).days, self._read(found).whole) for found in request.later]
        stale = metrics.staleness(
            self._read(request.retrieved).whole,
            later,
            measures.stale_top_k,
            measures.min_support,
            at,
            (at - request.retrieved.window.start).days,
        )
        unreached = [days for days in measures.stale_days if days not in dict(later)] if later else []
        ahead = [f"{days} days later: not enough data: n = 0, the log ends before" for days in unreached]
        stale = replace(stale, missing=(*stale.missing, *ahead))
        inputs = _inputs(request, (request.retrieved, *request.later)) | _only(
            request, "stale_days", "stale_top_k", "min_support"
        )
        with self.resources.engine.begin() as connection:
            return db_measurements.add(
                connection, kind="staleness", cluster_set=request.cluster_set, inputs=inputs, result=stale, run=request.run
            )

    def _read(self, ref: SuccessorsRef) -> Sampled:
        return read_sampled(ref, self.resources.artifacts.find(ref.uri, ref.hash))


def _write(sampled: Sampled, folder: Path) -> None:
    """Writes the sampled successors as `list_successors` keeps them. `top.npy`: int32 [samples, rankings, pairs, k];
    `support.npy`: int64 [samples, pairs]; `unevenness.npy`.

    The first sample is the whole window; then come the halves, two by two. `crowds-*.npy`: the counts by sixteenth of the users.
    """
    samples = [sampled.whole, *(half for halves in sampled.halves for half in halves)]
    shape = (len(samples), len(RANKINGS), *sampled.whole.top["frequency"].shape)
    top = np.lib.format.open_memmap(folder / "top.npy", mode="w+", dtype=np.int32, shape=shape)
    for number, sample in enumerate(samples):
        for place, ranking in enumerate(RANKINGS):
            top[number, place] = sample.top[ranking]
    top.flush()
    np.save(folder / "support.npy", np.stack([sample.support for sample in samples]))
    np.save(folder / "unevenness.npy", np.stack([sampled.unevenness[ranking] for ranking in RANKINGS]))
    if sampled.crowds:
        for name in CROWDS:
            np.save(folder / f"crowds-{name}.npy", getattr(sampled.crowds, name))


def read_sampled(ref: SuccessorsRef, folder: Path) -> Sampled:
    """Mapped, not read: what a comparison does not touch costs no memory."""
    top, support = (np.load(folder / name, mmap_mode="r") for name in ("top.npy", "support.npy"))
    unevenness = np.load(folder / "unevenness.npy")
    crowds = [np.load(file, mmap_mode="r") for name in CROWDS if (file := folder / f"crowds-{name}.npy").exists()]
    whole, *halves = (Successors(dict(zip(RANKINGS, lists, strict=True)), n) for lists, n in zip(top, support, strict=True))
    return Sampled(
        start=ref.window.start,
        end=ref.window.end,
        users=ref.users,
        triples=ref.triples,
        whole=whole,
        halves=tuple(zip(halves[::2], halves[1::2], strict=True)),
        unevenness=dict(zip(RANKINGS, unevenness, strict=True)),
        crowds=Crowds(*crowds) if crowds else None,  # an earlier release listed without them
    )


def _inputs(request: MeasureDrift | MeasureStaleness, lists: tuple[SuccessorsRef, ...]) -> dict[str, Any]:
    """What the numbers were computed from. `source.setup` is left out: it may hold a password."""
    source = {name: value for name, value in asdict(request.about.source).items() if name not in ("setup", "positive")}
    windows = [{"start": found.window.start, "end": found.window.end, "successors": found.hash} for found in lists]
    return {
        "source": source,
        "predicate": request.about.source.positive,
        "dedup": request.about.sequences.dedup,
        "windows": windows,
    } | assigned(request.about.assignment)


def assigned(assignment: int | None) -> dict[str, Any]:
    """What a measurement says of the assignment it was made under. Nothing where there is none, as before there were any."""
    return {} if assignment is None else {"assignment": assignment}


def _only(request: MeasureDrift | MeasureStaleness, *names: str) -> dict[str, Any]:
    return {"measures": {name: getattr(request.measures, name) for name in names}}
