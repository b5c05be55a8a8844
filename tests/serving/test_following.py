"""Publications under load, Postgres away and back, and starts without it: real processes, and every answer is looked at."""

import http.client
import json
import os
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from driftline import embedded
from driftline.db.connection import connect, migrate
from tests.serving import versions
from tests.serving.server import Client, Server, children, eventually, serving
from tests.serving.versions import ITEMS, SIZE, Version

NEVER = "PT3600S"
"""A poll interval with which only a notification can tell."""
PUBLICATIONS = 20


@pytest.fixture
def engine(make_database: Callable[[], str]) -> Iterator[Engine]:
    engine = connect(make_database())
    yield engine
    engine.dispose()


def url_of(engine: Engine) -> str:
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def made(engine: Engine, number: int) -> Version:
    with engine.begin() as conn:
        return versions.add(conn, number)


def every_process_serves(server: Server, version: Version) -> bool:
    """As the slowest of them says."""
    lines = server.once("/metrics").body.decode().splitlines()
    return f'driftline_serving_table_version{{channel="default"}} {float(version.version)}' in lines


class Load(threading.Thread):
    """Asks for batches and single answers without a pause, and checks each against the one version that it names."""

    def __init__(self, port: int, known: dict[int, Version]) -> None:
        super().__init__()
        self._client, self._known = Client(port), known
        self.asked, self.answered, self.wrong = 0, 0, list[str]()
        self.seen: list[int] = []
        self.ended = False

    def run(self) -> None:
        pairs = [(i, j) for i in range(SIZE) for j in range(SIZE) if i != j]
        while not self.ended:
            for asks in ([{"items": [ITEMS[i], ITEMS[j]]} for i, j in pairs], {"items": ITEMS[:2]}):
                self.asked += 1
                try:
                    reply = self._client.post("/v1/next", asks)
                except (OSError, http.client.HTTPException) as error:
                    self.wrong.append(f"lost: {error!r}")
                    return
                if reply.status != 200:
                    self.wrong.append(f"{reply.status}: {reply.body!r}")
                    continue
                many = isinstance(asks, list)
                self._check(reply.json if many else [reply.json], pairs if many else [(0, 1)])
                self.answered += 1
        self._client.close()

    def _check(self, answers: list[Any], pairs: list[tuple[int, int]]) -> None:
        number = {answer["version"] for answer in answers}
        if len(number) != 1 or len(answers) != len(pairs):
            self.wrong.append(f"{len(answers)} answers of {number}")
            return
        version = self._known[number.pop()]
        self.seen.append(version.number)
        for answer, (i, j) in zip(answers, pairs, strict=True):
            pair = [version.interest(i), version.interest(j)]
            interest = version.next(*pair)
            expected = (version.cluster_set, pair, interest, version.name(interest))
            found = answer["next"][0]
            if (answer["cluster_set"], answer["pair"], found["interest"], found["name"]) != expected:
                self.wrong.append(f"version {version.version}: {answer}")


def test_no_answer_is_lost_or_mixed_while_twenty_tables_are_published(engine: Engine, tmp_path: Path) -> None:
    """Each table has a cluster set of its own, in which items and names are others: a mixture would be seen."""
    known = [made(engine, number) for number in range(PUBLICATIONS + 1)]
    versions.publish(engine, known[0])
    with serving(tmp_path, url_of(engine), poll=NEVER) as server:
        clients = [Load(server.port, {one.version: one for one in known}) for _ in range(4)]
        for client in clients:
            client.start()
        for version in known[1:]:
            versions.publish(engine, version)
            reached = eventually(lambda version=version: every_process_serves(server, version))  # type: ignore[misc]
            assert reached, server.log
        for client in clients:
            client.ended = True
            client.join()
        assert [wrong for client in clients for wrong in client.wrong] == []
        assert sum(client.asked for client in clients) == sum(client.answered for client in clients) > 4 * PUBLICATIONS
        for client in clients:  # a connection stays with a process, and a process does not go back
            assert client.seen == sorted(client.seen)
            assert client.seen[-1] == PUBLICATIONS
        assert len(Counter(number for client in clients for number in client.seen)) == PUBLICATIONS + 1


def test_items_that_came_later_are_those_of_the_table(engine: Engine, tmp_path: Path) -> None:
    """Two tables of one cluster set: the newer one was counted when two items had come, and the first only one of them."""
    with engine.begin() as conn:
        first, second = versions.add_with_late_items(conn, [{"late-0": 0}, {"late-1": 1}])
    versions.publish(engine, first)
    with serving(tmp_path, url_of(engine), processes=1) as server:
        client = server.client()
        asks: list[dict[str, Any]] = [{"items": ["late-0", "item-3"]}, {"items": ["late-1", "item-3"]}]
        assert [one["unknown_items"] for one in client.post("/v1/next", asks).json] == [0, 1]
        versions.publish(engine, second)
        assert eventually(lambda: every_process_serves(server, second))
        found = client.post("/v1/next", asks).json
        assert [one["pair"] for one in found] == [[0, second.interest(3)], [1, second.interest(3)]]
        client.close()


