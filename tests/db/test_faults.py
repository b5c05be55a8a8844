"""What Postgres refuses or leaves unsaid is tried again, and is then there once."""

import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from driftline.contracts import MappingRef
from driftline.db import channels, connection, counts, tables
from driftline.workflows import policies
from tests.db import world
from tests.db.logins import logged_in


def is_retried(error: BaseException, policy: str = "record") -> bool:
    """Whether Temporal tries a step again that raised it: it goes by the name of the class."""
    hopeless = getattr(policies, policy)["retry_policy"].non_retryable_error_types
    return type(error).__name__ not in hopeless


@contextmanager
def another(url: str) -> Iterator[Engine]:
    own = connection.connect(url)
    yield own
    own.dispose()


@pytest.mark.parametrize("policy", ["record", "store", "verdict"])
@pytest.mark.parametrize("code", ["40001", "40P01", "25006", "53100", "53300", "57P01"])
def test_what_may_heal_is_tried_again(conn: Connection, code: str, policy: str) -> None:
    """Serialization, deadlock, read-only, a full disk, too many connections, shut down by an administrator."""
    with pytest.raises(DBAPIError) as caught, conn.begin_nested():
        conn.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$"))
    assert is_retried(caught.value, policy)


def test_a_read_only_postgres_takes_it_later(engine: Engine) -> None:
    with logged_in(engine, "worker") as url, another(url) as own:
        with engine.begin() as conn:
            cluster_set = world.add_clusters(conn)
            name = conn.execute(text("SELECT current_database()")).scalar_one()
            conn.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        with pytest.raises(DBAPIError) as caught, own.begin() as conn:
            world.add_counts(conn, cluster_set)
        assert is_retried(caught.value)
        with engine.connect() as conn:
            conn.execute(text("SET default_transaction_read_only = off"))
            conn.execute(text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))
            conn.commit()
        own.dispose()
        with own.begin() as conn:
            assert counts.get(conn, world.add_counts(conn, cluster_set)).triples == 9


def test_a_postgres_out_of_connections_takes_it_later(engine: Engine) -> None:
    with logged_in(engine, "worker") as url, another(url) as own:
        with engine.begin() as conn:
            cluster_set = world.add_clusters(conn)
        with own.connect() as conn:
            login = conn.execute(text("SELECT session_user")).scalar_one()
        own.dispose()
        with engine.begin() as conn:
            conn.execute(text(f'ALTER ROLE "{login}" CONNECTION LIMIT 0'))
        with pytest.raises(OperationalError) as caught, own.begin():
            pass
        assert is_retried(caught.value)
        with engine.begin() as conn:
            conn.execute(text(f'ALTER ROLE "{login}" CONNECTION LIMIT -1'))
        with own.begin() as conn:
            assert world.add_counts(conn, cluster_set)


@contextmanager
def losing_replies(port: int) -> Iterator[int]:
    """A port that leads to Postgres, and hangs up where Postgres says that it has committed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    server = socket.create_connection(("127.0.0.1", port))
                    threading.Thread(target=forward, args=(client, server, False), daemon=True).start()
                    threading.Thread(target=forward, args=(server, client, True), daemon=True).start()

        def forward(source: socket.socket, to: socket.socket, answers: bool) -> None:
            with suppress(OSError):
                while data := source.recv(65_536):
                    if answers and b"COMMIT\0" in data and wrote.is_set():
                        break
                    if not answers and b"INSERT" in data:
                        wrote.set()
                    to.sendall(data)
                for each in (source, to):
                    each.shutdown(socket.SHUT_RDWR)

        wrote = threading.Event()
        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]


@pytest.mark.parametrize("step", ["counts", "table", "publication"])
def test_a_commit_whose_reply_is_lost_is_found_by_the_next_attempt(engine: Engine, step: str) -> None:
    with engine.begin() as conn:
        cluster_set = world.add_clusters(conn)
        ready = world.add_good_table(conn) if step == "publication" else 0
    steps: dict[str, Callable[[Connection], object]] = {
        "counts": lambda conn: world.add_counts(conn, cluster_set, day=3),
        "table": lambda conn: world.add_table(conn, day=3),
        "publication": lambda conn: channels.publish(conn, ready, "default", "driftline", run=world.RUN).outcome,
    }
    rows = {"counts": "counts", "table": "transition_table", "publication": "publication"}[step]
    assert engine.url.port is not None
    with losing_replies(engine.url.port) as port, another(engine.url.set(port=port).render_as_string(False)) as lost:
        with pytest.raises(OperationalError) as caught, lost.begin() as conn:
            steps[step](conn)
        assert is_retried(caught.value)
        lost.dispose()
    with engine.begin() as conn:
        assert conn.execute(text(f"SELECT count(*) FROM {rows}")).scalar_one() == 1  # it was committed
        first = steps[step](conn)
    with engine.begin() as conn:
        assert conn.execute(text(f"SELECT count(*) FROM {rows}")).scalar_one() == 1
        assert steps[step](conn) == first


def test_a_disk_that_is_full_in_mid_copy_leaves_nothing_half(engine: Engine) -> None:
    """Postgres' process may write no more than 17 MiB to a file, and the table's rows are more than that."""
    interests = 512
    pairs = np.array([(c1, c2) for c1 in range(interests) for c2 in range(interests) if c1 != c2], np.int32)
    rows = pa.table({"c1": pairs[:, 0], "c2": pairs[:, 1], "c_next": _third(pairs), "exact": np.ones(len(pairs), bool)})
    rows = rows.append_column("free", pa.nulls(len(pairs), pa.string()))
    with engine.begin() as conn:
        cluster_set = world.add_clusters(conn, [f"interest {number}" for number in range(interests)])
        counted = world.add_counts(conn, cluster_set)
        asked = world.request(world.add_model(conn, cluster_set, counted), counted)
        asked = replace(asked, mapping=MappingRef("file:///mapping", "mapping", len(pairs), len(pairs), computed=world.COMPUTED))
        server = psutil.Process(conn.execute(text("SELECT pg_backend_pid()")).scalar_one())
    server.rlimit(resource.RLIMIT_FSIZE, (17 << 20, resource.RLIM_INFINITY))
    with pytest.raises(Exception, match="File too large") as caught, engine.begin() as conn:
        tables.add(conn, asked, rows)
    assert is_retried(caught.value, "store")
    server.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with engine.begin() as conn:
        assert conn.execute(text("SELECT (SELECT count(*) FROM transition_table), to_regclass('transition_v1')")).one() == (
            0,
            None,
        )
        made = tables.add(conn, asked, rows)
    with engine.connect() as conn:
        assert (tables.get(conn, made.version).rows, tables.get(conn, made.version).complete) == (len(pairs), True)


def _third(pairs: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """The first interest that is in neither place."""
    low = pairs.min(1)
    return np.where(low > 0, 0, np.where(pairs.max(1) > 1, 1, 2)).astype(np.int32)
