import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import psycopg
import pytest
from sqlalchemy import Engine, text

from driftline.db import channels, follow, tables
from driftline.db.lookup import Snapshot
from driftline.interests.pairs import pairs
from tests.clock import off_by
from tests.db import world

NEVER = 3600.0
"""A poll interval with which only a notification can tell."""
PATIENCE = 10.0


def eventually(true: Callable[[], bool], within: float = PATIENCE) -> bool:
    end = time.monotonic() + within
    while not true() and time.monotonic() < end:
        time.sleep(0.005)
    return true()


def publish(engine: Engine, table: int) -> None:
    with engine.begin() as conn:
        channels.publish(conn, table, "default", "test", force=True)


@pytest.fixture
def two_tables(engine: Engine) -> tuple[int, int]:
    """Two good tables that answer differently where c1 is 0; the first is published."""
    with engine.begin() as conn:
        versions = world.add_good_table(conn), world.add_good_table(conn, day=1, shift=1)
    publish(engine, versions[0])
    return versions


def answers(engine: Engine, version: int) -> list[int]:
    with engine.connect() as conn:
        return [int(c_next) for c_next in tables.answers(conn, version)["c_next"].to_pylist()]


def test_it_answers_what_sql_answers(engine: Engine, postgres_url: str, two_tables: tuple[int, int]) -> None:
    c1, c2 = pairs(4)
    with Snapshot(postgres_url) as snapshot:
        assert (snapshot.version, snapshot.clusters, snapshot.stale_since) == (two_tables[0], 4, None)
        many = snapshot.many(c1, c2)
        assert many.dtype == np.int16
        assert many.tolist() == answers(engine, two_tables[0]) == [snapshot(a, b) for a, b in zip(c1, c2, strict=True)]
        assert snapshot.many(c1.reshape(3, 4).astype(np.int8), c2.reshape(3, 4)).tolist() == many.reshape(3, 4).tolist()
        with engine.connect() as conn:
            assert snapshot(0, 1) == tables.lookup(conn, 0, 1).c_next == 2


def test_it_says_why_there_is_no_answer(engine: Engine, postgres_url: str) -> None:
    with pytest.raises(ValueError, match=r"nothing is published on channel 'default'.*tables list"):
        Snapshot(postgres_url)
    with engine.begin() as conn:
        channels.publish(conn, world.add_good_table(conn), "default", "test")
    with pytest.raises(ValueError, match="nothing is published on channel 'control'"):
        Snapshot(postgres_url, "control")
    with pytest.raises(ValueError, match="poll_seconds is 0: set it"):
        Snapshot(postgres_url, poll_seconds=0)
    with Snapshot(postgres_url) as snapshot:
        for c1, c2 in ((2, 2), (-1, 0), (0, 4)):
            with pytest.raises(ValueError, match=rf"no pair \({c1}, {c2}\): two different cluster ids out of 0\.\.3"):
                snapshot(c1, c2)
            with pytest.raises(ValueError, match=rf"no pair \({c1}, {c2}\)"):
                snapshot.many([0, c1], [1, c2])
        with pytest.raises(TypeError):
            snapshot.many([0.5], [1])


def test_a_new_version_serves_within_a_second_and_a_rollback_does(
    engine: Engine, postgres_url: str, two_tables: tuple[int, int]
) -> None:
    old, new = two_tables
    with Snapshot(postgres_url, poll_seconds=NEVER) as snapshot:
        assert snapshot(0, 1) == 2
        with engine.begin() as conn:
            channels.publish(conn, new, "default", "test")
            time.sleep(0.1)
            assert snapshot.version == old  # not before the commit
        assert eventually(lambda: snapshot.version == new, within=1)
        assert snapshot(0, 1) == 3
        with engine.begin() as conn:
            channels.rollback(conn, "default", actor="ada", reason="worse")
        assert eventually(lambda: snapshot.version == old, within=1)
        assert snapshot(0, 1) == 2


def test_the_poll_finds_what_no_notification_told(engine: Engine, postgres_url: str, two_tables: tuple[int, int]) -> None:
    with Snapshot(postgres_url, poll_seconds=0.1) as snapshot, engine.begin() as conn:
        move = """
            INSERT INTO publication (channel, from_version, to_version, action, actor, reason)
            VALUES ('default', :old, :new, 'publish', 'ada', 'by hand') RETURNING id
        """
        publication = conn.execute(text(move), dict(zip(("old", "new"), two_tables, strict=True))).scalar_one()
        there = {"version": two_tables[1], "publication": publication}
        conn.execute(text("UPDATE channel SET table_version = :version, publication = :publication"), there)
        conn.commit()
        assert eventually(lambda: snapshot.version == two_tables[1])


