"""Items of the next interests: what a client sees where they are switched on, and where they are not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from driftline.db.connection import connect
from tests.serving import versions
from tests.serving.recommender import D, add_recommender
from tests.serving.server import Client, eventually, serving
from tests.serving.versions import SIZE, Version

EACH = 6
STARTS = [c * EACH for c in range(SIZE + 1)]


@dataclass(frozen=True)
class Made:
    version: Version
    home: Path
    url: str
    engine: Engine
    best: list[list[str]]
    """The items of each interest, most popular first."""


@pytest.fixture(scope="module")
def made(make_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    engine, home = connect(make_database()), tmp_path_factory.mktemp("home")
    with engine.begin() as conn:
        version = versions.add(conn, 1)
    versions.publish(engine, version)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(SIZE * EACH, D + 1)).astype(np.float32)
    # The histories' own items are among them, each in its interest.
    items = [f"thing-{row}" for row in range(SIZE * EACH)]
    for item in range(SIZE):
        items[version.interest(item) * EACH] = versions.ITEMS[item]
    order = [np.argsort(-vectors[c * EACH : (c + 1) * EACH, -1]) + c * EACH for c in range(SIZE)]
    add_recommender(engine, home, version.cluster_set, vectors, items, STARTS)
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    yield Made(version, home, url, engine, [[items[row] for row in rows] for rows in order])
    engine.dispose()


@pytest.fixture(scope="module")
def client(made: Made) -> Iterator[Client]:
    with serving(made.home, made.url, processes=1, items="true", poll="PT0.2S") as server:
        yield server.client()


def test_items_are_of_the_answered_interests_and_nothing_else(client: Client, made: Made) -> None:
    found = client.next(items=["item-0", "item-3"], top=2, recommend=3)
    for one in found["next"]:
        assert [item["item"] for item in one["items"]] == made.best[one["interest"]][:3]
        assert [item["score"] for item in one["items"]] == sorted((item["score"] for item in one["items"]), reverse=True)
    assert found["recommender"] == 1
    assert "items" not in client.next(items=["item-0", "item-3"])["next"][0]
    assert client.next(recommend=100)["next"][0]["items"], "without a history: what is popular"


def test_what_is_excluded_or_was_had_is_not_recommended(client: Client, made: Made) -> None:
    first = client.next(items=["item-0", "item-3"], recommend=EACH)["next"][0]
    best = made.best[first["interest"]]
    again = client.next(items=["item-0", "item-3"], recommend=EACH, exclude=[best[0], "gone", 17])["next"][0]
    assert [item["item"] for item in again["items"]] == best[1:]
    # An item of that very interest in the history: all interests are had then, so that one is answered again.
    had = client.next(items=versions.ITEMS, recommend=EACH)["next"][0]
    own = next(item for item in range(SIZE) if made.version.interest(item) == had["interest"])
    assert [item["item"] for item in had["items"]] == [i for i in made.best[had["interest"]] if i != versions.ITEMS[own]]


def test_a_batch_mixes_who_wants_items_and_who_does_not(client: Client, made: Made) -> None:
    asks = [{"items": [f"item-{n % SIZE}"], "recommend": n % 3} for n in range(100)]
    answers = client.post("/v1/next", asks).json
    for ask, answer in zip(asks, answers, strict=True):
        one, most = answer["next"][0], int(str(ask["recommend"]))
        left = [item for item in made.best[one["interest"]] if item not in str(ask["items"])]
        assert [item["item"] for item in one.get("items", [])] == left[:most]
        assert ("items" in one) == (most > 0)


def test_a_newer_recommender_is_followed(client: Client, made: Made) -> None:
    items = [f"new-{row}" for row in range(SIZE * EACH)]
    vectors = np.zeros((SIZE * EACH, D + 1), np.float32)
    newer = add_recommender(made.engine, made.home, made.version.cluster_set, vectors, items, STARTS, 1)
    assert eventually(lambda: client.next(recommend=1)["recommender"] == newer.version)
    assert client.next(recommend=1)["next"][0]["items"][0]["item"].startswith("new-")


def test_where_they_are_switched_off_or_lost_only_the_items_are_refused(made: Made, tmp_path: Path) -> None:
    with serving(tmp_path, made.url, processes=1) as server:
        client = server.client()
        reply = client.post("/v1/next", {"recommend": 1})
        assert (reply.status, reply.json["error"]) == (503, "channel 'default' recommends no items: see docs/serving.md, Items")
        assert client.next()["next"]
        client.close()
    with serving(tmp_path, made.url, processes=1, items="true") as server:  # another home, where the files are not
        client = server.client()
        assert client.post("/v1/next", {"recommend": 1}).status == 503
        assert client.next()["next"]
        assert any("recommends no items: artifact" in line for line in server.log)
        client.close()
