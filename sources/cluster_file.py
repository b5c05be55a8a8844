"""A cluster set as a file, to carry it to another database: JSON lines, which people can read and compare.

The first line says what the file is, how the set was made, and its content key; then each cluster has a line, with its items:

    {"driftline": "cluster set", "format": 1, "key": "9f…", "clusters": 24, "items": 68509, "method": {…}}
    {"cluster": 0, "name": "beef", "description": "beef, steak", "keywords": ["beef", …], "traffic": 812, "items": ["17", …]}
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from driftline.contracts import BadInput
from driftline.interests.descriptions import check_descriptions

FORMAT = 1
WHAT = "cluster set"
COLUMNS = {"name": str, "description": str, "keywords": list, "traffic": int}


@dataclass(frozen=True)
class ClusterFile:
    """What an exported file of a cluster set holds. `clusters`: cluster, name, description, keywords, traffic; `items`: item,
    cluster; `key`: of the database it comes from; `centres`: those of the clusters that have one, of the embedding `model`."""

    key: str
    method: dict[str, Any]
    clusters: pa.Table
    items: pa.Table
    centres: dict[int, list[float]] = field(default_factory=dict)
    model: str = ""


def is_cluster_file(path: str) -> bool:
    """Whether a file begins as `write` begins it."""
    if "://" in path or not Path(path).is_file():
        return False
    with Path(path).open("rb") as file:
        return file.read(len(_BEGINS)) == _BEGINS


def write(path: Path, found: ClusterFile) -> None:
    """Write the set; the same set gives the same bytes."""
    items: dict[int, list[str]] = {}
    for item, cluster in zip(found.items["item"].to_pylist(), found.items["cluster"].to_pylist(), strict=True):
        items.setdefault(cluster, []).append(item)
    head = {
        "driftline": WHAT,
        "format": FORMAT,
        "key": found.key,
        "clusters": found.clusters.num_rows,
        "items": found.items.num_rows,
        "method": found.method,
        "model": found.model,
    }
    rows = [
        {**row, "items": sorted(items.get(row["cluster"], ())), "centre": found.centres.get(row["cluster"])}
        for row in found.clusters.to_pylist()
    ]
    with path.open("w", encoding="utf-8") as file:
        for line in [head, *rows]:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def read(path: str) -> ClusterFile:
    """The set of a file. Its content is checked, its key is not: whoever stores the set compares.

    Raises:
        BadInput: it is not whole, was written by a later release, or has descriptions that cannot be told apart.
    """
    with Path(path).open(encoding="utf-8") as file:
        lines = _lines(path, file)
        head = next(lines, {})
        if head.get("driftline") != WHAT:
            raise BadInput(f"{path} is no cluster set that `driftline clusters export` wrote")
        if head.get("format") != FORMAT:
            raise BadInput(f"{path} has format {head.get('format')}, this release reads {FORMAT}: update it")
        rows = list(lines)
    for number, row in enumerate(rows):
        if row.get("cluster") != number or not all(isinstance(row.get(name), kind) for name, kind in COLUMNS.items()):
            raise BadInput(f"{path}, line {number + 2}: not cluster {number} with its {', '.join(COLUMNS)}: export it again")
    clusters = [{name: row[name] for name in ("cluster", *COLUMNS)} for row in rows]
    items = [{"item": str(item), "cluster": row["cluster"]} for row in rows for item in row.get("items", ())]
    if (len(clusters), len(items)) != (head.get("clusters"), head.get("items")):
        raise BadInput(f"{path} ends too early: it has {len(clusters)} clusters and {len(items)} items: export it again")
    check_descriptions([row["description"] for row in clusters])
    schema = pa.schema([("item", pa.string()), ("cluster", pa.int32())])
    return ClusterFile(
        str(head.get("key")),
        dict(head.get("method") or {}),
        pa.Table.from_pylist(clusters),
        pa.Table.from_pylist(items, schema),
        {row["cluster"]: [float(number) for number in row["centre"]] for row in rows if row.get("centre")},
        str(head.get("model") or ""),
    )


_BEGINS = json.dumps({"driftline": WHAT})[:-1].encode()


def _lines(path: str, file: Any) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(file, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise BadInput(f"{path}, line {number}: {error}") from None
        if not isinstance(row, dict):
            raise BadInput(f"{path}, line {number}: not an object")
        yield row
