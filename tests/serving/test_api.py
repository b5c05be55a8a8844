"""What a client sees: a real server on a real Postgres."""

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import Engine

from driftline.db.connection import connect
from driftline.interests.assignment import channel_of
from driftline.interests.pairs import pairs
from driftline.serving import openapi
from driftline.serving.messages import MAX_HISTORY, MAX_REQUESTS, Channel, NextInterests
from tests.serving import versions
from tests.serving.server import Client, Server, eventually, serving
from tests.serving.versions import SIZE, Version

WEIGHTS = {"default": 0.75, "treatment": 0.25}


@pytest.fixture(scope="module")
def engine(make_database: Callable[[], str]) -> Iterator[Engine]:
    engine = connect(make_database())
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def both(engine: Engine) -> tuple[Version, Version]:
    """On `default` and on `treatment`."""
    with engine.begin() as conn:
        made = versions.add(conn, 1), versions.add(conn, 2)
    versions.publish(engine, made[0])
    versions.publish(engine, made[1], "treatment")
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, engine: Engine, both: tuple[Version, Version]) -> Iterator[Server]:
    """It may only read."""
    role = {"options": "-c role=driftline_reader"}
    url = engine.url.set(drivername="postgresql").update_query_dict(role).render_as_string(hide_password=False)
    home = tmp_path_factory.mktemp("home")
    with serving(home, url, channels=json.dumps(WEIGHTS), salt="x", poll="PT3600S") as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    client = server.client()
    yield client
    client.close()


def test_items_become_the_next_interest_of_the_same_version(client: Client, both: tuple[Version, Version]) -> None:
    for version, channel in zip(both, WEIGHTS, strict=True):
        found = client.next(items=["item-0", "item-3"], channel=channel)
        pair = [version.interest(0), version.interest(3)]
        interest = version.next(*pair)
        assert found["next"] == [{"interest": interest, "name": version.name(interest), "how": "pair", "score": None}]
        assert (found["pair"], found["novel"], found["unknown_items"]) == (pair, True, 0)
        assert (found["version"], found["cluster_set"], found["channel"]) == (version.version, version.cluster_set, channel)
        assert found["stale_since"] is None
        assert 0 <= found["age_seconds"] < 3600
        assert client.get(f"/v1/channels/{channel}/interest/{pair[0]}/{pair[1]}").json["next"] == found["next"]


@pytest.mark.parametrize(
    ("ask", "how", "unknown"),
    [
        ({"interests": [0, 1]}, "pair", 0),
        ({"interests": [1]}, "backed_off", 0),  # the counts know what follows upon 1 and 0
        ({"interests": [1, 1, 1]}, "backed_off", 0),
        ({"interests": [4]}, "popular", 0),
        ({"interests": []}, "popular", 0),
        ({}, "popular", 0),
        ({"items": []}, "popular", 0),
        ({"items": ["item-9", 17, ""]}, "popular", 3),
        ({"items": ["item-9", "item-0"]}, "backed_off", 1),
        ({"items": ["item-0", "item-9", "item-1"]}, "pair", 1),
        ({"interests": [0, 1, 2, 3, 4]}, "pair", 0),
    ],
)
def test_every_history_has_an_answer_and_says_which(client: Client, ask: dict[str, Any], how: str, unknown: int) -> None:
    found = client.next(**ask)
    assert [one["how"] for one in found["next"]] == [how]
    assert found["unknown_items"] == unknown
    history = ask.get("interests", [])
    assert found["novel"] == (set(history) != set(range(SIZE)))
    assert not found["novel"] or found["next"][0]["interest"] not in history


def test_more_than_one_interest(client: Client, both: tuple[Version, Version]) -> None:
    found = client.next(interests=[1, 0], top=9)["next"]
    assert found[0]["how"] == "pair"
    assert sorted(one["interest"] for one in found) == [2, 3, 4]
    assert all(one["name"] == both[0].name(one["interest"]) for one in found)


def test_a_batch_is_answered_in_its_order(client: Client, both: tuple[Version, Version]) -> None:
    random = np.random.default_rng(0)
    drawn = [(list(WEIGHTS)[random.integers(2)], random.choice(SIZE, 2, replace=False)) for _ in range(3_000)]
    asks = [{"items": [f"item-{i}" for i in items], "channel": channel} for channel, items in drawn]
    reply = client.post("/v1/next", asks)
    assert reply.status == 200
    assert len(reply.json) == len(asks)
    by_channel = dict(zip(WEIGHTS, both, strict=True))
    for (channel, items), found in zip(drawn, reply.json, strict=True):
        version = by_channel[channel]
        pair = [version.interest(int(item)) for item in items]
        assert (found["version"], found["pair"]) == (version.version, pair)
        assert found["next"][0]["interest"] == version.next(*pair)
    assert client.post("/v1/next", []).json == []


