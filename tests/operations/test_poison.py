"""Input that is poison, through whole runs: each ends in a sentence that says what to do, or works, and leaves nothing half."""

import asyncio
import csv
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.end_to_end.shop import VOCABULARY
from tests.operations.whole import Whole
from tests.tiny import make_tiny_llm

Row = dict[str, str]


def log(folder: Path, name: str, change: Callable[[int, Row], Row | None]) -> dict[str, str]:
    """The shop's log with other rows, as a source."""
    with (folder / "events.csv").open() as file, (folder / f"{name}.csv").open("w", newline="") as out:
        rows = list(csv.DictReader(file))
        writer = csv.DictWriter(out, rows[0])
        writer.writeheader()
        writer.writerows(row for n, old in enumerate(rows) if (row := change(n, old)))
    items = str(folder / "items.csv")
    return {"events": str(folder / f"{name}.csv"), "items": items, "positive": "quantity > 0"}


def with_nan(n: int, row: Row) -> Row:
    return row | {"quantity": "nan"} if n % 3 == 0 else row


def with_nul(n: int, row: Row) -> Row:
    return row | {"user": row["user"] + "\0"} if n % 9 == 0 else row | {"item": "\0" + row["item"]} if n % 9 == 1 else row


def of_one_user(n: int, row: Row) -> Row | None:
    return row if row["user"] == "u7" else None


@pytest.mark.timeout(1200)
@pytest.mark.long
async def test_poison_ends_in_a_sentence_and_leaves_nothing_half(
    dev_server: WorkflowEnvironment, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    whole = Whole(dev_server, postgres_url, tmp_path)
    llm = make_tiny_llm(tmp_path / "llm", words=VOCABULARY, vocabulary=600)
    diverging = {"base_model": str(llm), "learning_rate": 1e30, "steps": 20, "rank": 4, "alpha": 8}
    asked: dict[str, dict[str, Any]] = {
        "empty": {"nominal": datetime(1999, 1, 1, tzinfo=UTC)},
        "nan": {"source": log(tmp_path, "nan", with_nan)},
        "nul": {"source": log(tmp_path, "nul", with_nul)},
        "alone": {"source": log(tmp_path, "alone", of_one_user)},
        "three": {"cluster_set": whole.interests(3)},
        "diverging": {"fine_tune": True, "training": diverging},
    }
    expected = {
        "empty": r"failed: the window \[.*\) has no events: the log goes from .* Choose the run's nominal time with --at .*",
        "nan": "published",
        "nul": "published",
        "alone": "review: recall",
        "three": "review: recall_above_chance, unknown_share",  # a pair has one answer, and chance is always right
        "diverging": r"failed: the loss of step \d+ is nan and .*: lower training.learning_rate, or .*",
    }
    async with whole.worker():
        ends = await asyncio.gather(*(whole.outcome(name, **each) for name, each in asked.items()))
    outcomes = dict(zip(asked, ends, strict=True))
    assert {name for name, said in expected.items() if not re.fullmatch(said, outcomes[name])} == set(), outcomes
    assert sorted(whole.asked("SELECT channel FROM publication")) == [("nan",), ("nul",)]
    made = [name for name, said in outcomes.items() if not said.startswith("failed")]
    assert whole.asked("SELECT count(*) FROM transition_table WHERE complete") == [(len(made),)]
    assert list(whole.broken()) == []
    whole.chain.engine.dispose()