def test_a_publication_without_notification_is_found_by_looking(engine: Engine, tmp_path: Path) -> None:
    first, second = made(engine, 1), made(engine, 2)
    versions.publish(engine, first)
    with serving(tmp_path, url_of(engine), poll="PT0.2S") as server:
        with engine.begin() as conn:
            move = """INSERT INTO publication (channel, from_version, to_version, action, actor, reason)
                      VALUES ('default', :old, :new, 'publish', 'ada', 'by hand') RETURNING id"""
            publication = conn.execute(text(move), {"old": first.version, "new": second.version}).scalar_one()
            there = {"version": second.version, "publication": publication}
            conn.execute(text("UPDATE channel SET table_version = :version, publication = :publication"), there)
        assert eventually(lambda: every_process_serves(server, second))


def test_an_approval_that_is_taken_back_is_said(engine: Engine, tmp_path: Path) -> None:
    """It goes on serving: what to do is a person's decision."""
    versions.publish(engine, served := made(engine, 1))
    with serving(tmp_path, url_of(engine), poll="PT0.2S") as server:
        client = server.client()
        assert client.next()["approved"] is True
        with engine.begin() as conn:
            revoked = "INSERT INTO verdict (table_version, decision, reviewer, reason) VALUES (:v, 'revoke', 'ada', 'doubled')"
            conn.execute(text(revoked), {"v": served.version})
        assert eventually(lambda: client.next()["approved"] is False)
        found = client.next(items=ITEMS[:2])
        assert (found["version"], found["next"][0]["how"]) == (served.version, "pair")
        (listed,) = client.get("/v1/channels").json
        assert listed["approved"] is False
        client.close()


def test_a_server_may_start_before_the_first_publication(engine: Engine, tmp_path: Path) -> None:
    with serving(tmp_path, url_of(engine), poll=NEVER) as server:
        assert server.once("/healthz").status == 200
        ready = server.once("/readyz")
        assert (ready.status, "nothing is published on channel 'default'" in ready.json["error"]) == (503, True)
        client = server.client()
        assert client.post("/v1/next", {}).status == 503
        client.close()
        versions.publish(engine, made(engine, 1))
        assert eventually(lambda: server.once("/readyz").status == 200)


def test_a_process_that_dies_is_replaced(engine: Engine, tmp_path: Path) -> None:
    versions.publish(engine, made(engine, 1))
    with serving(tmp_path, url_of(engine)) as server:
        before = children(server.process.pid)
        versions.publish(engine, newer := made(engine, 2))
        for one in before:
            os.kill(one, signal.SIGKILL)
        assert eventually(lambda: len(children(server.process.pid) - before) == 2)
        assert eventually(lambda: every_process_serves(server, newer)), "what it was forked from knows no table"


def test_processes_end_with_their_parent(engine: Engine, tmp_path: Path) -> None:
    versions.publish(engine, made(engine, 1))
    with serving(tmp_path, url_of(engine)) as server:
        started = children(server.process.pid)
        server.process.kill()
        assert eventually(lambda: not any(Path("/proc", str(pid)).exists() for pid in started))


def test_the_parent_has_one_thread(engine: Engine, tmp_path: Path) -> None:
    """Of several, a fork would keep one, and what the others held."""
    with serving(tmp_path, url_of(engine)) as server:
        assert len(list(Path(f"/proc/{server.process.pid}/task").iterdir())) == 1


@pytest.fixture
def home() -> Iterator[Path]:
    """With an embedded Postgres of its own, to be killed. Not in pytest's folders: those are closed to Postgres' user."""
    home = Path(tempfile.mkdtemp(prefix="driftline-test-"))
    try:
        migrate(embedded.start_postgres(home))
        yield home
    finally:
        embedded.stop(home)
        shutil.rmtree(home)


