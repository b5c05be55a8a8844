import pyarrow as pa
import pytest
from sqlalchemy import Connection, text

from driftline.db.load import BATCH, copy_rows
from tests.db import world

TYPES = ["int4", "int8", "text", "int4[]", "text[]"]
ROWS = pa.table(
    {
        "a": pa.array([1, None, -3, 2**31 - 1], pa.int32()),
        "b": pa.array([2**62, 0, None, -1], pa.int64()),
        "c": ["naïve", None, "", "tab\t\\"],
        "d": pa.array([[1, None, 3], [], None, [-1]], pa.list_(pa.int32())),
        "e": pa.array([["a", None], [""], [], None], pa.list_(pa.string())),
    }
)


@pytest.mark.parametrize(
    "rows",
    [ROWS, ROWS.slice(1, 2), ROWS.slice(0, 0), pa.concat_tables([ROWS, ROWS.slice(3)])],
    ids=["all", "slice", "empty", "chunks"],
)
def test_every_type_arrives_as_it_left(conn: Connection, rows: pa.Table) -> None:
    conn.execute(text("CREATE TABLE loaded (place serial, a int4, b int8, c text, d int4[], e text[])"))
    copy_rows(conn, "loaded", rows, TYPES)
    found = conn.execute(text("SELECT a, b, c, d, e FROM loaded ORDER BY place")).mappings()
    assert [dict(row) for row in found] == rows.to_pylist()
    # Not only what a client sees of the arrays, but every bit.
    odd = "SELECT count(*) FROM loaded WHERE array_send(d) <> array_send(CAST(CAST(d AS text) AS int4[]))"
    assert conn.execute(text(odd)).scalar_one() == 0


def test_more_than_one_batch(conn: Connection) -> None:
    conn.execute(text("CREATE TABLE loaded (a int8, c text)"))
    numbers = range(2 * BATCH + 1)
    copy_rows(conn, "loaded", pa.table({"a": numbers, "c": [str(n) for n in numbers]}), ["int8", "text"])
    equal = text("SELECT count(*), count(DISTINCT a), bool_and(CAST(a AS text) = c) FROM loaded")
    assert conn.execute(equal).one() == (2 * BATCH + 1, 2 * BATCH + 1, True)


def test_a_partition_needs_no_vacuum(conn: Connection) -> None:
    """Its rows are visible to everybody from the start, so that nothing rewrites the pages later."""
    version = world.add_table(conn)
    pages = text("SELECT relpages, relallvisible FROM pg_class WHERE relname = :partition")
    assert conn.execute(pages, {"partition": f"transition_v{version}"}).one() == (1, 1)


def test_a_byte_that_postgres_cannot_hold_is_shown(conn: Connection) -> None:
    conn.execute(text("CREATE TABLE loaded (c text, e text[])"))
    copy_rows(conn, "loaded", pa.table({"c": ["a\0b"], "e": pa.array([["\0"]], pa.list_(pa.string()))}), ["text", "text[]"])
    assert conn.execute(text("SELECT c, e FROM loaded")).one() == ("a\ufffdb", ["\ufffd"])
