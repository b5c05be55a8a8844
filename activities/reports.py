"""Step: say what the measurements mean for a table, and keep it with the table."""

from dataclasses import dataclass

from temporalio import activity

from driftline.activities.heartbeats import heartbeats
from driftline.activities.resources import Resources
from driftline.contracts import ReportRef, WriteReport
from driftline.report import stored


@dataclass(frozen=True)
class ReportActivities:
    resources: Resources

    @activity.defn
    @heartbeats("reporting")
    def write_report(self, request: WriteReport) -> ReportRef:
        with self.resources.engine.begin() as connection:
            return stored.write(connection, stored.content(connection, request.table, request.gates))
