"""Every query of every panel, annotation and alert rule, on a real Postgres, by the login that Grafana has, with its macros
expanded as Grafana's own documentation says."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import text

from driftline.contracts import Cost, Delivery, RunIds, StoreTable, Verdict
from driftline.dashboards import alerts, boards, workers
from driftline.db import channels as db_channels
from driftline.db import counts as db_counts
from driftline.db import measurements as db_measurements
from driftline.db import notifications as db_notifications
from driftline.db import reviews as db_reviews
from driftline.db import tables as db_tables
from driftline.db.connection import connect
from tests.db import world
from tests.report import experiment_examples, measured

FROM, TO = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
ALERTS = alerts.alerts(timedelta(days=7), 0.05)


def expanded(sql: str) -> str:
    """`$__timeFilter(c)` and `$__timeGroupAlias(c, '1d')`; there are no others."""
    between = f"\\1 BETWEEN '{FROM:%Y-%m-%dT%H:%M:%SZ}' AND '{TO:%Y-%m-%dT%H:%M:%SZ}'"
    sql = re.sub(r"\$__timeFilter\(([\w.]+)\)", between, sql)
    sql = re.sub(r"\$__timeGroupAlias\(([\w.]+), '1d'\)", r'floor((extract(epoch from \1))/86400)*86400 AS "time"', sql)
    assert "$__" not in sql, sql
    return sql


def filled(url: str) -> None:
    """As the demo leaves a database: a fine-tune, refreshes, evidence, reviews, publications; a roll-back and what was told."""
    engine = connect(url)
    with engine.begin() as conn:
        cluster_set = world.add_clusters(conn)
        counted = world.add_counts(conn, cluster_set)
        model = world.add_model(conn, cluster_set, counted)
        made = []
        for day, kind in ((0, "fine_tune"), (2, "rag"), (4, "rag"), (6, "rag")):
            asked: StoreTable = world.request(model, counted, day=day, kind=kind)  # type: ignore[arg-type]
            cost = Cost(tokens=3402, cpu_seconds=23.0, gpu_seconds=0.0, wall_seconds=30.0, asked=10, reused=2)
            assert asked.mapping
            mapping = replace(asked.mapping, cost=cost)
            made.append(db_tables.add(conn, replace(asked, mapping=mapping), world.mapping(day % 4 // 2)).version)
        for table in made:
            world.evaluate(conn, table, *(["recall"] if table in made[2:] else []))
        for table in made[:2]:
            db_channels.publish(conn, table, "default", "driftline", run=RunIds(f"run-{table}", "r"))
        db_channels.rollback(conn, "default", actor="ada", reason="looks odd")
        for table in made[2:]:
            world.open_review(conn, table, f"review-{table}", "recall")
        conn.execute(text("ALTER TABLE gate DISABLE TRIGGER USER"))
        conn.execute(text("UPDATE gate SET opened_at = opened_at - interval '30 hours'"))
        conn.execute(text("ALTER TABLE gate ENABLE TRIGGER USER"))
        db_reviews.record_verdict(conn, Verdict(f"review-{made[2]}", "approve", "ada", "looked at it"))
        about: dict[str, Any] = {"cluster_set": cluster_set, "run": world.RUN, "inputs": {}}
        db_measurements.add(conn, kind="drift", result=measured.shares(0.08, 0.01, 0.001), **about)
        db_measurements.add(conn, kind="staleness", result=measured.staleness(), **about)
        for table in made:
            db_measurements.add(conn, kind="quality", result=measured.quality(table), table=table, **about)
        db_counts.add(
            conn,
            cluster_set=cluster_set,
            window=db_counts.get(conn, counted).window,
            dedup="first",
            predicate="true",
            counts=world.some_counts(7),
            events=90,
            users=9,
            dropped={"events_of_unknown_items": 10},
        )
        experiment_examples.add(conn, datetime.now(UTC) - timedelta(days=3))
        db_notifications.claim(conn, "published:1", ["ops"], "published", "info", "Table 1 is published")
        db_notifications.settle(conn, "published:1", [Delivery("ops", "sent", "sent")])
        db_notifications.record_starts(conn, "driftline-rag-refresh", 1, 0)
    engine.dispose()


@pytest.fixture(scope="module")
def url(make_database: Callable[[], str]) -> str:
    made = make_database()
    filled(made)
    return made


@pytest.fixture(scope="module")
def grafana(url: str) -> Iterator["psycopg.Connection[Any]"]:
    """The login that the migration makes, once it has a password."""
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("ALTER ROLE driftline_grafana PASSWORD 'for-this-test'")
    where = urlsplit(url)
    login = where._replace(netloc=f"driftline_grafana:for-this-test@{where.hostname}:{where.port}").geturl()
    with psycopg.connect(login, autocommit=True) as conn:
        yield conn


def queries() -> Iterator[tuple[str, str, str]]:
    """Name, format and SQL of everything that is asked of Postgres."""
    for board in (boards.operations, boards.quality, boards.drift, boards.cost):
        made = board().build()
        for panel in made.panels or []:
            for target in panel.targets:  # type: ignore[union-attr]
                yield f"{made.title}: {panel.title}", target.format, target.sql  # type: ignore[union-attr]
    for annotation in made.annotations.list_val or []:
        yield f"annotation: {annotation.name}", "annotation", annotation.target.sql  # type: ignore[union-attr]
    for alert in ALERTS:
        yield f"alert: {alert.title}", "alert", alert.sql


QUERIES = {name: (shape, sql) for name, shape, sql in queries()}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_gives_rows_to_the_login_of_grafana(grafana: "psycopg.Connection[Any]", name: str) -> None:
    shape, sql = QUERIES[name]
    found = grafana.execute(expanded(sql).encode())
    rows = found.fetchall()
    assert rows, sql
    columns = [column.name for column in found.description or []]
    if shape == "time_series":
        assert columns[0] == "time"
        values = [value for row in rows for value in row[1:] if not isinstance(value, str)]
        assert values
        assert any(value is not None for value in values)
        assert all(value is None or isinstance(value, int | float) for value in values), "numbers only"
        assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    if shape == "annotation":
        assert columns == ["time", "title", "text", "tags"]
    if shape == "alert":
        assert all(isinstance(row[-1], float) for row in rows)


def test_every_panel_has_a_query_and_a_place_of_its_own() -> None:
    for board in (boards.operations, boards.quality, boards.drift, boards.cost, workers.workers):
        made = board().build()
        places = [(panel.grid_pos.x, panel.grid_pos.y) for panel in made.panels or []]  # type: ignore[union-attr]
        assert len(set(places)) == len(places)
        assert all(panel.targets for panel in made.panels or [])  # type: ignore[union-attr]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.uid)
def test_an_alert_fires_where_it_should(grafana: "psycopg.Connection[Any]", alert: alerts.Alert) -> None:
    assert any(row[-1] > alert.above for row in grafana.execute(alert.sql.encode()).fetchall())


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.uid)
def test_an_alert_is_silent_where_nothing_has_happened(postgres_url: str, alert: alerts.Alert) -> None:
    with psycopg.connect(postgres_url) as conn:
        assert all(row[-1] <= alert.above for row in conn.execute(alert.sql.encode()).fetchall())


def test_the_login_of_grafana_reads_and_nothing_else(grafana: "psycopg.Connection[Any]") -> None:
    for statement in (
        "INSERT INTO log_profile (source, profile) VALUES ('{}', '{}')",
        "UPDATE channel SET table_version = 1",
        "DELETE FROM notification",
        "CREATE TABLE mine (x int)",
        "SELECT make_partition('transition', 99)",
        "SET ROLE driftline_worker",
    ):
        with pytest.raises(psycopg.errors.Error):
            grafana.execute(statement)
    grafana.execute("SET default_transaction_read_only = off")  # whoever logs in may: grants hold all the same
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        grafana.execute("UPDATE channel SET table_version = 1")
    assert grafana.execute("SHOW statement_timeout").fetchone() == ("30s",)
