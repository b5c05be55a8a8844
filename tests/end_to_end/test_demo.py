"""The front door: `driftline demo` on a small log, from a stopped candidate to the evidence. The tests build on each other."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyarrow import csv
from typer.testing import CliRunner

from driftline import cli
from driftline.commands import demo
from driftline.settings import Settings
from tests.end_to_end.conftest import SETTINGS
from tests.end_to_end.shop import NAMES
from tests.end_to_end.stack import Stack
from tests.end_to_end.test_main_job import sql

pytestmark = pytest.mark.long
CHANGED: dict[str, Any] = {
    "source": {"events": "events.parquet", "items": "items.parquet", "positive": "quantity > 0"},
    "channel": "demo",
    "training": SETTINGS["training"] | {"steps": 1, "validate_every": 1},  # type: ignore[operator]
    "gates": {"min_exact_match_rate": 0.99},
    "measures": {"lags": [1], "top_k": 2, "held_out_days": 2},
}
Driftline = Callable[..., Any]


@pytest.fixture(scope="module")
def run(stack: Stack, cluster_set: Any) -> Iterator[Driftline]:
    """The command in this process, on the stack that is there, with the shop in the place of the demo's log."""
    for name in ("events", "items"):  # the demo's log is Parquet
        pq.write_table(csv.read_csv(stack.folder / f"{name}.csv"), stack.folder / f"{name}.parquet")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.env.items():
            patch.setenv(name, value)
        patch.setenv("DRIFTLINE_CHANNEL", "demo")
        patch.setenv("DRIFTLINE_SERVING__ITEMS", "true")
        patch.chdir(stack.folder)
        patch.setattr(demo, "demo_settings", lambda base: Settings(**CHANGED))
        patch.setattr(demo, "FINE_TUNE_AT", datetime(2024, 4, 1, tzinfo=UTC))
        patch.setattr(demo, "RAG_REFRESH_AT", datetime(2024, 4, 5, tzinfo=UTC))
        yield lambda *arguments, **more: CliRunner().invoke(cli.app, ["demo", *arguments], **more)
        for table in tables(stack):  # no refresh of another test takes these models
            stack("review", "revoke", str(table), "--reason", "made to be stopped")


def test_without_a_terminal_it_stops_at_the_review(run: Driftline) -> None:
    done = run()
    assert done.exit_code == 3, done.output
    assert "exact-match rate" in done.output
    assert "no terminal to ask for a verdict on" in done.output


def test_at_a_terminal_it_asks_and_passes_the_verdict_on(run: Driftline, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on where it was: the first candidate is approved, the second is asked about and aborted."""
    monkeypatch.setattr(demo, "at_a_terminal", lambda: True)
    done = run(input="maybe\napprove\nabort\n")
    assert done.exit_code == 1, done.output
    assert "Please select one of the available options" in done.output
    first, second = (stack.json("tables", "show", str(version)) for version in tables(stack))
    assert [verdict["decision"] for table in (first, second) for verdict in table["verdicts"]] == ["approve", "abort"]
    assert stack.json("lookup", "0", "1", "--channel", "demo")["version"] == first["version"]


def test_with_yes_it_goes_to_the_end(run: Driftline, stack: Stack) -> None:
    first, second = tables(stack)
    done = run("--yes")
    assert done.exit_code == 0, done.output
    assert f"already there: table {first}" in done.output
    assert f"table {first} → table {second}" in done.output
    assert (stack.home / "report.html").exists()
    answer = re.search(r"→ \d (\w+) \(\w+; (?:no )?pair.*; table (\d+)\)", done.output)
    assert answer, done.output
    assert (answer[1] in NAMES, int(answer[2])) == (True, second)
    assert re.search(r"\n    \w.*  item \w+-\d\n", done.output), "items of that interest"
    assert stack.json("lookup", "0", "1", "--channel", "demo")["version"] == second
    assert run().exit_code == 0, "what is there is not made again"


def tables(stack: Stack) -> list[int]:
    """Versions of the demo's candidates, oldest first."""
    made = dict(sql(stack, "SELECT workflow_id, max(version) FROM transition_table GROUP BY workflow_id"))
    return [made["demo-fine-tune"], made["demo-rag-refresh"]]
