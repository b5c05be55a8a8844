"""The demo's recipe on windows before the demo's own: would its gates have passed? (docs/adr/0016)

python -m bench.recipe [--seeds 0 1 2 3 4] [--windows 0 1 2] [--keep FOLDER]

Every seed makes its own clusters, fine-tunes as of each window's day, and refreshes as much later as the demo does, with the
demo's settings and the production engines. All days lie before those that the demo's own gates look at, so that settings may be
chosen here. The environment can set what the demo leaves open, such as `DRIFTLINE_GENERATION__PRECISION=float32`. Fine-tunes and
refreshes that FOLDER has are only read, so that an interrupted run goes on.
"""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from driftline.commands.demo import FINE_TUNE_AT, RAG_REFRESH_AT, demo_settings
from driftline.contracts import EmbedJob, GenerateJob, NameJob, Source, TrainJob, Window
from driftline.interests import clusters, gates, keywords, prompts, retrieval, windows
from driftline.interests.curation import Curation
from driftline.interests.metrics import measure_table
from driftline.interests.naming import CANDIDATES
from driftline.settings import Settings
from driftline.sources.counting import count_triples
from driftline.sources.held_out import read_held_out
from driftline.sources.profile import catalogue

WINDOWS, APART = 3, timedelta(days=63)
MIN_EXACT_MATCH_RATE = 0.95
"""Of every run: the gate's 0.90 with a margin."""
EMBEDDINGS = "texts.npy"


@dataclass(frozen=True)
class Outcome:
    """A candidate, as its gates see it. Shares are in [0, 1]."""

    seed: int
    at: str
    kind: str
    steps: int
    """Of the fine-tune, up to the best checkpoint."""
    exact_match_rate: float
    recall: float
    recall_low: float
    chance: float
    popular: float
    frequent: float
    triples: int
    answered: int
    """Clusters that any pair is answered with."""
    cpu_seconds: float

    @property
    def passed(self) -> bool:
        return self.exact_match_rate >= MIN_EXACT_MATCH_RATE and self.recall_low > self.chance


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.recipe", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=range(5))
    parser.add_argument("--windows", type=int, nargs="*", default=range(WINDOWS), help="0 is the newest")
    parser.add_argument("--keep", type=Path, default=Path(".driftline/bench-recipe"))
    asked = parser.parse_args()
    found = []
    for seed in asked.seeds:
        for window in asked.windows:
            found += run(asked.keep.absolute(), seed, window)
            Console(width=130).print(table(found))


def nominals(settings: Settings) -> list[datetime]:
    """Days of the fine-tunes, newest first. The newest one's refresh ends where the test window of the demo's own begins."""
    newest = FINE_TUNE_AT - timedelta(days=settings.fine_tune.test_days) - (RAG_REFRESH_AT - FINE_TUNE_AT)
    return [newest - APART * number for number in range(WINDOWS)]


def run(home: Path, seed: int, window: int) -> list[Outcome]:
    """A fine-tune and its refresh; those that `home` has are only read."""
    home.mkdir(parents=True, exist_ok=True)
    os.environ["DRIFTLINE_HOME"] = str(home)
    settings = demo_settings(Settings(home=home))
    seeded = {"training": replace(settings.training, seed=seed), "clusters": replace(settings.clusters, seed=seed)}
    settings = settings.model_copy(update=seeded)
    at = nominals(settings)[window]
    chosen = settings.model_dump(mode="json", exclude={"home", "source", "gates", "measures", "schedule"})
    key = hashlib.sha256(json.dumps([chosen, f"{at}", f"{RAG_REFRESH_AT - FINE_TUNE_AT}"]).encode()).hexdigest()[:16]
    done = home / f"{key}.json"
    if not done.exists():
        outcomes = list(_Candidates(home, home / key, settings, at).outcomes())
        done.write_text(json.dumps([dataclasses.asdict(outcome) for outcome in outcomes], indent=1) + "\n")
    return [Outcome(**outcome) for outcome in json.loads(done.read_text())]


