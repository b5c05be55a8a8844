"""The load of `bench.serving`, in a process of its own, also of an environment that has only a peer's packages.

python -m bench.serving_load http|http-items|alive|redis|feast PORT --items N --seconds S --batch B --connections C
    [--rate R] [--events E] [--fill FOLDER]
"""

import hashlib
import json
import socket
import sys
import threading
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

Ask = list[str]
"""The items of a user."""
Client = Callable[[list[Ask]], list[int]]
"""The next interest for each."""
CHECKED = 500


@dataclass(frozen=True)
class Measured:
    rate: float
    """Look-ups a second."""
    cpu_us: float
    """Of client and server, by look-up."""
    p50: float
    p99: float
    """Milliseconds of a request; at a given rate from the moment in which it was due."""
    answer: str
    """Of the same requests for everybody."""


def over_http(port: int, _home: Path | None, recommend: int = 0) -> Client:
    send = _connection(port)

    def ask(asks: list[Ask]) -> list[int]:
        bodies = [{"items": items, "recommend": recommend} if recommend else {"items": items} for items in asks]
        body = json.dumps(bodies if len(asks) > 1 else bodies[0]).encode()
        head = f"POST /v1/next HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        found = json.loads(send(head.encode() + body))
        return [one["next"][0]["interest"] for one in (found if len(asks) > 1 else [found])]

    return ask


def alive(port: int, _home: Path | None) -> Client:
    """Nothing is looked up: what HTTP and the way there and back take."""
    send = _connection(port)

    def ask(asks: list[Ask]) -> list[int]:
        send(b"GET /healthz HTTP/1.1\r\nhost: bench\r\n\r\n")
        return [0] * len(asks)

    return ask