def test_users_get_their_channel_by_the_weights_and_keep_it(
    server: Server, client: Client, both: tuple[Version, Version]
) -> None:
    """In a list or alone, in whichever process, whatever they have had."""
    users = [f"user-{number}" for number in range(1000)]
    found = client.post("/v1/next", [{"user": user} for user in users]).json
    assert [one["channel"] for one in found] == [channel_of(user, WEIGHTS, "x") for user in users]
    served = {channel: version.version for channel, version in zip(WEIGHTS, both, strict=True)}
    assert all(one["version"] == served[one["channel"]] for one in found)
    expected = 1000 * WEIGHTS["treatment"]
    assert abs(sum(one["channel"] == "treatment" for one in found) - expected) < 4 * (expected * WEIGHTS["default"]) ** 0.5

    others = [server.client() for _ in range(8)]
    for number, (user, before) in enumerate(zip(users, found, strict=True)):
        again = others[number % len(others)].next(user=user, items=[f"item-{number % SIZE}"], top=2)
        assert (again["channel"], again["version"]) == (before["channel"], before["version"])
    for other in others:
        other.close()
    assert client.next(user=users[0], channel="treatment")["channel"] == "treatment"
    assert client.next()["channel"] == "default"


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/v1/next", b"{", 400, "is not JSON"),
        ("/v1/next", b"\xff", 400, "is not JSON"),
        ("/v1/next", b"", 400, "is not JSON"),
        ("/v1/next", b"17", 422, "Expected"),
        ("/v1/next", {"item": ["a"]}, 422, "unknown field `item`"),
        ("/v1/next", {"interests": ["a"]}, 422, "$.interests[0]"),
        ("/v1/next", {"interests": [-1]}, 422, ">= 0"),
        ("/v1/next", {"interests": [0, 5]}, 422, "interest 5: cluster set"),
        ("/v1/next", {"interests": [0], "items": ["a"]}, 422, "not both"),
        ("/v1/next", {"items": ["x" * 501]}, 422, "<= 500"),
        ("/v1/next", {"items": [None]}, 422, "$.items[0]"),
        ("/v1/next", {"items": ["x"] * (MAX_HISTORY + 1)}, 422, "<= 1000"),
        ("/v1/next", {"top": 0}, 422, ">= 1"),
        ("/v1/next", {"cluster_set": 999_999}, 409, "serves cluster set"),
        ("/v1/next", {"channel": "nowhere"}, 404, "nothing is published on channel 'nowhere'"),
        ("/v1/next", [{}, {"interests": [7]}], 422, "request 1: interest 7"),
        ("/v1/next", [{}] * 201 + [{"channel": "nowhere"}], 404, "nowhere"),
        ("/v1/next", [{}] * (MAX_REQUESTS + 1), 422, "<= 10000"),
        ("/v1/channels", {}, 405, "another method"),
        ("/nowhere", {}, 404, "no such address"),
    ],
)
def test_a_bad_request_gets_one_sentence(client: Client, path: str, body: Any, status: int, says: str) -> None:
    reply = client.post(path, body)
    assert reply.status == status, reply
    assert says in reply.json["error"]
    assert list(reply.json) == ["error"]
    assert "\n" not in reply.json["error"]
    assert client.next()["next"], "the server goes on"


def test_lone_surrogates_are_no_fault(client: Client) -> None:
    """JSON can write half of a character; no item has such an id."""
    reply = client.post("/v1/next", b'{"items": ["\\ud800", "item-0"], "user": "\\udfff"}')
    assert reply.status in (200, 400)


def test_a_body_without_end_is_cut_off(client: Client) -> None:
    reply = client.post("/v1/next", b"[" + b" " * (17 * 2**20) + b"]")
    assert reply.status == 413


def test_the_whole_table_for_others(client: Client, both: tuple[Version, Version]) -> None:
    c1, c2 = pairs(SIZE)
    expected = [both[0].next(a, b) for a, b in zip(c1.tolist(), c2.tolist(), strict=True)]
    reply = client.get("/v1/channels/default/table.npy")
    matrix = np.load(io.BytesIO(reply.body))
    assert (matrix.shape, matrix.dtype) == ((SIZE, SIZE), np.int16)
    assert matrix[c1, c2].tolist() == expected
    assert (np.diag(matrix) == -1).all()
    assert reply.headers["driftline-version"] == str(both[0].version)
    arrow = client.get("/v1/channels/default/table.arrow")
    table = pa.ipc.open_stream(arrow.body).read_all()
    assert table.to_pydict() == {"c1": c1.tolist(), "c2": c2.tolist(), "c_next": expected}
    assert table.schema.metadata[b"version"] == str(both[0].version).encode()
    for first, name in ((reply, "npy"), (arrow, "arrow")):
        again = client.get(f"/v1/channels/default/table.{name}", If_None_Match=first.headers["etag"])
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert client.get("/v1/channels/treatment/table.npy", If_None_Match=reply.headers["etag"]).status == 200
    assert client.get("/v1/channels/default/table.csv").status == 404
    assert client.get("/v1/channels/nowhere/table.npy").status == 404
    for wait in ("-1", "61", "x", "1.5", "٣"):
        assert client.get(f"/v1/channels/default/table.npy?wait={json.dumps(wait)[1:-1]}").status == 422


