"""Parquet files: columns by name, text by its bytes, partitions; and folders of a table format, whose files are not its rows."""

from collections.abc import Sequence

import duckdb

from driftline.contracts import BadInput
from driftline.sources.agreement import check_columns, check_partitions
from driftline.sources.partitions import names_in, options, partitions
from driftline.sources.reading import Reading
from driftline.sources.session import literal

TABLE_FORMATS = (
    # Its name, what lies beside the data, and how DuckDB reads it.
    ("Delta Lake", ("_delta_log/*.json", "_delta_log/*.parquet"), "FROM delta_scan({})"),
    ("Iceberg", ("metadata/*.metadata.json",), "FROM iceberg_scan({})"),
    ("Hudi", (".hoodie/hoodie.properties",), ""),
)


def find_parquet(
    con: duckdb.DuckDBPyConnection,
    knob: str,
    pattern: str,
    files: Sequence[str],
    ids: Sequence[str],
    used: Sequence[str] = (),
    hidden: int = 0,
) -> tuple[str, Reading]:
    """SQL of all rows of the files, and how they are read. `hidden`: how many files of the pattern are not among `files`.

    Raises:
        BadInput: the files belong to a table of Delta Lake, Iceberg or Hudi, which says which of them hold its rows; or a column
            that a setting names is there twice, or not in all files.
    """
    _refuse_table_formats(con, knob, files)
    # Text that was written without saying that it is text (Impala, Hive, old Spark) is text all the same.
    how = "union_by_name = true, binary_as_string = true"
    where = f"[{', '.join(map(literal, files))}]" if hidden else literal(pattern)
    plain = f"read_parquet({where}, {how}, hive_partitioning = false)"
    columns = {name: kind for name, kind, *_ in con.execute(f"DESCRIBE FROM {plain}").fetchall()}
    found = partitions(files, columns, names_in(ids))
    check_columns(knob, _names(con, where), [*ids, *used])
    check_partitions(knob, files, columns, [*ids, *used])
    body = f"read_parquet({where}, {how}, {options(found)})"
    return body, Reading(pattern, "parquet", len(files), columns=columns | found, partitions=found)


def _names(con: duckdb.DuckDBPyConnection, where: str) -> dict[str, list[str]]:
    """Columns by file, of files that have rows."""
    with_rows = {
        file for (file,) in con.execute(f"SELECT file_name FROM parquet_file_metadata({where}) WHERE num_rows > 0").fetchall()
    }
    found: dict[str, list[str]] = {}
    inside = 0  # how many fields of a column, and of its fields, are still to come
    for file, name, children, root in con.execute(
        f"SELECT file_name, name, coalesce(num_children, 0), column_id = 0 FROM parquet_schema({where})"
    ).fetchall():
        if root:
            inside = 0
        elif inside:
            inside += children - 1
        else:
            inside = children
            if file in with_rows:
                found.setdefault(file, []).append(name)
    return found


def _refuse_table_formats(con: duckdb.DuckDBPyConnection, knob: str, files: Sequence[str]) -> None:
    for folder in dict.fromkeys(place for file in files for place in _roots(file)):
        for name, marks, scan in TABLE_FORMATS:
            if any(con.execute("SELECT 1 FROM glob(?) LIMIT 1", [f"{_escaped(folder)}/{mark}"]).fetchall() for mark in marks):
                mend = f"write {knob} = {scan.format(literal(folder))!r}" if scan else "export its rows, or name a query"
                raise BadInput(
                    f"{knob}: {folder} is a table of {name}: its files hold rows that were deleted or written again: {mend}"
                )


def _roots(file: str) -> tuple[str, ...]:
    """Where a table's root may be: the file's folder, less partitions, and what a folder `data` lies in."""
    folder = file.replace("\\", "/").rpartition("/")[0] or "."
    while "=" in folder.rpartition("/")[2]:
        folder = folder.rpartition("/")[0]
    above, data, _ = f"{folder}/".rpartition("/data/")
    return (folder, above) if data else (folder,)


def _escaped(folder: str) -> str:
    """A folder's name may look like a glob."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in folder)
