"""Clustering: balanced clusters of vectors, beside k-means-constrained, which balances, and plain faiss k-means, which does not.

python -m bench.clustering [--small]

Nobody gives the same answer here; the rows compare what the answers are worth. Inertia is the sum of squared distances from the
mean of the own cluster. The constrained peer balances counts, so there every vector has the traffic 1. Clusters may lie 0.3 of
their mean off, for both.
"""

import hashlib
import json
import sys
import time
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy.sparse import csr_array

from bench import environment
from bench.machine import quiet
from bench.rows import ResultRow, row, show
from bench.spent import Spent, least, report, spend
from bench.vectors import CHUNK, DIMENSIONS, traffic, write_vectors
from driftline.contracts import Clusters
from driftline.interests import clusters, partition
from driftline.interests.parallel import on_all_cores

NAME = "clustering"
PACKAGES = ("numpy", "scipy", "faiss-cpu")
NOTE = """
No two give the same clusters, so what they are worth is compared. k-means-constrained balances counts, for which every vector
counts the same, and is stopped after 15 rounds and after 2 (its default: up to 300). Plain faiss does not balance. Wall times
are told only where the machine did nothing else.
"""
CONSTRAINED = ("k-means-constrained==0.9.1", "ortools==9.15.6755", "numpy==2.4.6")
SLACK = 0.3
ROUNDS, FEW = 15, 2
OURS, FAISS, STAGES = "build", "faiss", "stages"


@dataclass(frozen=True)
class Task:
    """A file of `n` vectors, to be put into so many clusters."""

    vectors: str
    n: int
    clusters: int
    even: bool
    """Every vector has the traffic 1."""

    def traffic(self) -> NDArray[np.int64]:
        return np.ones(self.n, dtype=np.int64) if self.even else traffic(self.n, self.clusters)


def rows(small: bool = False) -> list[ResultRow]:
    calm = quiet()
    with TemporaryDirectory(prefix="driftline-bench-") as folder:
        found = [
            *_constrained(Path(folder), *((2_000, 40) if small else (20_000, 300))),
            *_plain(Path(folder), *((20_000, 100) if small else (1_000_000, 761))),
        ]
    return [one for one in found if calm or not one["metric"].startswith("seconds")]


def _constrained(folder: Path, n: int, k: int) -> list[ResultRow]:
    """Ours takes two rounds around the peer's one."""
    task = _task(folder, n, k, even=True)
    first = _spend(OURS, task, folder)
    peers = {rounds: _spend_constrained(task, rounds, folder) for rounds in (ROUNDS, FEW)}
    ours = least([first, _spend(OURS, task, folder)])
    size = f"{n:,} vectors, {k} clusters"
    mine = _worth(task, folder / f"{OURS}.npy")
    found = []
    for rounds, other in peers.items():
        its, name, full = _worth(task, folder / f"peer-{rounds}.npy"), f"{CONSTRAINED[0]}, {rounds} rounds", rounds == ROUNDS
        found += [
            row(NAME, f"CPU-seconds, {size}", ours.cpu, other.cpu, name, "≥ 20" if full else "≥"),
            row(NAME, f"seconds, {size}", ours.wall, other.wall, name, "≥"),
            row(NAME, f"peak memory in MiB, {size}", ours.peak, other.peak, name, "≥"),
            row(NAME, f"inertia, {size}", mine.inertia, its.inertia, name, "≤ 1.25" if full else "≤"),
            row(NAME, f"largest cluster / mean, {size}", mine.largest, its.largest, name, "≤"),
        ]
    return found


def _spend_constrained(task: Task, rounds: int, folder: Path) -> Spent:
    arguments = (task.vectors, str(task.clusters), str(SLACK), str(rounds), str(folder / f"peer-{rounds}.npy"))
    return spend("bench.clustering_constrained", *arguments, python=environment.python("constrained", *CONSTRAINED))


def _plain(folder: Path, n: int, k: int) -> list[ResultRow]:
    task = _task(folder, n, k, even=False)
    first = _spend(OURS, task, folder)
    other = _spend(FAISS, task, folder)
    ours = least([first, _spend(OURS, task, folder)])
    size = f"{n / 1e6:g} M vectors, {k} clusters"
    name = "plain faiss k-means"
    mine, its = (_worth(task, folder / f"{who}.npy") for who in (OURS, FAISS))
    found = [
        row(NAME, f"CPU-seconds, {size}", ours.cpu, other.cpu, name, "≤ 1.5"),
        row(NAME, f"seconds, {size}", ours.wall, other.wall, name, "≤ 1.5"),
        row(NAME, f"peak memory in MiB, {size}", ours.peak, other.peak, name, "≤"),
        row(NAME, f"largest cluster's traffic, mean = 1, {size}", mine.largest, 1.0, "the mean", "≤ 1.3"),
        row(NAME, f"empty clusters, {size}", mine.empty, k, "all", "≤ 0"),
        row(NAME, f"largest cluster's traffic / mean, {size}", mine.largest, its.largest, name, "≤"),
        row(NAME, f"inertia by traffic, {size}", mine.weighted, its.weighted, name, "≤"),
        row(NAME, f"inertia, {size}", mine.inertia, its.inertia, name, "≤"),
    ]
    stages: dict[str, float] = json.loads(_spend(STAGES, task, folder).answer)
    whole = stages.pop("whole")
    return found + [row(NAME, f"CPU-seconds: {stage}", spent, whole, "all of ours") for stage, spent in stages.items()]


