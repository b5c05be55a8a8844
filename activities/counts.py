"""Step: count a window's triples into an immutable version."""

from dataclasses import dataclass

from temporalio import activity

from driftline.activities.heartbeats import heartbeats
from driftline.activities.resources import Resources
from driftline.contracts import CountsRef, CountTriples
from driftline.db import clusters as db_clusters
from driftline.db import counts as db_counts
from driftline.sources.counting import count_triples


@dataclass(frozen=True)
class CountsActivities:
    resources: Resources

    @activity.defn
    @heartbeats("counting")
    def count_triples(self, request: CountTriples) -> CountsRef:
        self.resources.allowed.check_source(request.source, request.counting)
        with self.resources.engine.connect() as connection:
            assignment = db_clusters.items(connection, request.cluster_set, request.assignment)
        counted = count_triples(request.source, request.sequences, request.window, assignment, request.counting.engine)
        with self.resources.engine.begin() as connection:
            return db_counts.add(
                connection,
                cluster_set=request.cluster_set,
                window=request.window,
                dedup=request.sequences.dedup,
                predicate=request.source.positive,
                counts=counted.table,
                events=counted.events,
                users=counted.users,
                dropped=counted.dropped,
                assignment=request.assignment,
            )
