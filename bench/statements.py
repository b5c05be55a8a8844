"""What is said of a log, however its interests are built: of many cluster sets, how many say that interests move.

python -m bench.statements [--seeds 20] [--only demo|retail] [--retail FOLDER]

The demo's log, 24 interests, and Online Retail II, 12, in calendar months; lags of 1, 2, 3, 6 and 12. Online Retail II is read
from a folder with `events.parquet` and `items.parquet`, which DRIFTLINE_ONLINE_RETAIL names, too; without one it is left out.
Sequences are those of `sources/sequences.sql`, but that clusters of one basket are put in order by another hash: so a log is read
once for all cluster sets. What a seed says is kept in `--keep`, so that an interrupted run goes on.
"""

import hashlib
import json
import os
from argparse import ArgumentParser
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.recipe import child
from driftline.contracts import Clusters, EmbedJob, Measures, Source
from driftline.interests import clusters
from driftline.interests.metrics.moved import SIXTEENTHS, Crowds, moved
from driftline.interests.metrics.significance import holm
from driftline.interests.metrics.successors import RANKINGS
from driftline.interests.pairs import Ints, pair_count, pair_number
from driftline.sources.demo import write_demo
from driftline.sources.profile import catalogue

FOLDER = "DRIFTLINE_ONLINE_RETAIL"
MEASURES = Measures()


@dataclass(frozen=True)
class Log:
    name: str
    source: Source
    interests: int
    first: tuple[int, int]
    """Year and month."""
    months: int
    home: Path

    @cached_property
    def events(self) -> dict[str, Any]:
        """Of the months: user, item (numbers), ts (microseconds, a basket at its first in the month), month; and the users' and
        items' ids."""
        read = pq.read_table(self.source.events)
        if "quantity" in self.source.positive:
            read = read.filter(pc.greater(read["quantity"], 0))
        (users, user), (items, item), (_, basket) = (
            np.unique(np.array(read[name].cast(pa.string()).to_pylist()), return_inverse=True)
            for name in ("user", "item", "basket")
        )
        year, month = self.first
        starts = [f"{year + (month - 1 + n) // 12}-{(month - 1 + n) % 12 + 1:02d}-01" for n in range(self.months + 1)]
        ts = read["ts"].to_numpy().astype("datetime64[us]").astype(np.int64)
        of = np.searchsorted(np.array(starts, "datetime64[us]").astype(np.int64), ts, "right") - 1
        there = (of >= 0) & (of < self.months)
        user, item, ts, basket, of = (column[there] for column in (user, item, ts, basket, of))
        _, visit = np.unique((basket * len(users) + user) * self.months + of, return_inverse=True)
        first = np.full(int(visit.max()) + 1, np.iinfo(np.int64).max)
        np.minimum.at(first, visit, ts)
        return {"user": user, "item": item, "ts": first[visit], "month": of, "users": users, "items": items}

    @cached_property
    def sixteenth(self) -> Ints:
        """Of every user, as in `sources/halves.sql`."""
        return np.array([int(hashlib.md5(f"half of {user}".encode()).hexdigest()[0], 16) for user in self.events["users"]])

    def cluster(self, seed: int) -> Ints:
        """Of every item; −1: none."""
        items = catalogue(self.source)
        texts = items.group_by("text").aggregate([("traffic", "sum")]).rename_columns(["text", "traffic"]).sort_by("text")
        self.home.mkdir(parents=True, exist_ok=True)
        pq.write_table(texts, self.home / "texts.parquet")
        if not (self.home / "texts.npy").exists():
            job = EmbedJob(str(self.home / "texts.parquet"), "minilm", str(self.home / "texts.npy"))
            child("driftline.engines.embed", job, self.home)
        knobs = Clusters(fan_out=(self.interests,), seed=seed)
        built = clusters.build(np.load(self.home / "texts.npy"), texts["traffic"].to_numpy(), knobs)
        of_text = dict(zip(texts["text"].to_pylist(), built.tolist(), strict=True))
        names, text = items["item"].cast(pa.string()).to_pylist(), items["text"].to_pylist()
        of_item = {name: of_text[word] for name, word in zip(names, text, strict=True) if word in of_text}
        return np.array([of_item.get(item, -1) for item in self.events["items"].tolist()])

    def crowds(self, cluster: Ints) -> list[Crowds]:
        """Of every month."""
        events, size = self.events, self.interests
        of = cluster[events["item"]]
        known = of >= 0
        user, ts, month, of = (column[known] for column in (events["user"], events["ts"], events["month"], of))
        tie = _mixed(_mixed(_mixed(user) + ts.astype(np.uint64)) + of.astype(np.uint64))
        order = np.lexsort((tie, ts, user, month))
        user, month, of = user[order], month[order], of[order]
        kept = np.append(True, (user[1:] != user[:-1]) | (month[1:] != month[:-1]) | (of[1:] != of[:-1]))
        user, month, of = user[kept], month[kept], of[kept]
        triple = (user[2:] == user[:-2]) & (month[2:] == month[:-2]) & (of[2:] != of[:-2])
        pair = pair_number(of[:-2][triple], of[1:-1][triple], size)
        cell = pair * size + of[2:][triple]
        cells = pair_count(size) * size
        place = (month[2:][triple] * SIXTEENTHS + self.sixteenth[user[2:][triple]]) * cells + cell
        dense = np.bincount(place, minlength=self.months * SIXTEENTHS * cells).reshape(self.months, SIXTEENTHS, cells)
        return [_crowds(one, size) for one in dense]


