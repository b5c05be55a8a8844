"""What chosen names are worth: the share of a catalogue's items that are nearest to their own interest's description.

python -m bench.naming [--seed 0]

Built interests are described by their best keywords (TF-IDF), then by the words that `interests/naming.py` chooses. Last come the
demo's departments, as a taxonomy that somebody brought: by their own names, then by the words that `clusters describe` chooses.
DRIFTLINE_ONLINE_RETAIL and DRIFTLINE_IFDB name folders with `events.parquet` and `items.parquet`; what is not set is left out.
"""

import json
import os
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from bench.recipe import EMBEDDINGS, best_keywords, embedded, named
from driftline.activities.naming import candidates, put
from driftline.contracts import Clusters, Source
from driftline.interests import clusters
from driftline.interests.imported import imported_table
from driftline.interests.naming import Named
from driftline.sources.demo import write_demo

KNOBS = Clusters()
LOGS = (("IFDB", "DRIFTLINE_IFDB", 40), ("Online Retail II", "DRIFTLINE_ONLINE_RETAIL", 24))


@dataclass(frozen=True)
class Catalogue:
    """Items with what their texts' embeddings say of them.

    Attributes:
        items: item, text, traffic.
        texts: text, traffic, items (how many have it) and row (of the embeddings); ordered by text.
    """

    folder: Path
    items: pa.Table
    texts: pa.Table

    @staticmethod
    def of(source: Source, folder: Path) -> "Catalogue":
        folder.mkdir(parents=True)
        return Catalogue(folder, *embedded(folder, source, KNOBS.embedding_model))

    def built(self, n: int, seed: int) -> tuple[Named, Named]:
        """How much the best keywords say of `n` built interests, and how much the words that are chosen."""
        traffic = self.texts["traffic"].to_numpy()
        of_text = clusters.build(np.load(self.folder / EMBEDDINGS), traffic, replace(KNOBS, fan_out=(n,), seed=seed))
        texts = self.texts.append_column("cluster", pa.array(of_text))
        return self._both(texts, best_keywords(texts, KNOBS.keywords))

    def imported(self, names: pa.Table) -> tuple[Named, Named]:
        """The same of interests that somebody brought (item, name), whose own names take the place of the keywords."""
        table, assignment = imported_table(names, self.items.select(["item", "traffic"]))
        placed = self.items.join(assignment, "item", join_type="inner").join(self.texts.select(["text", "row"]), "text")
        texts = placed.group_by(["text", "row", "cluster"]).aggregate([("traffic", "sum"), ([], "count_all")])
        texts = texts.rename_columns(["text", "row", "cluster", "traffic", "items"]).sort_by(
            [("cluster", "ascending"), ("row", "ascending")]
        )
        return self._both(texts, candidates(table, texts, built=False))

    def _both(self, texts: pa.Table, table: pa.Table) -> tuple[Named, Named]:
        return self._measured(texts, table, 0), self._measured(texts, table, KNOBS.keywords)

    def _measured(self, texts: pa.Table, table: pa.Table, count: int) -> Named:
        return Named(**json.loads((named(self.folder, KNOBS.embedding_model, texts, table, count) / "said.json").read_text()))


def measured(folder: Path, seed: int) -> Iterator[tuple[str, tuple[Named, Named]]]:
    for name, variable, n in LOGS:
        if where := os.environ.get(variable):
            source = Source(events=f"{where}/events.parquet", items=f"{where}/items.parquet")
            yield f"{name}, {n} interests", Catalogue.of(source, folder / name).built(n, seed)
    source = write_demo(folder / "demo")
    demo = Catalogue.of(source, folder / "The Complete Journey")
    for n in (24, 12):
        yield f"The Complete Journey, {n} interests", demo.built(n, seed)
    departments = pq.read_table(source.items, columns=["item", "department"]).rename_columns(["item", "name"])
    departments = put(departments, item=departments["item"].cast(pa.string()))
    yield "The Complete Journey, its departments", demo.imported(departments)


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.naming", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    seed: int = parser.parse_args().seed
    drawn = Table("interests", "nearest to what was there", "to the chosen words", "to the mean", "chance", title=f"seed {seed}")
    with TemporaryDirectory(prefix="driftline-bench-") as folder:
        for name, (before, after) in measured(Path(folder), seed):
            shares = (before.nearest_description, after.nearest_description, after.nearest_centroid, after.chance)
            drawn.add_row(name, *(f"{share:.1%}" for share in shares))
    Console().print(drawn)


if __name__ == "__main__":
    main()
