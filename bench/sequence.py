"""python -m bench sequence: the sequence recommender beside rectools' SASRec, on the logs that the environment names.

DRIFTLINE_ONLINE_RETAIL and DRIFTLINE_IFDB name folders with `events.parquet` and `items.parquet`. Both learn from the same events
and are asked for the same lists: within the interests that users turned to on held-out days, and among all items.
"""

import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.environment import python
from bench.rows import ResultRow, row
from bench.spent import report, spend
from driftline.contracts import Recommender, Sequences, Source, TrainEncoderJob, Window
from driftline.interests.metrics.ranking import Cases, compare, find
from driftline.interests.recommender import histories, trained
from driftline.interests.recommender.baselines import lately, popularity
from driftline.interests.recommender.index import by_cluster
from driftline.interests.recommender.judging import AT, choose_prior, judge
from driftline.sources.sequences import read_sequences
from driftline.sources.session import arrow, connect

NAME = "sequence"
PEERS = ("rectools[torch]==0.19.0",)
PACKAGES = ("torch", "numpy")
ALONE = {"OMP_NUM_THREADS": "1"}
"""Threads that wait for each other on a busy machine would be counted as work."""
NOTE = """
The sequence recommender (`recommender.*` by default, but for the days of log) beside rectools' SASRec by its defaults: CPU of
training, one thread, and NDCG@10 on the held-out days without what users have had, with intervals over users.
"""


@dataclass(frozen=True)
class Log:
    name: str
    variable: str
    clusters: str
    """SQL of an item's interest over the catalogue."""
    basket: str | None
    end: datetime
    days: int
    held_out: int


LOGS = (
    Log("online retail", "DRIFTLINE_ONLINE_RETAIL", "kmeans60", "basket", datetime(2011, 12, 10, tzinfo=UTC), 365, 14),
    Log(
        "interactive fiction",
        "DRIFTLINE_IFDB",
        "dense_rank() OVER (ORDER BY coalesce(nullif(split_part(genre, '/', 1), ''), '?')) - 1",
        None,
        datetime(2026, 6, 1, tzinfo=UTC),
        6500,
        120,
    ),
)


def rows(small: bool) -> list[ResultRow]:
    found = []
    for log in LOGS:
        if os.environ.get(log.variable):
            with TemporaryDirectory(prefix="driftline-bench-") as folder:
                found += _compare(log, Path(os.environ[log.variable]), Path(folder), small)
        else:
            print(f"{log.name}: set {log.variable} to its folder", file=sys.stderr)
    return found


def _compare(log: Log, data: Path, folder: Path, small: bool) -> list[ResultRow]:
    with connect("") as con:
        catalogue = arrow(con, f"SELECT item, CAST({log.clusters} AS INTEGER) AS cluster FROM '{data}/items.parquet'")
    index = by_cluster(catalogue, int(catalogue["cluster"].to_numpy().max()) + 1)
    test, validation = (log.end - timedelta(days=log.held_out * n) for n in (1, 2))
    window = Window(test - timedelta(days=log.days), log.end)
    source = Source(events=str(data / "events.parquet"), basket=log.basket)
    steps = read_sequences(source, Sequences(dedup="adjacent"), window, index.assignment())
    pq.write_table(steps, folder / "steps.parquet")
    pq.write_table(pa.table({"item": index.items, "cluster": index.clusters}), folder / "items.parquet")
    knobs = Recommender(days=log.days, test_days=log.held_out, validation_days=log.held_out, **({"epochs": 1} if small else {}))
    job = {"validation": [str(validation), str(test)], "epochs": knobs.epochs}
    (folder / "job.json").write_text(json.dumps(job))
    taken = histories.read(steps)
    before, later = taken.between(None, test), taken.between(test, None)
    asked = [find(before, later, index, restricted) for restricted in (True, False)]
    np.savez(
        folder / "taken.npz",
        user=np.repeat(np.arange(len(before)), np.diff(before.starts)),
        item=before.rows,
        time=before.times,
        clusters=index.clusters,
        case_user=np.concatenate([cases.user for cases in asked]),
        case_cluster=np.concatenate([cases.cluster for cases in asked]),
    )
    peer = spend("bench.sequence_rectools", str(folder), python=python("sequence", *PEERS), **ALONE)
    ours = spend("bench.sequence", str(folder), **ALONE)
    lists = np.load(folder / "rectools.npy")
    cut = len(asked[0].user)

    encoder = trained.read_encoder(folder / "out" / "encoder.npz")
    vectors, known = np.load(folder / "out" / "vectors.npy"), before.between(None, validation)
    prior = choose_prior(index, encoder, vectors, known, before.between(validation, None), validation)
    popular, recent = popularity(before, len(index.items)), lately(before, len(index.items), test, prior.half_life)
    vectors[:, -1] += prior.of(recent)
    made = [row(NAME, f"{log.name}: training, CPU-s", ours.cpu, peer.cpu, "rectools SASRec", "≤ 1")]
    for where, cases, theirs, restricted in (
        ("within the interest", asked[0], lists[:cut], True),
        ("among all items", asked[1], lists[cut:], False),
    ):
        judged = judge(index, encoder, vectors, popular, recent, before, later, restricted)
        sequence, *baselines = judged.arms
        interval = f"[{sequence.ndcg.low:.3f}, {sequence.ndcg.high:.3f}]"
        about = f"{log.name}: NDCG@{AT} {where}, {judged.users} users, ours {interval}"
        made.append(_at_least(about, sequence.ndcg.value or 0.0, _ndcg(cases, theirs), "rectools SASRec"))
        for arm, difference in zip(baselines, judged.differences, strict=True):
            beyond = difference.estimate
            same = f"{log.name}: the same, ours − peer [{beyond.low:.3f}, {beyond.high:.3f}]"
            made.append(_at_least(same, sequence.ndcg.value or 0.0, arm.ndcg.value or 0.0, arm.name))
    return made


def _ndcg(cases: Cases, lists: np.ndarray[tuple[int, ...], np.dtype[np.int32]]) -> float:
    return compare(cases, [("peer", lists)]).arms[0].ndcg.value or 0.0


def _at_least(metric: str, ours: float, peer: float, name: str) -> ResultRow:
    found = row(NAME, metric, ours, peer, name)
    found["goal"], found["met"] = "ours / peer ≥ 1", ours >= peer
    return found


def main() -> None:
    """Our training, in a process of its own."""
    from driftline.engines.sequence.train import train

    folder = Path(sys.argv[1])
    asked = json.loads((folder / "job.json").read_text())
    start, end = (datetime.fromisoformat(text) for text in asked["validation"])
    job = TrainEncoderJob(
        str(folder), Recommender(epochs=asked["epochs"]), Window(start, end), str(folder / "work"), str(folder / "out")
    )
    report(lambda: train(job))


if __name__ == "__main__":
    main()