def _connection(port: int) -> Callable[[bytes], bytes]:
    """Gives the body of a request's answer. A client in a few lines: the load is not what is measured."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = connection.makefile("rb")

    def send(request: bytes) -> bytes:
        connection.sendall(request)
        if b" 200 " not in (status := reader.readline()):
            raise RuntimeError(f"not answered: {status!r}")
        length = 0
        while (line := reader.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return reader.read(length)

    return send


def over_redis(port: int, _home: Path | None) -> Client:
    import redis

    client = redis.Redis(port=port)

    def ask(asks: list[Ask]) -> list[int]:
        found = client.mget([f"i:{item}" for items in asks for item in items])
        c1, c2 = found[::2], found[1::2]
        return [int(c) for c in client.mget([b"t:%b:%b" % pair for pair in zip(c1, c2, strict=True)])]

    return ask


def fill_redis(port: int, folder: Path) -> None:
    import numpy as np
    import redis

    client = redis.Redis(port=port)
    client.flushall()
    c1, c2, c_next = np.load(folder / "table.npy").tolist()
    pairs = {f"t:{a}:{b}": c for a, b, c in zip(c1, c2, c_next, strict=True)}
    items = {f"i:item{number:07d}": c for number, c in enumerate(np.load(folder / "items.npy").tolist())}
    for every in (pairs, items):
        names = list(every)
        for first in range(0, len(names), 10_000):
            client.mset({name: every[name] for name in names[first : first + 10_000]})


def over_feast(_port: int, home: Path | None) -> Client:
    from feast import FeatureStore

    store = FeatureStore(repo_path=str(home))

    def ask(asks: list[Ask]) -> list[int]:
        rows = [{"item": item} for items in asks for item in items]
        found = store.get_online_features(["of_item:interest"], rows).to_dict()["interest"]
        pairs = [{"pair": f"{c1}:{c2}"} for c1, c2 in zip(found[::2], found[1::2], strict=True)]
        return [int(c) for c in store.get_online_features(["of_pair:c_next"], pairs).to_dict()["c_next"]]

    return ask


def fill_feast(port: int, folder: Path) -> None:
    import numpy as np
    import pandas as pd
    import redis
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
    from feast.types import Int64

    redis.Redis(port=port).flushall()
    (folder / "feature_store.yaml").write_text(
        f"project: bench\nregistry: {folder}/registry.db\nprovider: local\nentity_key_serialization_version: 3\n"
        f"online_store: {{type: redis, connection_string: '127.0.0.1:{port}'}}\noffline_store: {{type: file}}\n"
    )
    store = FeatureStore(repo_path=str(folder))
    c1, c2, c_next = np.load(folder / "table.npy").tolist()
    clusters = np.load(folder / "items.npy")
    now = pd.Timestamp.now(tz="UTC")
    pairs = [f"{a}:{b}" for a, b in zip(c1, c2, strict=True)]
    items = [f"item{number:07d}" for number in range(len(clusters))]
    frames = {
        ("pair", "of_pair", "c_next"): pd.DataFrame({"pair": pairs, "c_next": c_next}),
        ("item", "of_item", "interest"): pd.DataFrame({"item": items, "interest": clusters}),
    }
    for (key, view, feature), frame in frames.items():
        frame["at"] = now
        frame.head(1).to_parquet(folder / f"{view}.parquet")
        entity = Entity(name=key, join_keys=[key], value_type=ValueType.STRING)
        source = FileSource(path=str(folder / f"{view}.parquet"), timestamp_field="at")
        store.apply([entity, FeatureView(name=view, entities=[entity], schema=[Field(name=feature, dtype=Int64)], source=source)])
        for first in range(0, len(frame), 50_000):
            store.write_to_online_store(view, frame.iloc[first : first + 50_000])


WAYS: dict[str, Callable[[int, Path | None], Client]] = {
    "http": over_http,
    "http-items": partial(over_http, recommend=10),
    "alive": alive,
    "redis": over_redis,
    "feast": over_feast,
}
FILLS: dict[str, Callable[[int, Path], None]] = {"redis": fill_redis, "feast": fill_feast}


def asks_of(n_items: int, number: int, events: int) -> list[Ask]:
    """Items of as many interests: neighbours have different ones. The same for everybody."""
    first = [number * 7_919 % (n_items - events) for number in range(number)]
    return [[f"item{one + place:07d}" for place in range(events)] for one in first]


def load(asked: Namespace) -> dict[str, Any]:
    make = WAYS[asked.way]
    answer = make(asked.port, asked.home)(asks_of(asked.items, CHECKED, asked.events))
    asks = asks_of(asked.items, 100 * asked.batch, asked.events)
    batches = [asks[first : first + asked.batch] for first in range(0, len(asks), asked.batch)]
    clients = [make(asked.port, asked.home) for _ in range(asked.connections)]
    took: list[float] = []
    cpu, began = time.process_time(), time.perf_counter()
    end = began + asked.seconds

    def run(number: int) -> None:
        client, sent = clients[number], 0
        while True:
            due = time.perf_counter()
            if asked.rate:
                due = began + (number + sent * asked.connections) / asked.rate
                time.sleep(max(0.0, due - time.perf_counter()))
            if due > end:
                return
            client(batches[(number + sent) % len(batches)])
            took.append(time.perf_counter() - due)
            sent += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(asked.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    took.sort()
    lookups = len(took) * asked.batch
    return {
        "rate": lookups / seconds,
        "lookups": lookups,
        "cpu": cpu,
        "p50": 1000 * took[len(took) // 2],
        "p99": 1000 * took[len(took) * 99 // 100],
        "answer": hashlib.sha256(json.dumps(answer).encode()).hexdigest(),
    }


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("port", type=int)
    parser.add_argument("--items", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--events", type=int, default=2)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--fill", type=Path)
    asked = parser.parse_args()
    if asked.fill:
        FILLS[asked.way](asked.port, asked.fill)
        print(json.dumps({"rate": 0, "lookups": 0, "cpu": 0, "p50": 0, "p99": 0, "answer": ""}))
        return
    sys.setswitchinterval(0.0005)
    print(json.dumps(load(asked)))


if __name__ == "__main__":
    main()