class _Candidates:
    """One fine-tune and one refresh. `work`: a folder for what the children read and write."""

    def __init__(self, home: Path, work: Path, settings: Settings, at: datetime) -> None:
        self.settings, self.work, self.at = settings, work, at
        work.mkdir(exist_ok=True)
        self.assignment, self.descriptions = interests(home, settings)

    def outcomes(self) -> Iterator[Outcome]:
        settings, n = self.settings, len(self.descriptions)
        days = windows.split(self.at, settings.fine_tune)
        counts = self.count(days.train)
        self.write_samples(counts, self.count(days.validation) if days.validation else None)
        job = TrainJob(
            samples=str(self.work / "samples.parquet"),
            training=settings.training,
            work=str(self.work / "train"),
            out=str(self.work / "adapter"),
            validation=str(self.work / "validation") if days.validation else None,
        )
        child("driftline.engines.train", job, self.work)
        yield self.outcome("fine-tune", None, counts, days.test)
        days = windows.split(self.at + (RAG_REFRESH_AT - FINE_TUNE_AT), settings.rag_refresh)
        counts = self.count(days.train)
        yield self.outcome("refresh", retrieval.retrieve(counts, None, settings.retrieval, n), counts, days.test)

    def count(self, window: Window) -> pa.Table:
        return count_triples(self.settings.source, self.settings.sequences, window, self.assignment).table

    def write_samples(self, counts: pa.Table, validation: pa.Table | None) -> None:
        """As the steps `curate_samples` and `curate_validation` write them."""
        of = Curation(counts, self.descriptions, self.settings.samples, self.settings.retrieval)
        pq.write_table(of.rendered(of.curate(counts)), self.work / "samples.parquet")
        folder = self.work / "validation"
        folder.mkdir(exist_ok=True)
        for name, table in of.validation(validation).items() if validation is not None else ():
            pq.write_table(table, folder / f"{name}.parquet")

    def outcome(self, kind: str, told: retrieval.Retrieved | None, counts: pa.Table, test: Window) -> Outcome:
        """`counts`: of the window that the candidate has learned or retrieved from."""
        settings, folder, n = self.settings, self.work / kind, len(self.descriptions)
        folder.mkdir(exist_ok=True)
        pq.write_table(prompts.prompts_table(self.descriptions, told), folder / "prompts.parquet")
        labels = {"cluster": pa.array(np.arange(n, dtype=np.int32)), "description": self.descriptions}
        pq.write_table(pa.table(labels), folder / "labels.parquet")
        job = GenerateJob(
            prompts=str(folder),
            base_model=settings.training.base_model,
            generation=settings.generation,
            work=str(folder / "work"),
            out=str(folder / "mapping"),
            adapter=str(self.work / "adapter"),
        )
        child("driftline.engines.generate", job, folder)
        mapping = pq.read_table(folder / "mapping" / "mapping.parquet")
        held_out = read_held_out(settings.source, settings.sequences, test, self.assignment)
        measured = measure_table(
            table=0,
            kind=kind,
            nominal=test.end,
            mapping=mapping,
            counts=counts,
            n_clusters=n,
            steps=held_out.steps,
            shown=held_out.shown,
            start=test.start,
            end=test.end,
            confidence=settings.gates.confidence,
        )
        found = gates.judge(gates.evaluation(measured, settings.gates), settings.gates)
        trained = json.loads((self.work / "adapter" / "train.json").read_text())
        asked = json.loads((folder / "mapping" / "cost.json").read_text())
        return Outcome(
            seed=settings.training.seed,
            at=f"{self.at:%Y-%m-%d}",
            kind=kind,
            steps=trained.get("validation", {"best_step": trained["steps"]})["best_step"],
            exact_match_rate=found.exact_match_rate or 0.0,
            recall=found.recall or 0.0,
            recall_low=found.recall_low or 0.0,
            chance=found.recall_chance,
            popular=found.recall_popular or 0.0,
            frequent=found.recall_frequent or 0.0,
            triples=found.test_triples,
            answered=found.coverage,
            cpu_seconds=round(asked["cpu_seconds"] + (trained["cpu_seconds"] if kind == "fine-tune" else 0.0), 1),
        )