def test_a_table_of_another_cluster_set_takes_over(engine: Engine, postgres_url: str, two_tables: tuple[int, int]) -> None:
    with engine.begin() as conn:
        cluster_set = world.add_clusters(conn, [*world.NAMES, "cola"])
        counted = world.add_counts(conn, cluster_set)
        model = world.add_model(conn, cluster_set, counted)
        c1, c2 = pairs(5)
        c_next = [next(c for c in range(5) if c not in pair) for pair in zip(c1, c2, strict=True)]
        mapping = world.mapping(pairs=[(0, 1)] * 20).set_column(0, "c1", [c1.astype(np.int32)])
        mapping = mapping.set_column(1, "c2", [c2.astype(np.int32)]).set_column(2, "c_next", [np.array(c_next, np.int32)])
        larger = tables.add(conn, world.request(model, counted, day=2), mapping).version
        world.evaluate(conn, larger)
    with Snapshot(postgres_url, poll_seconds=NEVER) as snapshot:
        publish(engine, larger)
        assert eventually(lambda: snapshot.version == larger)
        assert (snapshot.clusters, snapshot(4, 0), snapshot(0, 4)) == (5, 1, 1)
        assert snapshot.many(c1, c2).tolist() == c_next


def test_no_call_mixes_two_versions(engine: Engine, postgres_url: str, two_tables: tuple[int, int]) -> None:
    """Reads of all pairs, while the channel goes to and fro: every one is one table, and both are seen."""
    whole = {tuple(answers(engine, version)) for version in two_tables}
    c1, c2 = (np.tile(ids, 200) for ids in pairs(4))
    moves = 20

    def go_to_and_fro() -> None:
        for move in range(1, moves + 1):
            publish(engine, two_tables[move % 2])
            time.sleep(0.01)

    with Snapshot(postgres_url, poll_seconds=NEVER) as snapshot:
        publisher = threading.Thread(target=go_to_and_fro)
        publisher.start()
        seen, reads = set(), 0
        while publisher.is_alive():
            blocks = {tuple(block) for block in snapshot.many(c1, c2).reshape(200, 12).tolist()}
            assert len(blocks) == 1
            seen |= blocks
            reads += 1
        publisher.join()
        assert seen == whole
        assert reads > moves
        assert eventually(lambda: snapshot.version == two_tables[0])


def test_a_killed_connection_comes_back(engine: Engine, postgres_url: str, two_tables: tuple[int, int]) -> None:
    with Snapshot(postgres_url, poll_seconds=NEVER) as snapshot:
        assert eventually(lambda: listeners(engine) == 1)
        assert terminate(engine) == 1
        publish(engine, two_tables[1])  # nobody listens, and nobody polls
        assert eventually(lambda: snapshot.version == two_tables[1])
        assert snapshot.stale_since is None
        publish(engine, two_tables[0])
        assert eventually(lambda: snapshot.version == two_tables[0], within=1)
    assert eventually(lambda: listeners(engine) == 0)


def test_without_postgres_it_serves_on_and_says_so(
    engine: Engine, postgres_server: str, postgres_url: str, two_tables: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    with Snapshot(postgres_url, poll_seconds=0.2) as snapshot:
        assert eventually(lambda: listeners(engine) == 1)
        with out_of_reach(engine, postgres_server):
            assert eventually(lambda: snapshot.stale_since is not None)
            since = snapshot.stale_since
            time.sleep(1)
            assert (snapshot(0, 1), snapshot.version) == (2, two_tables[0])
            assert snapshot.many([0, 0], [1, 2]).tolist() == [2, 1]
            assert snapshot.stale_since == since
        assert eventually(lambda: snapshot.stale_since is None)
    assert caplog.text.count("channel default cannot be followed") == 1


@pytest.mark.parametrize("hours", [0, -1])
def test_a_silent_postgres_is_noticed_too(
    engine: Engine, postgres_url: str, two_tables: tuple[int, int], monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Also after the clock was set back."""
    with Snapshot(postgres_url, poll_seconds=0.1) as snapshot:
        assert eventually(lambda: listeners(engine) == 1)
        monkeypatch.setattr(follow, "datetime", off_by(timedelta(hours=hours)))
        with engine.begin() as conn:
            conn.execute(text("LOCK TABLE channel"))
            assert eventually(lambda: snapshot.stale_since is not None)
            assert snapshot(0, 1) == 2
        assert eventually(lambda: snapshot.stale_since is None)


def test_a_clock_that_is_set_forward_makes_nothing_stale(
    engine: Engine, postgres_url: str, two_tables: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Snapshot(postgres_url, poll_seconds=NEVER) as snapshot:
        assert eventually(lambda: listeners(engine) == 1)
        monkeypatch.setattr(follow, "datetime", off_by(timedelta(days=400)))
        assert snapshot.stale_since is None


@contextmanager
def out_of_reach(engine: Engine, server: str) -> Iterator[None]:
    """The database refuses everybody."""
    name = engine.url.database
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        try:
            yield
        finally:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


FOLLOWERS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'driftline snapshot'"


def terminate(engine: Engine) -> int:
    """Kills the snapshots' connections, as an administrator or a failover does; how many."""
    with engine.begin() as conn:
        return len(conn.execute(text(f"SELECT pg_terminate_backend(pid) {FOLLOWERS}")).all())


def listeners(engine: Engine) -> int:
    with engine.connect() as conn:
        return int(conn.execute(text(f"SELECT count(*) {FOLLOWERS}")).scalar_one())
