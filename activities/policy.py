"""Step: the whole policy on held-out days, from histories to items, beside the recommender without it."""

from dataclasses import asdict, dataclass
from datetime import UTC

import numpy as np
from sqlalchemy import Connection
from temporalio import activity

from driftline.activities.heartbeats import heartbeats
from driftline.activities.resources import Resources
from driftline.contracts import BadInput, MeasurementRef, MeasurePolicy, Sequences, Window
from driftline.db import clusters as db_clusters
from driftline.db import counts as db_counts
from driftline.db import measurements as db_measurements
from driftline.db import recommenders as db_recommenders
from driftline.db import tables as db_tables
from driftline.interests.mapping import answers_of
from driftline.interests.metrics.policy import Outcomes, policy
from driftline.interests.recommender import histories, trained
from driftline.interests.recommender.index import by_cluster
from driftline.interests.recommender.replay import lists
from driftline.sources.sequences import read_sequences
from driftline.sources.times import FIRST


@dataclass(frozen=True)
class PolicyActivities:
    resources: Resources

    @activity.defn
    @heartbeats("measuring")
    def measure_policy(self, request: MeasurePolicy) -> MeasurementRef:
        """Replays one request for every user who has a history and takes something on the held-out days, as of their begin.

        Raises:
            BadInput: there is no table, or no recommender, that has seen nothing of these days.
        """
        self.resources.allowed.check_source(request.source)
        start = request.period.start
        with self.resources.engine.connect() as connection:
            recommender = db_recommenders.newest(connection, request.cluster_set, start)
            if recommender is None:
                raise BadInput(
                    f"no recommender of cluster set {request.cluster_set} has seen nothing from {start:%Y-%m-%d} on: "
                    "run `driftline run recommender --at` the end of these days"
                )
            table = _table(connection, request)
            found = db_tables.get(connection, table)
            answers = answers_of(db_tables.answers(connection, table), found.clusters)
            assignment = db_counts.describe(connection, found.counts_version).assignment
            counts = db_counts.read(connection, found.counts_version)
            index = by_cluster(db_clusters.items(connection, request.cluster_set, assignment), found.clusters)
            traffic = db_clusters.get(connection, request.cluster_set)["traffic"].to_numpy()
        model = trained.read(self.resources.artifacts.find(recommender.uri, recommender.hash))
        window = Window(FIRST.replace(tzinfo=UTC), request.period.end)
        taken = histories.read(read_sequences(request.source, Sequences(dedup="adjacent"), window, index.assignment()))
        before, later = taken.between(None, start), taken.between(start, None)
        users = np.flatnonzero((np.diff(before.starts) > 0) & (np.diff(later.starts) > 0))
        had = tuple(before.of(user) for user in users.tolist())
        arms = lists(model, index, answers, counts, traffic, had, request.sequences.dedup, request.top)
        outcomes = Outcomes(had, tuple(later.of(user) for user in users.tolist()), index.clusters)
        result = policy(outcomes, arms, recommender.items)
        inputs = {
            "table": table,
            "recommender": recommender.version,
            "period": asdict(request.period),
            "dedup": request.sequences.dedup,
            "predicate": request.source.positive,
            "assignment": assignment,
        }
        with self.resources.engine.begin() as connection:
            return db_measurements.add(
                connection, kind="policy", cluster_set=request.cluster_set, inputs=inputs, result=result, run=request.run
            )


def _table(connection: Connection, request: MeasurePolicy) -> int:
    """The newest approved table of the cluster set that has seen nothing of the period."""
    found = db_tables.newest_before(connection, request.cluster_set, request.period.start)
    if found is None:
        raise BadInput(
            f"no approved table of cluster set {request.cluster_set} has seen nothing from {request.period.start:%Y-%m-%d} on: "
            "choose a later --from, or run `driftline run rag-refresh --at` the end of these days"
        )
    return found
