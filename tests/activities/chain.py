"""The steps of a fine-tune one after another, by hand: a small shop, a real Postgres, and answers that a test chooses."""

import csv
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from temporalio.testing import ActivityEnvironment

from driftline.activities.counts import CountsActivities
from driftline.activities.evaluation import EvaluationActivities
from driftline.activities.measurements import MeasurementActivities
from driftline.activities.prompts import PromptActivities
from driftline.activities.resources import Resources
from driftline.activities.samples import SampleActivities
from driftline.activities.tables import TableActivities
from driftline.contracts import (
    CountsRef,
    CountTriples,
    CurateSamples,
    Evaluate,
    Evaluation,
    Gates,
    Generation,
    MappingRef,
    MeasurementRef,
    MeasureQuality,
    PromptsRef,
    RenderPrompts,
    Retrieval,
    RunIds,
    Samples,
    SamplesRef,
    Sequences,
    Source,
    StoreTable,
    TableRef,
    Window,
)
from driftline.db import clusters as db_clusters
from driftline.db import connection as db_connection
from driftline.settings import Settings
from tests.db import world
from tests.end_to_end.shop import NAMES, START, write_shop

RUN = RunIds("fine-tune", "run")
TRAIN = Window(START, START + timedelta(days=60))
TEST = Window(TRAIN.end, TRAIN.end + timedelta(days=30))
Answer = Callable[[int, int], int]


def onward(c1: int, c2: int) -> int:
    """What the shop's customers mostly do, as long as it is novel: go on to the interest after c2."""
    following = (c2 + 1) % len(NAMES)
    return following if following != c1 else (c2 + 2) % len(NAMES)


def run(activity: Any, *arguments: Any) -> Any:
    """An activity as a worker runs it."""
    return ActivityEnvironment().run(activity, *arguments)


class Chain:
    """Each method is one step with this chain's inputs; what it returns is what the next one takes."""

    def __init__(self, url: str, folder: Path) -> None:
        write_shop(folder)
        events, items = str(folder / "events.csv"), str(folder / "items.csv")
        self.source = Source(events=events, items=items, positive="quantity > 0")
        self.engine = db_connection.connect(url)
        self.resources = Resources(self.engine, folder / "home")
        self.resources.allowed.add(Settings(source=self.source))
        with (folder / "taxonomy.csv").open() as file, self.engine.begin() as connection:
            rows = [(row["item"], NAMES.index(row["cluster"])) for row in csv.DictReader(file)]
            assignment = pa.table({"item": [item for item, _ in rows], "cluster": [cluster for _, cluster in rows]})
            described = pa.table(
                {
                    "cluster": range(len(NAMES)),
                    "name": NAMES,
                    "description": NAMES,
                    "keywords": [[name] for name in NAMES],
                    "traffic": [1] * len(NAMES),
                }
            )
            self.cluster_set = db_clusters.add(connection, described, assignment, {"imported": "taxonomy.csv"}).version

    def counted(self, window: Window = TRAIN) -> CountsRef:
        request = CountTriples(self.source, Sequences("adjacent"), self.cluster_set, window)
        found: CountsRef = run(CountsActivities(self.resources).count_triples, request)
        return found

    def curated(self, samples: Samples | None = None) -> SamplesRef:
        request = CurateSamples(self.counted().version, samples or Samples(pairs_per_label=4), Retrieval())
        found: SamplesRef = run(SampleActivities(self.resources).curate_samples, request)
        return found

    def rendered(self, retrieval: Retrieval | None = None) -> PromptsRef:
        counts = self.counted().version if retrieval else None
        found: PromptsRef = run(
            PromptActivities(self.resources).render_prompts, RenderPrompts(self.cluster_set, retrieval, counts)
        )
        return found

    def mapped(self, prompts: PromptsRef, answer: Answer, exact: Answer | None = None) -> MappingRef:
        """A mapping as an engine would leave it."""
        asked = pq.read_table(self.resources.artifacts.find(prompts.uri) / "prompts.parquet", columns=["c1", "c2"]).to_pylist()
        right = [bool(exact(pair["c1"], pair["c2"])) if exact else True for pair in asked]
        table = pa.table(
            {
                "c1": pa.array([pair["c1"] for pair in asked], pa.int32()),
                "c2": pa.array([pair["c2"] for pair in asked], pa.int32()),
                "c_next": pa.array([answer(pair["c1"], pair["c2"]) for pair in asked], pa.int32()),
                "exact": right,
                "free": pa.array([None if yes else "and" for yes in right], pa.string()),
            }
        )
        with self.resources.artifacts.folder() as folder:
            pq.write_table(table, folder / "mapping.parquet")
            uri, digest = self.resources.artifacts.store("mappings", folder)
        return MappingRef(uri, digest, table.num_rows, sum(right), computed=world.COMPUTED)

    def model(self, adapter: str) -> int:
        with self.engine.begin() as connection:
            return world.add_model(connection, self.cluster_set, self.counted().version, adapter)

    def stored(self, answer: Answer = onward, nominal: datetime = TEST.end, mapping: MappingRef | None = None) -> TableRef:
        prompts = self.rendered()
        request = StoreTable(
            kind="fine_tune",
            nominal=nominal,
            counts=self.counted().version,
            model=self.model(answer.__name__),
            prompts=prompts,
            mapping=mapping or self.mapped(prompts, answer),
            generation=Generation(),
            run=RUN,
        )
        found: TableRef = run(TableActivities(self.resources).store_table, request)
        return found

    def measured(self, table: int, test: CountsRef | None = None) -> MeasurementRef:
        counted = test or self.counted(TEST)
        request = MeasureQuality(table, counted.version, self.source, Sequences("adjacent"), TRAIN, TEST, RUN)
        found: MeasurementRef = run(MeasurementActivities(self.resources).measure_quality, request)
        return found

    def evaluated(self, table: int, gates: Gates | None = None) -> Evaluation:
        test = self.counted(TEST)
        request = Evaluate(table, test.version, gates or Gates(), self.measured(table, test).version)
        found: Evaluation = run(EvaluationActivities(self.resources).evaluate, request)
        return found
