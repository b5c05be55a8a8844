"""Reports: what is known of a table, what is still to be measured, and the page."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from driftline.contracts import BadInput, MeasurementInput, ReportRef
from driftline.db import recommenders as db_recommenders
from driftline.db import reports as db_reports
from driftline.interests.windows import consecutive
from driftline.operations import measurements
from driftline.operations.context import Context
from driftline.report import stored
from driftline.report.content import Content


def known(context: Context, table: int) -> Content:
    """Everything that is on record about a table.

    Raises:
        ValueError: there is no such table.
    """
    with context.engine.connect() as connection:
        return stored.content(connection, table, context.settings.gates)


def costs(context: Context, cluster_set: int) -> list[dict[str, Any]]:
    """What each table of a cluster set cost, by nominal time: the rows of `table_cost`."""
    with context.engine.connect() as connection:
        return db_reports.costs(connection, cluster_set)


def request(context: Context, content: Content) -> MeasurementInput:
    """The measurement that this table's report rests on: of its own cluster set and model.

    Raises:
        ValueError: see `measurements.request`.
    """
    return measurements.request(context, None, None, cluster_set=content.cluster_set, model=content.model)


def lacking(context: Context, content: Content, asked: MeasurementInput, wanted: Collection[str]) -> list[str]:
    """Wanted measurements that are still to be made; of drift also one that ends before the newest whole window.

    The policy needs a recommender that has seen nothing of the period: without one it is none of them.
    """
    windows = consecutive(asked.log_start, asked.period.end, asked.measures)
    measured = content.drift.windows[-1].end if content.drift and content.drift.windows else None
    fresh = windows and measured and measured >= windows[-1].end
    there = {"drift": fresh} | {what: getattr(content, what) for what in ("refresh", "answers", "retrieval", "policy")}
    missing = [what for what in wanted if not there[what]]
    if "policy" in missing:
        with context.engine.connect() as connection:
            if db_recommenders.newest(connection, content.cluster_set, asked.period.start) is None:
                missing.remove("policy")
    return missing


def write(context: Context, table: int, page: Path) -> tuple[ReportRef, Content]:
    """Store the newest report of a table and write its page, one self-contained HTML file. Returns what is on it, too.

    Raises:
        BadInput: there is no such table, or the extra `report` is not installed.
    """
    try:
        from driftline.report.page import render  # matplotlib takes a second to load, which no other use case should wait for
    except ModuleNotFoundError as error:
        raise BadInput(f"the page needs {error.name}: `pip install 'driftline[report]'`") from None
    with context.engine.begin() as connection:
        content = stored.content(connection, table, context.settings.gates)
        ref = stored.write(connection, content)
    page.write_text(render(content), encoding="utf-8")
    return ref, content