def interests(home: Path, settings: Settings) -> tuple[pa.Table, list[str]]:
    """The item → cluster assignment, and the descriptions."""
    knobs = settings.clusters
    items, texts = embedded(home, settings.source, knobs.embedding_model)
    cluster = clusters.build(np.load(home / EMBEDDINGS), texts["traffic"].to_numpy(), knobs)
    texts = texts.append_column("cluster", pa.array(cluster))
    table = best_keywords(texts, knobs.keywords)
    described = pq.read_table(named(home, knobs.embedding_model, texts, table, knobs.keywords) / "named.parquet")
    return items.join(texts.select(["text", "cluster"]), "text").select(["item", "cluster"]), described["description"].to_pylist()


def embedded(home: Path, source: Source, model: str) -> tuple[pa.Table, pa.Table]:
    """A catalogue's items, and its texts, whose embeddings lie in the folder.

    Returns:
        item, text, traffic; and text, traffic, items (how many have it), row (of the embeddings), by text.
    """
    items = catalogue(source)
    texts = items.group_by("text").aggregate([("traffic", "sum"), ([], "count_all")]).sort_by("text")
    texts = texts.rename_columns(["text", "traffic", "items"]).append_column("row", pa.array(range(texts.num_rows)))
    pq.write_table(texts, home / "texts.parquet")
    child("driftline.engines.embed", EmbedJob(str(home / "texts.parquet"), model, str(home / EMBEDDINGS)), home)
    return items, texts


def best_keywords(texts: pa.Table, count: int) -> pa.Table:
    """The clusters of placed texts by their best keywords, with those that may be chosen instead."""
    cluster, traffic = (texts[name].to_numpy() for name in ("cluster", "traffic"))
    table = keywords.cluster_table(texts["text"].to_pylist(), cluster, traffic, count, CANDIDATES)
    return table.append_column("start", pa.array([count] * table.num_rows))


def named(home: Path, model: str, texts: pa.Table, table: pa.Table, count: int) -> Path:
    """The folder of what the engine that chooses names has written of placed texts. `count` 0: names stay, and are measured."""
    placed, given, out = home / "placed.parquet", home / "clusters.parquet", home / "named"
    pq.write_table(texts.select(["row", "cluster", "items"]), placed)
    pq.write_table(table, given)
    out.mkdir(exist_ok=True)
    job = NameJob(str(placed), str(given), str(home / EMBEDDINGS), model, str(out), count)
    child("driftline.engines.name", job, home)
    return out


def child(module: str, job: Any, folder: Path) -> None:
    file = folder / f"{module}.json"
    file.write_bytes(TypeAdapter(type(job)).dump_json(job))
    with (folder / f"{module}.log").open("w") as log:
        subprocess.run([sys.executable, "-m", module, str(file)], stdout=log, check=True)


def table(found: list[Outcome]) -> Table:
    exact = sum(one.exact_match_rate >= MIN_EXACT_MATCH_RATE for one in found)
    above = sum(one.recall_low > one.chance for one in found)
    title = f"exact match ≥ {MIN_EXACT_MATCH_RATE:.0%}: {exact} of {len(found)}; recall above chance: {above} of {len(found)}"
    headings = ("as of", "seed", "run", "steps", "exact match", "recall", "bound", "chance", "popular", "frequent", "n", "CPU-s")
    shown = Table(title=title)
    for heading in headings:
        shown.add_column(heading, justify="left" if heading in ("as of", "run") else "right")
    for one in found:
        shares = (one.exact_match_rate, one.recall, one.recall_low, one.chance, one.popular, one.frequent)
        cells = [
            one.at,
            one.seed,
            one.kind,
            one.steps,
            *(f"{share:.2%}" for share in shares),
            f"{one.triples:,}",
            one.cpu_seconds,
        ]
        shown.add_row(*map(str, cells), style=None if one.passed else "red")
    return shown


if __name__ == "__main__":
    main()
