"""The worker's own metrics: read from a real Postgres and a real Temporal, and scraped from the port of a real worker."""

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from temporalio.testing import WorkflowEnvironment

from driftline import worker
from driftline.dashboards import workers
from driftline.operations import metrics, polls
from tests.dashboards.test_boards import filled
from tests.operations.test_reviews import Shop, shop
from tests.workflows.conftest import running
from tests.workflows.steps import Steps

__all__ = ["shop"]
ROOT = Path(__file__).parents[2]
OURS = {*metrics.ABOUT, polls.POLLS}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(port: int) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    samples: Samples = {}
    for family in families:
        for sample in family.samples:
            labels = {name: value for name, value in sample.labels.items() if name != "service_name"}
            samples[sample.name, frozenset(labels.items())] = sample.value
    return samples


@pytest.fixture
def port(dev_server: WorkflowEnvironment, postgres_url: str, tmp_path: Path) -> Iterator[int]:
    """Of a worker of role `notify` over a database such as the demo leaves."""
    filled(postgres_url)
    port = worker.free_port("127.0.0.1")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE_")}
    settings = {
        "HOME": str(tmp_path),
        "POSTGRES_URL": postgres_url,
        "TEMPORAL_ADDRESS": dev_server.client.service_client.config.target_host,
        "METRICS_PORT": str(port),
    }
    env = kept | {f"DRIFTLINE_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "driftline.worker", "--role", "notify"]
    process = subprocess.Popen(command, env=env, cwd=ROOT, stderr=subprocess.DEVNULL)
    yield port
    process.terminate()
    process.wait(300)


def until_refreshed(port: int) -> Samples:
    for _ in range(400):
        try:
            found = scraped(port)
        except OSError:
            found = {}
        if ("driftline_refreshed_timestamp_seconds", frozenset()) in found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"no figures: {sorted(found)}")


def test_a_worker_serves_its_own_metrics_beside_the_sdks(port: int) -> None:
    found = until_refreshed(port)

    def value(name: str, **labels: str) -> float:
        return found[f"driftline_{name}", frozenset(labels.items())]

    assert value("published_version", channel="default") == 1  # rolled back
    assert value("published_age_seconds", channel="default") > 0
    assert value("published_approved", channel="default") == 1
    assert value("open_reviews") == 1
    assert 30 * 3600 < value("open_review_age_seconds") < 31 * 3600
    assert value("pairs", channel="default", decoding="exact") == 11
    assert value("pairs", channel="default", decoding="constrained") == 1
    assert value("last_table_tokens", kind="rag", step="inference") == 3402
    assert value("last_table_pairs", kind="rag", how="reused") == 2
    assert value("starts_left_out", schedule="driftline-rag-refresh", how="skipped") == 1
    assert any(name.startswith("temporal_") for name, _ in found), "the SDK's are there, too"
    assert {name for name, _ in found if name.startswith("driftline_")} <= OURS


async def test_how_the_last_run_ended(shop: Shop) -> None:
    steps = Steps(tables=list(shop.tables))
    async with running(shop.environment, steps):
        await (await shop.refresh()).result()
    client = shop.environment.client
    for _ in range(1000):  # visibility is a moment behind
        found = {
            (figure.name, figure.labels.get("outcome")): figure.value
            for figure in await metrics._runs(client)
            if figure.labels["kind"] == "rag"
        }
        if found.get(("driftline_last_run_outcome", "published")):
            break
        time.sleep(0.1)
    outcomes = {outcome: value for (name, outcome), value in found.items() if name == "driftline_last_run_outcome"}
    assert outcomes == {**dict.fromkeys(metrics.OUTCOMES, 0.0), "published": 1.0}
    assert abs(found["driftline_last_run_ended_timestamp_seconds", None] - time.time()) < 60


def test_the_board_of_the_workers_asks_for_metrics_that_are_there() -> None:
    made = workers.workers().build()
    asked = {
        name
        for panel in made.panels or []
        for target in panel.targets  # type: ignore[union-attr]
        for name in re.findall(r"driftline_\w+", target.expr)  # type: ignore[union-attr]
    }
    assert asked
    assert asked <= OURS
