"""A thread that learns of every publication: by LISTEN, and by asking every few seconds in case a notification is lost."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.connection import wait
from socket import socketpair

import psycopg

from driftline.db.connection import POOLED, connect

NOTIFICATION = "driftline_publication"
"""LISTEN to this to learn of a move; the payload is JSON: channel, from, to, action, publication."""
PATIENCE = 10  # seconds for an address that does not answer, and for a network that swallows everything
RETRY_SECONDS = 0.5


def listen(url: str, application: str) -> psycopg.Connection:
    """A connection of a follower.

    Raises:
        ValueError: the URL is not Postgres.
        psycopg.OperationalError: Postgres does not answer.
    """
    engine = connect(url)
    _, target = engine.dialect.create_connect_args(engine.url)  # not the URL as text: libpq takes its `+` for a plus
    limits = {**POOLED, "connect_timeout": PATIENCE, "tcp_user_timeout": PATIENCE * 1000}
    conn = psycopg.connect(autocommit=True, fallback_application_name=application, **{**limits, **target})
    with suppress(psycopg.errors.ReadOnlySqlTransaction):  # a standby cannot listen: there the poll has to do
        conn.execute(f"LISTEN {NOTIFICATION}")
    return conn


class Follower:
    """Calls `refresh(connection)` at once, after each notification and every `poll_seconds`, and goes on whatever it raises.

    Make it in the process that uses it (threads do not survive a fork), and close it.
    """

    def __init__(
        self,
        what: str,
        open_: Callable[[], psycopg.Connection],
        refresh: Callable[[psycopg.Connection], None],
        *,
        poll_seconds: float,
        conn: psycopg.Connection | None = None,
        confirmed: datetime | None = None,
    ) -> None:
        """Does not wait for Postgres.

        Args:
            what: for the log, e.g. "channel default".
            conn: a connection that `open_` has made, and with which the caller has refreshed already.
            confirmed: when Postgres confirmed what is served now, if that is not now.
        """
        self._what, self._open, self._refresh, self._poll_seconds = what, open_, refresh, poll_seconds
        self._confirmed, self._lost, self._closing = confirmed or datetime.now(UTC), confirmed is not None, False
        self._heard = time.monotonic()
        self.tried = threading.Event()
        """Set when Postgres has been asked once, with whatever success."""
        self._bell, self._ringer = socketpair()
        name = f"driftline-{what.rpartition(' ')[2]}"
        self._thread = threading.Thread(target=self._follow, args=(conn,), name=name, daemon=True)
        self._thread.start()

    @property
    def stale_since(self) -> datetime | None:
        """When Postgres last confirmed what is served, if it is out of reach now or silent for three polls; else None."""
        confirmed = self._confirmed
        late = time.monotonic() - self._heard > 3 * self._poll_seconds
        return confirmed if self._lost or late else None

    def close(self) -> None:
        """End the thread and its connection."""
        self._closing = True
        self._ringer.close()
        self._thread.join(PATIENCE)

    def _follow(self, conn: psycopg.Connection | None) -> None:
        warned = False
        while not self._closing:
            try:
                conn = self._open() if conn is None or conn.closed else conn
                self._refresh(conn)
                self._confirmed, self._heard, self._lost, warned = datetime.now(UTC), time.monotonic(), False, False
                self.tried.set()
                # A notification that came along with the answer is not in the socket any more.
                if not list(conn.notifies(timeout=0)):
                    wait([conn.fileno(), self._bell], self._poll_seconds)
            except Exception as error:  # whatever it is, serving goes on, and `stale_since` tells
                if not warned:
                    logging.getLogger(__name__).warning("%s cannot be followed: %s", self._what, error)
                self._lost = warned = True
                self.tried.set()
                if conn is not None:
                    conn.close()
                wait([self._bell], min(RETRY_SECONDS, self._poll_seconds))
        if conn is not None:
            conn.close()
        self._bell.close()
