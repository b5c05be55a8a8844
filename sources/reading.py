"""How the files of one setting are read: settled once, over all rows of all files, and the same for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reading:
    """How a file was read: format, dialect, types. Empty where there is nothing of the kind."""

    where: str
    """The files or the query, as in the setting."""
    format: str
    """`parquet`, `csv`, `json` or `query`."""
    files: int = 0
    """None of a query."""
    delimiter: str = ""
    quote: str = ""
    escape: str = ""
    encoding: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    """DuckDB type by the name of each column; of a CSV, those that a setting names."""
    partitions: Mapping[str, str] = field(default_factory=dict)
    """Those of the columns that are in the folders' names, `dt=2024-01-01`."""
    times: tuple[str, ...] = ()
    """Formats of the timestamp: a type, `ISO 8601`, or what `strptime` takes."""
    zone: str = ""
    """Where the timestamp's zone is from."""
    hidden: int = 0
    """Files that the glob matches and that are left out, because their name begins with `_` or `.`."""
