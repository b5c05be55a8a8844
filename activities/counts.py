"""Step: count a window's triples into an immutable version."""

from dataclasses import dataclass

from temporalio import activity

import db.clusters
import db.counts
from activities.beating import beating
from activities.resources import Resources
from contracts import CountsRef, CountTriples
from sources.counting import count_triples


@dataclass(frozen=True)
class CountsActivities:
    resources: Resources

    @activity.defn
    @beating("counting")
    def count_triples(self, request: CountTriples) -> CountsRef:
        self.resources.allowed.check_source(request.source, request.counting)
        with self.resources.engine.connect() as connection:
            assignment = db.clusters.items(connection, request.cluster_set)
        counted = count_triples(request.source, request.sequences, request.window, assignment, request.counting.engine)
        with self.resources.engine.begin() as connection:
            return db.counts.add(
                connection,
                cluster_set=request.cluster_set,
                window=request.window,
                dedup=request.sequences.dedup,
                predicate=request.source.positive,
                counts=counted.table,
                events=counted.events,
                users=counted.users,
                dropped=counted.dropped,
            )
