"""Opening a log in the engine that counts it: DuckDB in this process, Spark, or the database that holds the log."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import duckdb
import pyarrow as pa

from driftline.contracts import BadInput, Source, Window
from driftline.sources.sequences import check_assignment, open_assigned
from driftline.sources.session import RunQuery, arrow, explained


@contextmanager
def open_engine(
    engine: str, source: Source, assignment: pa.Table, window: Window, plain: bool = False
) -> Iterator[tuple[RunQuery, duckdb.DuckDBPyConnection | None]]:
    """Opens the log in the engine that counts it; with DuckDB's connection where that is DuckDB.

    Args:
        engine: as `counting.engine`.
        window: where ids are looked for that stand for none.
        plain: as if ids needed no care; DuckDB only.

    Raises:
        BadInput: `source` or `assignment` is not as it should be; the engine is not there.
    """
    name, _, url = engine.partition(":")
    if name in ("spark", "sql"):
        check_assignment(assignment)
        with _remote(name)(url, source, assignment, window) as run_query:
            yield run_query, None
    else:
        with open_assigned(source, assignment, window, plain) as con:
            # One transaction, so that all scans of a live database see the same rows.
            con.begin()
            with explained("source"):
                yield partial(arrow, con), con
            con.rollback()


def _remote(name: str) -> Callable[[str, Source, pa.Table, Window], AbstractContextManager[RunQuery]]:
    """Imported when it is asked for: not everybody has its packages, and Spark's take a second."""
    try:
        if name == "spark":
            from driftline.sources.spark import open_spark

            return open_spark
        from driftline.sources.database import open_database

        return open_database
    except ImportError as error:
        raise BadInput(f"counting.engine = '{name}…' needs {error.name}: pip install 'driftline[{name}]'") from error
