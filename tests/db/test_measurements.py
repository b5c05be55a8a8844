from datetime import UTC, datetime
from math import nan
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from driftline.contracts import RunIds
from driftline.db import measurements, reports, tables
from driftline.interests.metrics.estimates import Estimate
from driftline.interests.metrics.hits import ArmHits, HitRates
from driftline.interests.metrics.staleness import Staleness, StalePoint
from tests.db import world

WHEN = datetime(2026, 1, 29, tzinfo=UTC)


def staleness(value: float = 0.5) -> Staleness:
    point = StalePoint(days=2, top_k=3, same_list=Estimate(value, 0.4, 0.6, 12), same_set=Estimate(None, None, None, 0))
    return Staleness(
        retrieved_at=WHEN, window_days=28, min_support=5, pairs=12, points=(point,), missing=("not enough data: n = 0",)
    )


def add(conn: Connection, cluster_set: int, value: float = 0.5, model: int | None = None) -> int:
    result = staleness(value)
    return measurements.add(
        conn, kind="staleness", cluster_set=cluster_set, model=model, inputs={"counts": 1}, result=result, run=world.RUN
    ).version


def test_a_measurement_comes_back_as_it_was_stored(conn: Connection) -> None:
    cluster_set = world.add_clusters(conn)
    ref = measurements.add(
        conn, kind="staleness", cluster_set=cluster_set, inputs={"counts": 1}, result=staleness(), run=RunIds("w", "r")
    )
    assert (ref.kind, ref.missing) == ("staleness", ("not enough data: n = 0",))
    found = measurements.get(conn, ref.version)
    assert found.result == staleness()
    assert (found.inputs, found.workflow_id, found.run_id) == ({"counts": 1}, "w", "r")


def test_the_same_result_of_the_same_inputs_is_the_same_version(conn: Connection) -> None:
    cluster_set = world.add_clusters(conn)
    first = add(conn, cluster_set)
    assert add(conn, cluster_set) == first
    assert add(conn, cluster_set, 0.6) > first


def test_a_result_that_comes_back_is_the_newest_again(conn: Connection) -> None:
    """After another way of measuring, the first way's result counts again when it is asked for again."""
    table = tables.get(conn, world.add_table(conn))
    first, other = add(conn, table.cluster_set, 0.1), add(conn, table.cluster_set, 0.2)
    again = add(conn, table.cluster_set, 0.1)
    assert first < other < again
    assert [m.version for m in measurements.about(conn, table.cluster_set, table.model_version)] == [again]


def test_a_number_that_is_none_is_refused(conn: Connection) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        add(conn, world.add_clusters(conn), nan)


def test_what_bears_on_a_table_is_the_newest_of_its_clusters_and_of_its_model(conn: Connection) -> None:
    table = tables.get(conn, world.add_table(conn))
    other_model = world.add_model(conn, table.cluster_set, table.counts_version, "another adapter")
    add(conn, table.cluster_set, 0.1)
    newest = add(conn, table.cluster_set, 0.2)
    add(conn, table.cluster_set, 0.3, model=other_model)
    assert [m.version for m in measurements.about(conn, table.cluster_set, table.model_version)] == [newest]


def test_a_report_is_stored_once_and_stands_in_the_lineage(conn: Connection) -> None:
    table = world.add_table(conn)
    measured = add(conn, tables.get(conn, table).cluster_set)
    findings = [{"level": "bad", "text": "counting beats the LLM"}]
    first = reports.add(conn, table, [measured], findings)
    assert reports.add(conn, table, [measured], findings) == first
    second = reports.add(conn, table, [measured], [])
    assert second.version > first.version
    assert reports.newest_of(conn, table) == reports.get(conn, second.version)
    stored = tables.lineage(conn, table)["reports"]
    assert [(r["version"], r["measurements"], r["findings"]) for r in stored] == [
        (first.version, [measured], findings),
        (second.version, [measured], []),
    ]


def test_measurements_and_reports_are_append_only(conn: Connection) -> None:
    table = world.add_table(conn)
    measured = add(conn, tables.get(conn, table).cluster_set)
    reports.add(conn, table, [measured], [])
    for name in ("measurement", "report"):
        with pytest.raises(DBAPIError, match="append-only"), conn.begin_nested():
            conn.execute(text(f"UPDATE {name} SET created_at = now()"))


def test_the_table_before_is_the_next_older_of_the_same_clusters(conn: Connection) -> None:
    older, newer = world.add_table(conn), world.add_table(conn, day=30)
    assert (tables.before(conn, newer), tables.before(conn, older)) == (older, None)


def test_what_a_table_cost_is_one_row(conn: Connection) -> None:
    table = world.add_table(conn)
    (row,) = reports.costs(conn, tables.get(conn, table).cluster_set)
    assert (row["version"], row["kind"], row["rows"], row["published_at"], row["tokens_forwarded"]) == (
        table,
        "fine_tune",
        12,
        None,
        None,
    )


def test_replays_of_the_same_days_log_and_model_are_found_and_of_each_interval_the_newest(conn: Connection) -> None:
    cluster_set = world.add_clusters(conn)
    model = world.add_model(conn, cluster_set, world.add_counts(conn, cluster_set))

    def replay(every: float, hit: float, cluster_set: int = cluster_set, model: int | None = model, **other: Any) -> int:
        rate = Estimate(hit, None, None, 90)
        found = HitRates((), 90, 900, 9, 0.1, (ArmHits("counts", rate, (), rate),), ())
        inputs = {"source": {"events": "e"}, "period": {"start": "2024-03-01"}, "every_days": every} | other
        return measurements.add(
            conn, kind="refresh", cluster_set=cluster_set, model=model, inputs=inputs, result=found, run=world.RUN
        ).version

    assert measurements.replays(conn) == []
    replay(2, 0.31)
    daily, renewed = replay(1, 0.33), replay(2, 0.32)
    add(conn, cluster_set, 0.9)
    assert [found.version for found in measurements.replays(conn)] == [daily, renewed]

    for other in ({"period": {"start": "2024-04-01"}}, {"source": {"events": "o"}}, {"predicate": "true"}, {"model": None}):
        alone = replay(7, 0.5, **other)
        assert [found.version for found in measurements.replays(conn)] == [alone], other
    alone = replay(7, 0.5, cluster_set=world.add_clusters(conn, ["bread", "beer"]))
    assert [found.version for found in measurements.replays(conn)] == [alone]
    weekly = replay(7, 0.3)
    assert [found.version for found in measurements.replays(conn)] == [daily, renewed, weekly]
