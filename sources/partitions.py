"""Columns that are folders' names: `dt=2024-01-01/store=007/x.parquet`."""

import re
from collections.abc import Iterable, Sequence, Set
from urllib.parse import unquote

from driftline.sources.session import literal

PART = re.compile(r"[/\\]([^=/\\]+)=([^/\\]*)(?=[/\\])")
WHOLE = re.compile(r"\d\d?|-?[1-9]\d{0,17}")
"""Also months, days and hours of two digits: what is an id stays text."""
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def names_in(settings: Iterable[str]) -> set[str]:
    """Columns that settings name or may name, in lower case."""
    return {name for written in settings for name in (written.strip().lower(), *re.findall(r"\w+", written.lower()))}


def partitions(files: Sequence[str], columns: Iterable[str], text: Set[str]) -> dict[str, str]:
    """DuckDB type by the name of each partition that all files have. Ids (`text`, lower case) are text: `store=007`.

    A folder may have `=` in its name and mean nothing by it, so that a partition never hides a column of the files: where one
    would, there are none.
    """
    found = [dict(PART.findall(file)) for file in files]
    names = [name for name in found[0] if all(name in each for each in found)] if found else []
    if {name.lower() for name in names} & {name.lower() for name in columns}:
        return {}
    return {name: "VARCHAR" if name.lower() in text else _kind(unquote(each[name]) for each in found) for name in names}


def options(found: dict[str, str]) -> str:
    """Arguments of `read_parquet` and `read_csv`. All is said, for what is not is guessed."""
    if not found:
        return "hive_partitioning = false"
    types = ", ".join(f"{literal(name)}: {kind}" for name, kind in found.items())
    return f"hive_partitioning = true, hive_types = {{{types}}}"


def _kind(values: Iterable[str]) -> str:
    given = {value for value in values if value != "__HIVE_DEFAULT_PARTITION__"}
    for pattern, kind in ((WHOLE, "BIGINT"), (DATE, "DATE")):
        if given and all(pattern.fullmatch(value) for value in given):
            return kind
    return "VARCHAR"