def test_postgres_is_killed_and_comes_back(home: Path) -> None:
    engine = connect(embedded.status(home).postgres_url)
    known = [made(engine, number) for number in range(2)]
    versions.publish(engine, known[0])
    engine.dispose()
    with serving(home, poll="PT0.5S") as server:
        load = Load(server.port, {one.version: one for one in known})
        load.start()
        process = embedded.status(home).postgres
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        client = server.client()
        assert eventually(lambda: client.next()["stale_since"] is not None)
        assert "not confirmed since" in client.get("/readyz").body.decode()
        since, age = (client.next()[name] for name in ("stale_since", "age_seconds"))
        time.sleep(1)
        found = client.next(items=ITEMS[:2])
        assert (found["version"], found["stale_since"]) == (known[0].version, since)
        assert found["age_seconds"] > age
        engine = connect(embedded.start_postgres(home))
        versions.publish(engine, known[1])
        engine.dispose()
        assert eventually(lambda: every_process_serves(server, known[1]))
        assert eventually(lambda: client.next()["stale_since"] is None)
        load.ended = True
        load.join()
        assert (load.wrong, load.asked) == ([], load.answered)
        client.close()


def test_a_start_without_postgres_serves_the_copy(home: Path) -> None:
    engine = connect(embedded.status(home).postgres_url)
    known = [made(engine, number) for number in range(3)]
    versions.publish(engine, known[0])
    versions.publish(engine, known[1], "treatment")
    with serving(home) as server:
        assert every_process_serves(server, known[0])
    engine.dispose()
    embedded.stop(home)
    with serving(home, poll="PT0.5S") as server:
        client = server.client()
        for version, channel in zip(known, ("default", "treatment"), strict=False):
            found = client.next(items=ITEMS[:2], channel=channel)
            assert found["version"] == version.version
            assert found["next"][0]["interest"] == version.next(version.interest(0), version.interest(1))
            assert found["stale_since"] is not None
        assert eventually(lambda: complaints(server) == 2)
        time.sleep(1)
        assert complaints(server) == 2, "each process says so, once"
        assert every_process_serves(server, known[0])
        engine = connect(embedded.start_postgres(home))
        versions.publish(engine, known[2])
        engine.dispose()
        assert eventually(lambda: every_process_serves(server, known[2]))
        assert eventually(lambda: client.next()["stale_since"] is None)
        client.close()


def complaints(server: Server) -> int:
    return sum("the channels cannot be followed" in line for line in server.log)


def test_a_damaged_copy_is_not_served(engine: Engine, tmp_path: Path) -> None:
    first, second = made(engine, 1), made(engine, 2)
    versions.publish(engine, first)
    versions.publish(engine, second, "treatment")
    with serving(tmp_path, url_of(engine), processes=1):
        pass
    (damaged,) = _copies_of(engine, tmp_path, first)
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-70] + bytes([whole[-70] ^ 1]) + whole[-69:])
    shutil.copytree(tmp_path, tmp_path / "other")
    with serving(tmp_path / "other", "postgresql://nobody@127.0.0.1:1/nowhere", processes=1) as server:
        client = server.client()
        assert client.post("/v1/next", {"channel": "default"}).status == 404
        assert client.next(items=ITEMS[:2], channel="treatment")["version"] == second.version
        assert any("is damaged: its content is not its hash" in line for line in server.log)
        client.close()
    with serving(tmp_path, url_of(engine), processes=1) as server:
        client = server.client()
        found = client.next(items=ITEMS[:2])
        assert found["next"][0]["interest"] == first.next(first.interest(0), first.interest(1))
        client.close()
    assert damaged.read_bytes() == whole, "read from Postgres again"


def test_a_copy_of_another_database_is_not_served(engine: Engine, make_database: Callable[[], str], tmp_path: Path) -> None:
    """Versions are numbers of one database: a home may meet another one."""
    other = connect(make_database())
    versions.publish(engine, here := made(engine, 1))
    versions.publish(other, there := made(other, 2))
    assert here.version == there.version
    with serving(tmp_path, url_of(engine), processes=1):
        pass
    with serving(tmp_path, url_of(other), processes=1) as server:
        client = server.client()
        found = client.next(items=ITEMS[:2])
        assert found["next"][0]["name"] == there.name(there.next(there.interest(0), there.interest(1)))
        client.close()
    other.dispose()


def _copies_of(engine: Engine, home: Path, version: Version) -> list[Path]:
    with engine.connect() as conn:
        key = conn.execute(text("SELECT key FROM transition_table WHERE version = :v"), {"v": version.version}).scalar_one()
    return list((home / "serving").glob(f"{key[:24]}-*.table"))


def test_the_copy_says_what_each_channel_served(engine: Engine, tmp_path: Path) -> None:
    versions.publish(engine, first := made(engine, 1))
    with serving(tmp_path, url_of(engine)):
        pass
    (row,) = json.loads((tmp_path / "serving" / "channels.json").read_text())
    assert (row["channel"], row["version"]) == ("default", first.version)
    assert not list((tmp_path / "serving").glob("*.new"))
