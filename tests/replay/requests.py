"""Requests of the recorded runs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from driftline.contracts import (
    Cadence,
    CadenceInput,
    FineTuneInput,
    Gates,
    MeasurementInput,
    RagRefreshInput,
    Retrieval,
    Source,
    Window,
    Windows,
)

NOMINAL = datetime(2017, 11, 27, tzinfo=UTC)
SOURCE = Source(events="s3://shop/log/*.parquet", items="s3://shop/items.parquet")
FINE_TUNE = FineTuneInput(SOURCE, Windows(90, 28), nominal=NOMINAL)
REFRESH = RagRefreshInput(SOURCE, Windows(28, 7), retrieval=Retrieval(similarity="trend"), nominal=NOMINAL)
CADENCE = CadenceInput(
    Cadence(policy="adaptive"), REFRESH, replace(REFRESH, answers="counts", windows=Windows(28, 7, 5)), FINE_TUNE, NOMINAL
)
MEASURE = MeasurementInput(
    SOURCE, Windows(28, 7), Window(NOMINAL - timedelta(days=7), NOMINAL), log_start=NOMINAL - timedelta(days=200)
)
SHORT = Gates(remind_every=timedelta(milliseconds=400), expire_after=timedelta(seconds=1))
