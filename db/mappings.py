"""A mapping on its way into the database: checked, and as rows of `transition`."""

import pyarrow as pa
import pyarrow.compute as pc

from driftline.contracts import BadInput
from driftline.interests import triples

MAPPING = pa.schema(
    [
        ("c1", pa.int32()),
        ("c2", pa.int32()),
        ("c_next", pa.int32()),
        ("exact", pa.bool_()),
        ("free", pa.string()),
        ("retrieved", pa.list_(pa.int32())),
        ("score", pa.float32()),
        ("llm_next", pa.int32()),
    ]
)
COLUMNS = ("c1", "c2", "c_next", "decoding", "free", "retrieved", "score", "llm_next")
"""Of `transition`, beside its version."""
OPTIONAL = ("exact", "free", "score", "llm_next")
"""Null, or not there, where no LLM was asked or nothing else than it answered."""


def checked(mapping: pa.Table, clusters: int) -> pa.Table:
    """A mapping with all its columns, sorted by (c1, c2).

    Raises:
        BadInput: nulls, ids outside 0..clusters-1, or an answer that is a member of its pair.
    """
    for name in OPTIONAL:
        if name not in mapping.column_names:
            mapping = mapping.append_column(name, pa.nulls(mapping.num_rows, MAPPING.field(name).type))
    if "retrieved" not in mapping.column_names:
        mapping = mapping.append_column("retrieved", pa.array([[]] * mapping.num_rows, MAPPING.field("retrieved").type))
    mapping = mapping.select(MAPPING.names).cast(MAPPING).sort_by([("c1", "ascending"), ("c2", "ascending")])
    ids = mapping.select(["c1", "c2", "c_next"])
    all_or_none = mapping["exact"].null_count in (0, mapping.num_rows)  # an LLM, about all pairs or about none
    if any(column.null_count for column in [*ids.columns, mapping["retrieved"]]) or not all_or_none:
        raise BadInput("a mapping has no nulls but in `free` and in what only some tables have")
    triples.read(ids, clusters)
    return mapping


def to_rows(version: int, mapping: pa.Table) -> pa.Table:
    """The columns of `transition`, in its order."""
    versions = pa.array([version] * mapping.num_rows, pa.int64())
    decoding = pc.if_else(mapping["exact"], "exact", "constrained")
    values = {name: decoding if name == "decoding" else mapping[name] for name in COLUMNS}
    columns = [values[name] for name in COLUMNS]
    return pa.table([versions, *columns], names=["version", *COLUMNS])