def _mixed(x: NDArray[Any]) -> NDArray[np.uint64]:
    """splitmix64"""
    mixed = x.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _crowds(dense: Ints, size: int) -> Crowds:
    """Of occurrences [sixteenths, pairs · |C|]."""
    there = np.flatnonzero(dense.any(axis=0))
    pair, c_next = (numbers.astype(np.int32) for numbers in np.divmod(there, size))
    popularity = dense.sum(axis=0).reshape(-1, size).sum(axis=0)
    return Crowds(pair, c_next, dense[:, there].astype(np.int32), popularity)


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.statements", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", choices=("demo", "retail"))
    parser.add_argument("--retail", default=os.environ.get(FOLDER), help="folder of Online Retail II")
    parser.add_argument("--keep", type=Path, default=Path(".driftline/bench-statements"))
    asked = parser.parse_args()
    keep = asked.keep.absolute()
    logs = [Log("demo", write_demo(keep / "log"), 24, (2017, 1), 12, keep / "demo")] if asked.only != "retail" else []
    if asked.retail and asked.only != "demo":
        source = Source(f"{asked.retail}/events.parquet", f"{asked.retail}/items.parquet", basket="basket")
        logs.append(Log("retail", source, 12, (2009, 12), 24, keep / "retail"))
    for log in logs:
        found = [said(log, seed) for seed in range(asked.seeds)]
        for ranking in RANKINGS:
            print(summary(log, ranking, [one[ranking] for one in found]), flush=True)


def said(log: Log, seed: int) -> dict[str, Any]:
    """Of one cluster set, by ranking: the lags beyond noise, those of them that matter, and what has moved at each."""
    done = log.home / f"{seed}.json"
    if not done.exists():
        crowds = log.crowds(log.cluster(seed))
        by_lag = {lag: moved(crowds, lag, MEASURES.min_support) for lag in MEASURES.lags if lag < len(crowds)}
        done.write_text(json.dumps({ranking: _said(by_lag, ranking) for ranking in RANKINGS}, indent=1) + "\n")
    kept: dict[str, Any] = json.loads(done.read_text())
    return kept


def _said(by_lag: dict[int, Any], ranking: str) -> dict[str, Any]:
    known = {lag: found[ranking] for lag, found in by_lag.items()}
    noise = [lag for lag, beyond in zip(known, holm([found.p for found in known.values()]), strict=True) if beyond]
    return {
        "beyond noise": noise,
        "matters": [lag for lag in noise if known[lag].share.value >= MEASURES.drift_margin],
        "lags": {str(lag): asdict(found) for lag, found in known.items()},
    }


def summary(log: Log, ranking: str, found: list[dict[str, Any]]) -> str:
    largest = [100 * max(lag["share"]["value"] for lag in one["lags"].values()) for one in found]
    noise, matters = (sum(bool(one[name]) for one in found) for name in ("beyond noise", "matters"))
    median = [
        f"{lag}: {100 * np.median([one['lags'][lag]['share']['value'] for one in found]):.1f} %" for lag in found[0]["lags"]
    ]
    return (
        f"{log.name}, {log.interests} interests, by {ranking}: of {len(found)} cluster sets {noise} beyond noise, {matters} with "
        f"enough to matter; largest share {min(largest):.1f} to {max(largest):.1f} %; median by lag: {', '.join(median)}"
    )


if __name__ == "__main__":
    main()
