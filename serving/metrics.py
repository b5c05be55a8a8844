"""Prometheus metrics, summed over all processes of the server: each writes to files of its own in one folder."""

import os
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names it. It has to be set before this module is imported."""
LEAST: Final = "livemin"  # of the processes that run
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)

REQUESTS = Counter("driftline_serving_requests", "Requests by endpoint and status", ["endpoint", "status"])
SECONDS = Histogram("driftline_serving_seconds", "Time of a request in the server", ["endpoint"], buckets=BUCKETS)
ANSWERS = Counter("driftline_serving_answers", "Interests answered, by how they were found", ["channel", "how"])
UNKNOWN_ITEMS = Counter("driftline_serving_unknown_items", "Items of histories that no interest has", ["channel"])
VERSION = Gauge("driftline_serving_table_version", "Table that is served", ["channel"], multiprocess_mode=LEAST)
PUBLISHED = Gauge("driftline_serving_published_timestamp_seconds", "When it was published", ["channel"], multiprocess_mode=LEAST)
APPROVED = Gauge("driftline_serving_table_approved", "Whether it may still be served", ["channel"], multiprocess_mode=LEAST)
CONFIRMED = Gauge("driftline_serving_confirmed_timestamp_seconds", "When Postgres last confirmed it", multiprocess_mode=LEAST)


def exposed() -> bytes:
    """The text that Prometheus scrapes."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return generate_latest()
    for file in Path(folder).glob("gauge_live*.db"):
        pid = file.stem.rpartition("_")[2]
        if not Path("/proc", pid).exists():  # it says nothing any more
            forget(int(pid))
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def forget(process: int) -> None:
    """Leave a process out of the gauges."""
    mark_process_dead(process)  # type: ignore[no-untyped-call]
