"""What the chosen numbers of clustering and naming are worth: each of them halved and doubled, the others as they are.

python -m bench.sensitivity [EVENTS ITEMS]

Partition: vectors as `bench.vectors` makes them. Inertia by traffic and CPU-seconds, relative to the numbers as they are.
Keywords: the demo's catalogue in 12 clusters of its departments' products. How many of the three keywords of each are others,
and which share of the traffic is of texts that have one of its cluster's.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.vectors import traffic, write_vectors
from driftline import contracts
from driftline.interests import clusters, keywords, partition, rebalancing
from driftline.sources.demo import write_demo

PARTITION = (
    *("SAMPLED", "SAMPLE", "SPREAD", "NEAREST", "ROUNDS", "PRICINGS", "STEP", "LONGEST_STEP", "FASTER", "SLOWER", "RESTARTS"),
    *("TRIED", "NEIGHBOURS"),
)
KEYWORDS = ("COVERED", "UNREADABLE", "PHRASE", "SINGLE", "EVERYWHERE")
N, K, SEEDS = 8_000, 100, (0, 1, 2)
COUNT = 3


@contextmanager
def changed(module: ModuleType, name: str, factor: float) -> Iterator[str]:
    """The module with one number multiplied: whole numbers stay whole, a factor above 1 stays above it."""
    before = getattr(module, name)
    value = before * factor if name != "FASTER" else 1 + (before - 1) * factor
    setattr(module, name, max(1, round(value)) if isinstance(before, int) else value)
    try:
        yield f"{before:g} → {getattr(module, name):g}"
    finally:
        setattr(module, name, before)


def main() -> None:
    with TemporaryDirectory(prefix="driftline-bench-") as folder:
        write_vectors(Path(folder) / "v.npy", N)
        vectors = np.load(Path(folder) / "v.npy")
        weight = traffic(N, K)
        inertia, spent = built(vectors, weight)
        print(f"partition: {N:,} vectors, {K} clusters, seeds {SEEDS}: inertia by traffic {inertia:.4f}, {spent:.1f} CPU-s")
        for name in PARTITION:
            for factor in (0.5, 2.0):
                with changed(rebalancing if hasattr(rebalancing, name) else partition, name, factor) as what:
                    other, cpu = built(vectors, weight)
                print(
                    f"{name:13} {what:18} inertia {100 * (other / inertia - 1):+.2f} %, CPU {100 * (cpu / spent - 1):+.0f} %",
                    flush=True,
                )
        described(Path(folder))


def built(vectors: NDArray[np.float32], weight: NDArray[np.int64]) -> tuple[float, float]:
    """Mean over seeds of the inertia by traffic, and CPU-seconds of all."""
    began, found = time.process_time(), []
    for seed in SEEDS:
        part = clusters.build(vectors, weight, contracts.Clusters(fan_out=(K,), seed=seed))
        sums = np.zeros((K, vectors.shape[1]))
        np.add.at(sums, part, vectors * weight[:, None])
        total = np.bincount(part, weight, K)
        centres = sums / np.maximum(total, 1)[:, None]
        found.append(float((((vectors - centres[part]) ** 2).sum(axis=1) * weight).sum() / weight.sum()))
    return float(np.mean(found)), time.process_time() - began


def described(folder: Path) -> None:
    source = write_demo(folder / "demo")
    items = pq.read_table(source.items).group_by("text").aggregate([([], "count_all")]).sort_by("text")
    texts = items["text"].to_pylist()
    count = items["count_all"].to_numpy()
    department = [text.split(",")[0].split()[0] if text else "" for text in texts]
    heaviest = [name for name, _ in sorted(((d, department.count(d)) for d in set(department)), key=lambda x: -x[1])[:12]]
    kept = [row for row, d in enumerate(department) if d in heaviest]
    texts, count = [texts[row] for row in kept], count[kept]
    cluster = np.array([heaviest.index(department[row]) for row in kept], np.int32)
    before = keywords.rank(texts, count, cluster, 12, COUNT)
    print(f"keywords: {len(texts):,} texts, 12 clusters: {covered(texts, count, cluster, before):.1%} of the traffic is named")
    for name in KEYWORDS:
        for factor in (0.5, 2.0):
            with changed(keywords, name, factor) as what:
                after = keywords.rank(texts, count, cluster, 12, COUNT)
            others = sum(len(set(new) - set(old)) for new, old in zip(after, before, strict=True))
            print(
                f"{name:13} {what:18} {others} of {12 * COUNT} keywords, {covered(texts, count, cluster, after):.1%} named",
                flush=True,
            )


def covered(texts: list[str], count: NDArray[np.int64], cluster: NDArray[np.int32], ranked: list[list[str]]) -> float:
    named = [any(word in text.lower() for word in ranked[part]) for text, part in zip(texts, cluster.tolist(), strict=True)]
    return float(count[named].sum() / count.sum())


if __name__ == "__main__":
    main()
