"""Counting on Spark: Spark reads the log itself, is sent the cluster set, and gives back what it was asked for (PySpark)."""

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
from pyspark.sql.types import StringType, StructField, StructType

from driftline.contracts import QUERY, BadInput, Source, Window
from driftline.sources.dialects import DIALECTS
from driftline.sources.from_clause import file_format
from driftline.sources.log import ids
from driftline.sources.remote import RAW, RemoteRows, ask_remotely
from driftline.sources.session import Ask

BAD_INPUT = (
    AnalysisException,
    ArithmeticException,
    DateTimeException,
    IllegalArgumentException,
    NumberFormatException,
    ParseException,
)
"""What no retry heals."""

KINDS = {"string": "VARCHAR", "timestamp": "TIMESTAMP WITH TIME ZONE", "timestamp_ntz": "TIMESTAMP"}
"""DuckDB's types by Spark's; the others are called alike."""

_lock = Lock()
_open = 0


@contextmanager
def open_spark(url: str, source: Source, assignment: pa.Table, window: Window | None = None) -> Iterator[Ask]:
    """`url`: a master, a Spark Connect server (`sc://…`), or nothing: what Spark's own configuration says, else this machine.

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

        try:
            log = _read(spark, source)
        except BAD_INPUT as error:
            raise BadInput(f"source.events: {_words(error)}") from error
        log.createOrReplaceTempView(RAW)
        spark.createDataFrame(assignment).createOrReplaceTempView("driftline_assignment")
        columns = {name: KINDS.get(kind, kind.upper()) for name, kind in log.dtypes}
        shown = "the query" if QUERY.match(source.events) else source.events
        yield ask_remotely(RemoteRows(run, DIALECTS["spark"], {}, columns, shown), source, window)


def _read(spark: SparkSession, source: Source) -> DataFrame:
    if QUERY.match(source.events):
        return spark.sql(source.events)
    if file_format("source.events", source.events) == "parquet":
        return spark.read.option("mergeSchema", True).parquet(source.events)
    separator = "\t" if ".tsv" in source.events else ","
    csv = spark.read.options(header=True, sep=separator)
    wanted = {name.lower() for name in ids(source)}
    types = csv.options(inferSchema=True).csv(source.events).schema
    schema = StructType([StructField(one.name, StringType() if one.name.lower() in wanted else one.dataType) for one in types])
    return csv.schema(schema).csv(source.events)


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
