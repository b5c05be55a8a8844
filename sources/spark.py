"""Counting on Spark: Spark reads the log itself, is sent the cluster set, and returns the rows of each query (PySpark)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import pyarrow as pa
from pyspark.errors import (
    AnalysisException,
    ArithmeticException,
    DateTimeException,
    IllegalArgumentException,
    NumberFormatException,
    ParseException,
    PySparkException,
)
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import expr
from pyspark.sql.types import StringType, StructField, StructType

from driftline.contracts import QUERY, BadInput, Source, Window
from driftline.sources.dialects import DIALECTS
from driftline.sources.files import file_format
from driftline.sources.log import find_log
from driftline.sources.remote import RAW, RemoteRelation, query_remotely
from driftline.sources.session import RunQuery, connect

BAD_INPUT = (
    AnalysisException,
    ArithmeticException,
    DateTimeException,
    IllegalArgumentException,
    NumberFormatException,
    ParseException,
)
"""What no retry heals."""

UNFIT = re.compile(r"CSV header does not conform[^\n]*(\n Header:[^\n]*\n Schema:[^\n]*)?|\[?MALFORMED_RECORD[^\n]*")
"""What a CSV file does not fit by, in Spark's words."""

KINDS = {"string": "VARCHAR", "timestamp": "TIMESTAMP WITH TIME ZONE", "timestamp_ntz": "TIMESTAMP"}
"""DuckDB's types by Spark's; the others are called alike."""

_DAY = "try_cast(replace({{}}, '/', '-') AS {})"
CASTS = {
    **{kind: f"try_cast({{}} AS {kind})" for kind in ("BIGINT", "DOUBLE", "BOOLEAN")},
    "DATE": _DAY.format("DATE"),
    "TIMESTAMP": _DAY.format("TIMESTAMP_NTZ"),
    "TIMESTAMPTZ": _DAY.format("TIMESTAMP"),
}
"""Spark's SQL by the type that DuckDB has settled; what is not here stays as it is written."""

_lock = Lock()
_open = 0


@contextmanager
def open_spark(url: str, source: Source, assignment: pa.Table, window: Window | None = None) -> Iterator[RunQuery]:
    """Opens a log that Spark reads. `url`: a master, a Spark Connect server (`sc://…`), or nothing: what Spark's own
    configuration says, else this machine.

    Raises:
        BadInput: A setting of `source` does not fit what is there.
    """
    with session(url) as spark:
        spark.conf.set("spark.sql.session.timeZone", "UTC")

        def run(sql: str) -> pa.Table:
            try:
                return spark.sql(sql).toArrow()
            except BAD_INPUT as error:
                raise BadInput(_words(error)) from error
            except Exception as error:  # Spark's JVM says of a file what it finds while it reads
                if found := UNFIT.search(str(error)):
                    raise BadInput(f"source.events: {found[0].strip()}") from error
                raise

        try:
            log = _read(spark, source)
        except BAD_INPUT as error:
            raise BadInput(f"source.events: {_words(error)}") from error
        log.createOrReplaceTempView(RAW)
        spark.createDataFrame(assignment).createOrReplaceTempView("driftline_assignment")
        columns = {name: KINDS.get(kind, kind.upper()) for name, kind in log.dtypes}
        shown = "the query" if QUERY.match(source.events) else source.events
        yield query_remotely(RemoteRelation(run, DIALECTS["spark"], {}, columns, shown), source, window)


def _read(spark: SparkSession, source: Source) -> DataFrame:
    if QUERY.match(source.events):
        return spark.sql(source.events)
    kind = file_format("source.events", source.events)
    if kind == "json":
        raise BadInput("source.events: Spark reads a log in JSON by a query: SELECT user, item, ts FROM json.`/data/*.jsonl`")
    if kind == "parquet":
        return spark.read.option("mergeSchema", True).parquet(source.events)
    return _read_csv(spark, source)


def _read_csv(spark: SparkSession, source: Source) -> DataFrame:
    """Reads CSV with the dialect and the types that DuckDB has settled over all rows: Spark's own guess would be another.

    Raises:
        BadInput: DuckDB does not see the files, or cannot settle what they are.
    """
    with connect(source.setup) as con:
        settled = find_log(con, source)
    reading = settled.reading
    names = [name for name in settled.columns if name not in reading.partitions]
    options: dict[str, Any] = {
        "header": True,
        "enforceSchema": False,  # columns in another order are an error, not other columns
        "mode": "FAILFAST",
        "multiLine": True,
        "sep": reading.delimiter,
        "quote": reading.quote,
        "escape": reading.escape,
        "encoding": reading.encoding,
    }
    schema = StructType([StructField(name, StringType()) for name in names])
    log = spark.read.options(**options).schema(schema).csv(source.events)
    casts = {name: CASTS[kind] for name, kind in reading.columns.items() if kind in CASTS and name in names}
    return log.withColumns({name: expr(cast.format("`" + name.replace("`", "``") + "`")) for name, cast in casts.items()})


@contextmanager
def session(url: str) -> Iterator[SparkSession]:
    """A session with views of its own. Windows are counted side by side; the last to finish gives the cluster back."""
    global _open
    builder: Any = SparkSession.builder.appName("driftline")
    if url.startswith("sc://"):
        connected = builder.remote(url).create()
        try:
            yield connected
        finally:
            connected.stop()
        return
    with _lock:
        parent = (builder.master(url) if url else builder).getOrCreate()
        _open += 1
    try:
        yield parent.newSession()
    finally:
        with _lock:
            _open -= 1
            if not _open:
                parent.stop()


def _words(error: PySparkException) -> str:
    return str(error).split("\n\nJVM stacktrace")[0].split(";\n'")[0].strip()