def _task(folder: Path, n: int, k: int, even: bool) -> Task:
    write_vectors(folder / f"{n}.npy", n)
    return Task(str(folder / f"{n}.npy"), n, k, even)


def _spend(who: str, task: Task, folder: Path) -> Spent:
    size = ("--vectors", task.vectors, "--clusters", str(task.clusters), *(["--even"] if task.even else []))
    return spend("bench.clustering", "--run", who, *size, "--out", str(folder / f"{who}.npy"))


# --- what an answer is worth -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Worth:
    inertia: float
    weighted: float
    """Inertia in which a vector counts by its traffic."""
    largest: float
    """The largest cluster's traffic, in means."""
    empty: int


def _worth(task: Task, answer: Path) -> Worth:
    cluster, weight, vectors = np.load(answer), task.traffic(), np.load(task.vectors, mmap_mode="r")
    load = np.bincount(cluster, weight, task.clusters)
    return Worth(
        inertia=_inertia(vectors, cluster, np.ones(len(cluster)), task.clusters),
        weighted=_inertia(vectors, cluster, weight.astype(np.float64), task.clusters),
        largest=round(float(load.max() / load.mean()), 6),
        empty=int(np.count_nonzero(np.bincount(cluster, minlength=task.clusters) == 0)),
    )


def _inertia(vectors: NDArray[np.float32], cluster: NDArray[np.int32], weight: NDArray[np.float64], k: int) -> float:
    """Σ w·|x|² − Σ_c |Σ_{x in c} w·x|² / Σ_{x in c} w."""
    summed, total, squares = np.zeros((k, vectors.shape[1])), np.bincount(cluster, weight, k), 0.0
    for begin in range(0, len(vectors), CHUNK):
        chunk = slice(begin, begin + CHUNK)
        rows = vectors[chunk].astype(np.float64)
        squares += float(weight[chunk] @ (rows**2).sum(axis=1))
        summed += csr_array((weight[chunk], (cluster[chunk], np.arange(len(rows)))), shape=(k, len(rows))) @ rows
    return squares - float(((summed**2).sum(axis=1) / np.maximum(total, 1e-12)).sum())


# --- in a process of its own -------------------------------------------------------------------------------------------


def _work(who: str, task: Task) -> Callable[[], Any]:
    vectors, weight = np.load(task.vectors), task.traffic()
    knobs = Clusters(fan_out=(task.clusters,), slack=SLACK)
    if who == FAISS:
        return partial(_faiss, vectors, task.clusters)
    if who == STAGES:
        return partial(_stages, vectors, weight, knobs)
    return partial(clusters.build, vectors, weight, knobs)


def _faiss(vectors: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Its defaults: 25 rounds on 256 vectors per cluster, then every vector to the nearest centre."""
    import faiss

    means = faiss.Kmeans(vectors.shape[1], k, seed=0)
    means.train(vectors)
    return means.index.search(vectors, 1)[1][:, 0]  # type: ignore[no-any-return]


def _stages(vectors: NDArray[np.float32], weight: NDArray[np.int64], knobs: Clusters) -> dict[str, float]:
    """CPU-seconds of each stage of one run, and of one bare product of all vectors and as many centres."""
    spent: dict[str, float] = defaultdict(float)

    def timed(function: Callable[..., Any], stage: Callable[..., str]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            begin = time.process_time()
            result = function(*arguments)
            spent[stage(*arguments)] += time.process_time() - begin
            return result

        return call

    n, k = len(vectors), knobs.fan_out[0]
    nearest = f"distances and the {partition.NEAREST} nearest centres"
    stages: dict[str, Callable[..., str]] = {
        "_seeds": lambda *_: "first centres",
        "_near": lambda _, rows, *__: f"{nearest}, {'all vectors' if rows == n else f'sample, {partition.ROUNDS} rounds'}",
        "_price": lambda *_: "prices",
        "settle": lambda *_: "single moves",
    }
    for name, stage in stages.items():
        setattr(partition, name, timed(getattr(partition, name), stage))
    begin = time.process_time()
    clusters.build(vectors, weight, knobs)
    whole = time.process_time() - begin
    spent["order of the rows, moving centres, the rest"] = whole - sum(spent.values())
    begin = time.process_time()
    centres = vectors[:: n // k][:k].T.copy()
    with on_all_cores() as chunks:
        chunks.map(lambda chunk: (vectors[chunk] @ centres).shape, n)
    bare = f"multiplying all vectors by all centres, {2 * n * k * DIMENSIONS / 1e9:,.0f} GFLOP, which nothing avoids"
    return {**spent, bare: time.process_time() - begin, "whole": whole}


def _answer(out: Path, found: Any) -> str:
    if isinstance(found, dict):
        return json.dumps(found)
    np.save(out, found)
    return hashlib.sha256(found.astype(np.int32).tobytes()).hexdigest()


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--run", choices=(OURS, FAISS, STAGES), help="one of them, in this process")
    parser.add_argument("--vectors")
    parser.add_argument("--clusters", type=int)
    parser.add_argument("--even", action="store_true")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if asked.run:
        n = len(np.load(asked.vectors, mmap_mode="r"))
        report(_work(asked.run, Task(asked.vectors, n, asked.clusters, asked.even)), partial(_answer, asked.out))
    else:
        show(rows(asked.small), Console(file=sys.stdout))


if __name__ == "__main__":
    main()
