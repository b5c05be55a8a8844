"""JSON files, a record a line or in one array: names and types of all records of all files, settled once.

DuckDB's own reading makes a UUID or a date of any text that looks like one, so that an id would not be as it is written.
"""

import re
from collections.abc import Sequence

import duckdb

from driftline.contracts import BadInput
from driftline.sources.agreement import check_partitions
from driftline.sources.header import is_named
from driftline.sources.partitions import names_in, options, partitions
from driftline.sources.reading import Reading
from driftline.sources.session import literal, quoted

GUESSED = re.compile(r"\b(UUID|DATE|TIMESTAMP( WITH TIME ZONE|_\w+)?|TIME( WITH TIME ZONE)?)(?=[,)\[]|$)")
"""Types that DuckDB gives to texts."""
PLAIN = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DOUBLE|VARCHAR|JSON")


def find_json(
    con: duckdb.DuckDBPyConnection, knob: str, pattern: str, files: Sequence[str], ids: Sequence[str], used: Sequence[str]
) -> tuple[str, Reading]:
    """SQL of all records of the files, and how they are read. Numbers and texts in one id column are text, as they are written.

    Raises:
        BadInput: the files are no JSON, or hold no records; names the file and the line.
    """
    text, settings = names_in(ids), " ".join(used).lower()
    listed = f"[{', '.join(map(literal, files))}]"
    how = (
        "union_by_name = true, sample_size = -1, maximum_depth = -1, map_inference_threshold = -1, field_appearance_threshold = 0"
    )
    found = con.execute(f"DESCRIBE FROM read_json({listed}, {how}, hive_partitioning = false)").fetchall()
    kinds = {name: GUESSED.sub("VARCHAR", kind) for name, kind, *_ in found}
    if list(kinds) == ["json"]:
        raise BadInput(f'{knob}: {pattern!r} holds no records such as {{"user": …}}: write a query that takes them out of it')
    types = {}
    for name, kind in kinds.items():
        if name.lower() in text and PLAIN.fullmatch(kind):
            kind = "VARCHAR" if kind != "JSON" or _scalar(con, listed, name) else "JSON"
        elif name.lower() in text:  # a field of it is the id, in some records a number and in some a text
            kind = re.sub(r"\bJSON(?=[,)])", "VARCHAR", kind)
        if name.lower() in text or is_named(name, settings):
            types[name] = kind
    check_partitions(knob, files, kinds, [*ids, *used])
    check_partitions(knob, files, kinds, [*ids, *used])
    parts = partitions(files, kinds, text)
    columns = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in (types or kinds).items())
    body = f"read_json({listed}, columns = {{{columns}}}, {options(parts)})"
    return body, Reading(pattern, "json", len(files), columns=kinds | types | parts, partitions=parts)


def _scalar(con: duckdb.DuckDBPyConnection, listed: str, name: str) -> bool:
    """Whether no record has an object or an array there."""
    query = (
        f"SELECT count_if(left({quoted(name)}, 1) IN ('{{', '[')) FROM read_json({listed}, columns = {{{literal(name)}: 'JSON'}})"
    )
    return not (con.execute(query).fetchone() or (0,))[0]
