"""Bulk rows: binary COPY in and out, and partitions that are filled, indexed and then attached."""

import struct
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from sqlalchemy import Connection, text

from driftline.db.connection import cursor

BATCH = 65_536
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
ARROW = {
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "text": pa.string(),
    "int4[]": pa.list_(pa.int32()),
    "text[]": pa.list_(pa.string()),
}
OIDS = {pa.int32(): 23, pa.string(): 25}


def copy_rows(conn: Connection, table: str, rows: pa.Table, types: Sequence[str], *, fresh: bool = False) -> None:
    """COPY rows, as one block of bytes per batch.

    Args:
        types: Postgres' names of the columns' types, each one of `ARROW`.
        fresh: `table` was made in this very transaction: the rows are frozen as they come, and need no vacuum later.
    """
    wanted = pa.schema([(name, ARROW[kind]) for name, kind in zip(rows.column_names, types, strict=True)])
    with cursor(conn) as cur, cur.copy(_copy_in(table, rows.column_names, fresh)) as copy:
        copy.write(HEADER)
        for batch in rows.cast(wanted).to_batches(max_chunksize=BATCH):
            block = pc.binary_join_element_wise(struct.pack(">h", batch.num_columns), *map(_fields, batch.columns), b"")
            copy.write(memoryview(block.buffers()[2])[: pc.sum(pc.binary_length(block)).as_py()])
        copy.write(TRAILER)


def copy_integers(conn: Connection, table: str, rows: pa.Table) -> None:
    """COPY int32 and int64 columns without nulls into a fresh table (see `copy_rows`): counts can have millions of rows."""
    layout = _layout(rows.schema)
    with cursor(conn) as cur, cur.copy(_copy_in(table, rows.column_names, True)) as copy:
        copy.write(HEADER)
        for batch in rows.to_batches(max_chunksize=BATCH):
            block = np.empty(batch.num_rows, layout)
            block["fields"] = batch.num_columns
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                block[f"{name}:length"] = layout[name].itemsize
                block[name] = column.to_numpy()
            copy.write(block.tobytes())
        copy.write(TRAILER)


def read_integers(conn: Connection, query: str, parameters: Sequence[object], schema: pa.Schema) -> pa.Table:
    """Reads integers by binary COPY: `query` (psycopg placeholders) yields the columns of `schema`, none of them null."""
    with cursor(conn) as cur, cur.copy(f"COPY ({query}) TO STDOUT (FORMAT BINARY)", parameters) as copy:
        data = bytearray()
        for row in copy:  # psycopg gives one buffer for each row: none of them is kept
            data += row
    rows = np.frombuffer(memoryview(data)[len(HEADER) : -len(TRAILER)], _layout(schema))
    columns = [rows[field.name].astype(field.type.to_pandas_dtype()) for field in schema]
    return pa.table(columns, schema=schema)


def add_partition(conn: Connection, parent: str, version: int, primary_key: str, fill: Callable[[str], None]) -> None:
    """Make partition `version` of `parent`: `fill` loads a table of that name, then it is indexed and attached.

    Readers of the parent are never blocked; the CHECK spares attaching a scan.
    """
    partition = f"{parent}_v{version}"
    named = {"parent": parent, "version": version, "primary_key": primary_key}
    conn.execute(text("SELECT make_partition(:parent, :version)"), named)
    fill(partition)
    conn.execute(text("SELECT attach_partition(:parent, :version, :primary_key)"), named)


def _copy_in(table: str, columns: Sequence[str], fresh: bool) -> sql.Composed:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    into = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY, FREEZE {})")
    return into.format(sql.Identifier(table), names, sql.Literal(fresh))


def _layout(schema: pa.Schema) -> np.dtype[np.void]:
    """Bytes of one row in Postgres' binary COPY format: the number of fields, then length and value of each."""
    fields = [("fields", ">i2")]
    for field in schema:
        fields += [(f"{field.name}:length", ">i4"), (field.name, f">i{field.type.bit_width // 8}")]
    return np.dtype(fields)


def _fields(column: pa.Array) -> pa.Array:
    """Every value of a column of `ARROW` in the binary COPY format: its length in bytes, then its bytes; null: length -1."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _sized(_big_endian(column))
    if pa.types.is_string(column.type):
        # Postgres holds no byte 0x00, and an LLM that writes freely may write one.
        return _sized(pc.replace_substring(column, "\0", "\ufffd").cast(pa.binary()))
    # An array: dimensions, whether there are nulls, the elements' type; then, unless it is empty, its size and first index.
    elements, size = _fields(column.flatten()), pc.list_value_length(column)
    kind = struct.pack(">ii", column.flatten().null_count > 0, OIDS[column.type.value_type])
    full = pc.binary_join_element_wise(struct.pack(">i", 1) + kind, _big_endian(size), struct.pack(">i", 1), b"")
    start = pc.if_else(pc.equal(size, 0), struct.pack(">i", 0) + kind, full)
    ends = pc.cumulative_sum(pc.fill_null(size, 0))
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.concat_arrays([pa.array([0], pa.int32()), ends]), elements), b"")
    return _sized(pc.binary_join_element_wise(start, joined, b""))


def _sized(values: pa.Array) -> pa.Array:
    return pc.fill_null(pc.binary_join_element_wise(_big_endian(pc.binary_length(values)), values, b""), NULL)


def _big_endian(column: pa.Array) -> pa.Array:
    """int32, int64 or float32 as bytes; null stays null."""
    width = column.type.bit_width // 8
    kind = "f" if pa.types.is_floating(column.type) else "i"
    data = pc.fill_null(column, 0).to_numpy().astype(f">{kind}{width}")
    packed = pa.Array.from_buffers(pa.binary(width), len(data), [None, pa.py_buffer(data)]).cast(pa.binary())
    return pc.if_else(column.is_valid(), packed, pa.scalar(None, pa.binary()))