def test_a_long_poll_ends_with_the_publication(server: Server, client: Client, engine: Engine) -> None:
    with engine.begin() as conn:
        third, fourth = versions.add(conn, 3), versions.add(conn, 4)
    versions.publish(engine, third, "polled")
    path = "/v1/channels/polled/table.npy"
    assert eventually(lambda: client.get(path).status == 200)
    etag = client.get(path).headers["etag"]
    began = time.monotonic()
    assert client.get(f"{path}?wait=1", If_None_Match=etag).status == 304
    assert time.monotonic() - began >= 1
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.append(client.get(f"{path}?wait=60", If_None_Match=etag)))
    waiting.start()
    other = server.client()
    assert other.next()["next"], "others are answered meanwhile"
    other.close()
    assert waiting.is_alive()
    versions.publish(engine, fourth, "polled")
    waiting.join(60)
    assert (found[0].status, found[0].headers["driftline-version"]) == (200, str(fourth.version))
    assert np.load(io.BytesIO(found[0].body))[0, 1] == fourth.next(0, 1)
    assert client.get(f"{path}?wait=60", If_None_Match=etag).status == 200, "who is late does not wait"


def test_channels_health_and_metrics(server: Server, client: Client, both: tuple[Version, Version]) -> None:
    listed = {one["channel"]: one for one in client.get("/v1/channels").json}
    assert [listed[name]["version"] for name in WEIGHTS] == [one.version for one in both]
    assert (listed["default"]["interests"], listed["default"]["items"]) == (SIZE, SIZE)
    assert client.get("/healthz").body == client.get("/readyz").body == b"ok\n"
    before = _metric(server, "driftline_serving_answers_total", 'channel="treatment",how="pair"')
    for _ in range(10):  # over ten connections, so by both processes
        other = server.client()
        other.next(interests=[0, 1], channel="treatment")
        other.close()
    assert _metric(server, "driftline_serving_answers_total", 'channel="treatment",how="pair"') == before + 10
    assert _metric(server, "driftline_serving_table_version", 'channel="default"') == both[0].version
    assert _metric(server, "driftline_serving_requests_total", 'endpoint="next",status="200"') >= 10
    assert _metric(server, "driftline_serving_seconds_count", 'endpoint="next"') >= 10


def _metric(server: Server, name: str, labels: str) -> float:
    lines = server.once("/metrics").body.decode().splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name}{{{labels}}}")), 0.0)


def always(kind: type[msgspec.Struct]) -> list[str]:
    """The fields that stand in every answer, whatever was asked for."""
    return [field.name for field in msgspec.structs.fields(kind) if field.default is not msgspec.UNSET]


def test_the_document_says_what_is_true(client: Client) -> None:
    document = client.get("/openapi.json").json
    assert document["openapi"] == "3.1.0"
    assert set(document["components"]["schemas"]) >= {"Ask", "NextInterests", "Next", "Channel", "Problem"}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            values = {p["name"]: str(p["example"]) for p in operation.get("parameters", []) if p["in"] == "path"}
            concrete = path.format(**(values | {"c1": "0", "c2": "1"}))
            if method == "get":
                reply = client.get(concrete)
            else:
                examples = operation["requestBody"]["content"]["application/json"]["examples"]
                reply = client.post(concrete, examples["batch"]["value"])
            assert str(reply.status) in operation["responses"], path
            assert reply.status in (200, 422), path
    assert client.next(**openapi.EXAMPLE_ASK)["next"]
    for example, kind in ((openapi.EXAMPLE_ANSWER, NextInterests), (openapi.EXAMPLE_CHANNEL, Channel)):
        assert list(example) == always(kind)
        assert json.loads(msgspec.json.encode(msgspec.convert(example, kind))) == example


def test_an_answer_has_the_fields_of_the_document(client: Client) -> None:
    for found in (client.next(), client.next(interests=[0, 1])):
        assert set(found) == set(always(NextInterests))
        msgspec.convert(found, NextInterests)


def test_no_home_is_needed_to_serve(tmp_path: Path, engine: Engine, both: tuple[Version, Version]) -> None:
    """Where no copy can be kept, tables stay in memory."""
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    (tmp_path / "serving").write_text("a file where a folder should be")
    with serving(tmp_path, url, processes=1) as server:
        client = server.client()
        assert client.next(items=["item-0", "item-3"])["version"] == both[0].version
        assert any("no copies in" in line for line in server.log)
        client.close()
