"""Step: say what the measurements mean for a table, and keep it with the table."""

from dataclasses import dataclass

from temporalio import activity

from activities.beating import beating
from activities.resources import Resources
from contracts import ReportRef, WriteReport
from report import stored


@dataclass(frozen=True)
class ReportActivities:
    resources: Resources

    @activity.defn
    @beating("reporting")
    def write_report(self, request: WriteReport) -> ReportRef:
        with self.resources.engine.begin() as connection:
            return stored.write(connection, stored.content(connection, request.table, request.gates))
