"""Steps of the cadence: measure yesterday, then decide about today and put it on record."""

from dataclasses import asdict, dataclass
from datetime import timedelta

from temporalio import activity

from driftline.activities.heartbeats import heartbeats
from driftline.activities.resources import Resources
from driftline.contracts import CadenceDecision, DecideDay, MeasureDay, MeasuredDay, Standing, Window
from driftline.db import cadence as db_cadence
from driftline.db import clusters as db_clusters
from driftline.db import counts as db_counts
from driftline.interests import windows
from driftline.interests.cadence import decide
from driftline.interests.cadence_day import day_hits, of_day
from driftline.sources.counting import Counted, count_triples


@dataclass(frozen=True)
class CadenceActivities:
    resources: Resources

    @activity.defn
    @heartbeats("counting")
    def measure_day(self, request: MeasureDay) -> MeasuredDay | None:
        """Measures what the served table's counts and fresh ones predict of the day before. None: nothing was served then.

        It depends on the log, the record of publications and the settings only, so that a late run measures the same.
        """
        asked, end = request.rag_refresh, request.nominal
        self.resources.allowed.check_source(asked.source, asked.counting)
        begin = end - timedelta(days=1)
        with self.resources.engine.connect() as connection:
            served = db_cadence.served(connection, asked.channel, begin)
            if served is None:
                return None
            model = db_cadence.model(connection, begin, served.cluster_set) if asked.answers != "counts" else None
            about = db_counts.describe(connection, served.counts)
            items = db_clusters.items(connection, served.cluster_set, about.assignment)
            clusters = db_clusters.describe(connection, served.cluster_set).clusters
            stale = db_counts.read(connection, served.counts)
            learned = db_counts.read(connection, model[2]) if model else None

        def count(window: Window) -> Counted:
            return count_triples(asked.source, asked.sequences, window, items, asked.counting.engine)

        newest = windows.split(begin, asked.windows).history
        # A triple that ends on the day may have begun days before.
        context = begin - (newest.end - newest.start)
        wide, narrow, fresh = (count(window) for window in (Window(context, end), Window(context, begin), newest))
        hits = day_hits(of_day(wide.table, narrow.table), fresh.table, stale, learned, clusters)
        return MeasuredDay(
            day=begin.date(),
            **asdict(hits),
            unknown_share=_unknown(wide, narrow),
            table=served.table,
            model=model[0] if model else None,
        )

    @activity.defn
    def decide_day(self, request: DecideDay) -> CadenceDecision:
        """Today's decision, put on record; one that is on record already stands."""
        asked, day, channel = request.rag_refresh, request.nominal.date(), request.rag_refresh.channel
        with self.resources.engine.begin() as connection:
            db_cadence.hold(connection, channel)
            if known := db_cadence.find(connection, channel, day):
                return CadenceDecision(day, known.action, known.reasons, known.cost, known.budget_left, known.override)
            record = db_cadence.before(connection, channel, day)
            served = db_cadence.served(connection, channel, request.nominal)
            model = db_cadence.model(connection, request.nominal, served.cluster_set if served else None)
            found = [past for past in (*(past.measured for past in record), request.measured) if past]
            standing = Standing(
                day=day,
                table=served.nominal.date() if served else None,
                model=model[1].date() if model else None,
                needs_model=asked.answers != "counts",
                assigns=asked.clusters.assign == "auto",
                # What was measured of another table says nothing about this one.
                measured=tuple(past for past in found if served and past.table == served.table),
                earlier=tuple(past for past in found if served and past.table != served.table),
                entries=db_cadence.entries(record),
                costs=db_cadence.costs(connection, request.cadence.unit, request.nominal),
                override=db_cadence.newest_override(connection, channel, day),
                rule=request.rule,
            )
            made = decide(standing, request.cadence)
            db_cadence.add(connection, channel, made, request.measured, request.cadence, request.run, request.rule)
        return made


def _unknown(wide: Counted, narrow: Counted) -> float | None:
    """Share of the last day's positive events whose item no cluster has."""
    unknown = wide.dropped.get("events_of_unknown_items", 0) - narrow.dropped.get("events_of_unknown_items", 0)
    events = wide.events - narrow.events + unknown
    return unknown / events if events else None
