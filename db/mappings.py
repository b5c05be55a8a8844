"""A mapping on its way into the database: checked, and as rows of `transition`."""

import pyarrow as pa
import pyarrow.compute as pc

from driftline.contracts import BadInput

MAPPING = pa.schema(
    [
        ("c1", pa.int32()),
        ("c2", pa.int32()),
        ("c_next", pa.int32()),
        ("exact", pa.bool_()),
        ("free", pa.string()),
        ("retrieved", pa.list_(pa.int32())),
    ]
)
COLUMNS = ("c1", "c2", "c_next", "decoding", "free", "retrieved")
"""Of `transition`, beside its version."""


def checked(mapping: pa.Table, clusters: int) -> pa.Table:
    """A mapping with all its columns, sorted by (c1, c2).

    Raises:
        BadInput: nulls, ids outside 0..clusters-1, or an answer that is a member of its pair.
    """
    if "retrieved" not in mapping.column_names:
        mapping = mapping.append_column("retrieved", pa.array([[]] * mapping.num_rows, MAPPING.field("retrieved").type))
    mapping = mapping.select(MAPPING.names).cast(MAPPING).sort_by([("c1", "ascending"), ("c2", "ascending")])
    ids = mapping.select(["c1", "c2", "c_next"])
    if any(column.null_count for column in [*ids.columns, mapping["exact"], mapping["retrieved"]]):
        raise BadInput("a mapping has no nulls but in `free`")
    c1, c2, c_next = (column.to_numpy() for column in ids.columns)
    if any(((column < 0) | (column >= clusters)).any() for column in (c1, c2, c_next)):
        raise BadInput(f"the mapping names clusters outside 0..{clusters - 1}")
    wrong = ((c1 == c2) | (c_next == c1) | (c_next == c2)).nonzero()[0]
    if wrong.size:
        first = tuple(int(column[wrong[0]]) for column in (c1, c2, c_next))
        raise BadInput(
            f"{wrong.size} rows are not novel, e.g. (c1, c2, c_next) = {first}: an answer is never a member of its pair"
        )
    return mapping


def to_rows(version: int, mapping: pa.Table) -> pa.Table:
    """The columns of `transition`, in its order."""
    versions = pa.array([version] * mapping.num_rows, pa.int64())
    decoding = pc.if_else(mapping["exact"], "exact", "constrained")
    columns = [mapping["c1"], mapping["c2"], mapping["c_next"], decoding, mapping["free"], mapping["retrieved"]]
    return pa.table([versions, *columns], names=["version", *COLUMNS])
