"""What is on record about a table, gathered from Postgres for its report."""

from dataclasses import asdict, fields, replace
from typing import Any

from driftline.contracts import Gates, ReportRef, Window
from driftline.db import channels as db_channels
from driftline.db import measurements as db_measurements
from driftline.db import reports as db_reports
from driftline.db import reviews as db_reviews
from driftline.db import tables as db_tables
from driftline.db.connection import Connection
from driftline.report import weights
from driftline.report.content import Content, CostRow, Provenance
from driftline.report.finding import Finding
from driftline.report.findings import findings


def write(connection: Connection, found: Content) -> ReportRef:
    """Store what is known of a table as its newest report."""
    measured = [source.version for source in found.sources]
    return db_reports.add(connection, found.table, measured, [asdict(finding) for finding in found.findings])


def content(connection: Connection, table: int, gates: Gates) -> Content:
    """Everything that is known of a table by now.

    Raises:
        BadInput: there is no such table.
    """
    about, lineage = db_tables.get(connection, table), db_tables.lineage(connection, table)
    measured = db_measurements.about(connection, about.cluster_set, about.model_version)
    newest: dict[str, Any] = {m.kind: m.result for m in measured if m.kind != "quality"}
    costs = tuple(_cost(row) for row in db_reports.costs(connection, about.cluster_set))
    qualities = tuple(m.result for m in measured if m.kind == "quality")
    made = Content(
        table=table,
        kind=about.kind,
        nominal=about.nominal,
        model=about.model_version,
        cluster_set=about.cluster_set,
        clusters=about.clusters,
        pairs=about.rows,
        window=Window(about.window_start, about.window_end),
        written_at=max([about.created_at, *(m.created_at for m in measured)]),
        channels=tuple(about.channels),
        computed=lineage["computed"],
        answers_from=lineage["answers"],
        weights=lineage["weights"],
        likeliest=lineage["likeliest"],
        test_window=Window(about.window_end, about.nominal),
        min_exact_match_rate=gates.min_exact_match_rate,
        max_unknown_share=gates.max_unknown_share,
        qualities=qualities,
        costs=costs,
        sources=tuple(Provenance(m.kind, m.version, m.inputs) for m in measured),
        **newest,
    )
    said = findings(
        quality=next((quality for quality in qualities if quality.table == table), None),
        cost=next((cost for cost in costs if cost.table == table), None),
        min_exact_match_rate=gates.min_exact_match_rate,
        max_unknown_share=gates.max_unknown_share,
        **newest,
    )
    return replace(made, findings=(*_withdrawn(connection, table), *weights.findings(table, lineage["weights"]), *said))


def _withdrawn(connection: Connection, table: int) -> list[Finding]:
    """First of all: that a person's newest verdict is against the table, and where it is served all the same."""
    newest = db_reviews.newest_verdict(connection, table)
    if newest is None or newest.decision == "approve":
        return []
    served = [channel.warning for channel in db_channels.served(connection) if channel.version == table and channel.warning]
    return [Finding("bad", f"Table {table} may not be served: {newest}."), *(Finding("bad", f"{text}.") for text in served)]


def _cost(row: dict[str, Any]) -> CostRow:
    return CostRow(table=row["version"], **{f.name: row[f.name] for f in fields(CostRow) if f.name != "table"})
