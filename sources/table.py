"""Reads any small table an engineer names, e.g. the taxonomy of an imported cluster set."""

from collections.abc import Mapping

import pyarrow as pa

from driftline.sources.from_clause import find
from driftline.sources.identity import identifier
from driftline.sources.session import arrow, connect, explained, quoted


def read_table(where: str, columns: Mapping[str, str], setup: str = "", knob: str = "file") -> pa.Table:
    """The columns as text, in the order of the file. `columns`: column name or DuckDB expression, by the name it gets.

    `where` is Parquet or CSV files or a DuckDB query, as in `source.events`; `knob` names it in errors.

    Raises:
        BadInput: Nothing is there, or a column is missing; says what there is.
    """
    with connect(setup) as con:
        raw = find(con, knob, where, list(columns.values()), list(columns.values()))
        listed = ", ".join(
            f"{identifier(raw, f'{knob}: {name}', written).sql} AS {quoted(name)}" for name, written in columns.items()
        )
        with explained(f"{knob} = {where!r}"):
            return arrow(con, f"SELECT {listed} FROM {raw.sql}")
