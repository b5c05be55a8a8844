"""Bulk rows: binary COPY in and out, and partitions that are filled, indexed and then attached."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql
from sqlalchemy import Connection, text

BATCH = 65_536
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"


def cursor(conn: Connection) -> psycopg.Cursor[Any]:
    """A psycopg cursor inside the transaction of `conn`."""
    raw = conn.connection.driver_connection
    if not isinstance(raw, psycopg.Connection):
        raise TypeError("not a psycopg connection; use db.connection.connect")
    return raw.cursor()


def copy_rows(conn: Connection, table: str, rows: pa.Table, types: Sequence[str]) -> None:
    """COPY rows of any types; `types` are Postgres' names of the columns' types."""
    with cursor(conn) as cur, cur.copy(_copy_in(table, rows.column_names)) as copy:
        copy.set_types(types)
        for batch in rows.to_batches(max_chunksize=BATCH):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                copy.write_row(row)


def copy_integers(conn: Connection, table: str, rows: pa.Table) -> None:
    """COPY int32 and int64 columns without nulls, as one block of bytes per batch: counts can have millions of rows."""
    layout = _layout(rows.schema)
    with cursor(conn) as cur, cur.copy(_copy_in(table, rows.column_names)) as copy:
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
    """The way back: `query` (psycopg placeholders) yields the columns of `schema`, none of them null."""
    with cursor(conn) as cur, cur.copy(f"COPY ({query}) TO STDOUT (FORMAT BINARY)", parameters) as copy:
        data = b"".join(copy)
    rows = np.frombuffer(data[len(HEADER) : -len(TRAILER)], _layout(schema))
    columns = [rows[field.name].astype(field.type.to_pandas_dtype()) for field in schema]
    return pa.table(columns, schema=schema)


def add_partition(conn: Connection, parent: str, version: int, primary_key: str, fill: Callable[[str], None]) -> None:
    """Make partition `version` of `parent`: `fill` loads a table of that name, then it is indexed and attached.

    Readers of the parent are never blocked; the CHECK spares attaching a scan.
    """
    partition = f"{parent}_v{version}"
    conn.execute(text(f"CREATE TABLE {partition} (LIKE {parent} INCLUDING ALL EXCLUDING INDEXES, CHECK (version = {version}))"))
    fill(partition)
    conn.execute(text(f"ALTER TABLE {partition} ADD PRIMARY KEY ({primary_key})"))
    conn.execute(text(f"ANALYZE {partition}"))
    conn.execute(text(f"ALTER TABLE {parent} ATTACH PARTITION {partition} FOR VALUES IN ({version})"))


def _copy_in(table: str, columns: Sequence[str]) -> sql.Composed:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(sql.Identifier(table), names)


def _layout(schema: pa.Schema) -> np.dtype[np.void]:
    """Bytes of one row in Postgres' binary COPY format: the number of fields, then length and value of each."""
    fields = [("fields", ">i2")]
    for field in schema:
        fields += [(f"{field.name}:length", ">i4"), (field.name, f">i{field.type.bit_width // 8}")]
    return np.dtype(fields)
