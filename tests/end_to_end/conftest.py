"""One real stack for the end-to-end tests of a process: its parts are made once, by the commands a user would type."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from driftline import embedded
from tests.end_to_end.commands import Commands
from tests.end_to_end.shop import VOCABULARY, write_shop
from tests.end_to_end.stack import Stack
from tests.tiny import make_tiny_llm

SETTINGS = {
    "drain": 20,
    "source": {"events": "events.csv", "items": "items.csv", "positive": "quantity > 0"},
    "clusters": {"fan_out": [8], "keywords": 1},
    "samples": {"pairs_per_label": 4},
    "training": {"base_model": "llm", "steps": 300, "learning_rate": 5e-3, "checkpoint_every": 50, "validate_every": 50},
    "gates": {"min_exact_match_rate": 0.5},
    "fine_tune": {"days": 70, "test_days": 20, "validation_days": 14},
    "rag_refresh": {"days": 20, "test_days": 20},
}
"""A recipe with which a model of 50 thousand random weights really learns the shop's signal, in seconds."""
NOMINAL = "2024-04-01"


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """Until the last of them: servers that idle take CPU time. Not in pytest's folders: those are closed to Postgres' user."""
    folder = Path(tempfile.mkdtemp(prefix="driftline-e2e-"))
    stack = Stack(folder, commands := Commands())
    try:
        write_shop(folder)
        make_tiny_llm(folder / "llm", words=VOCABULARY, vocabulary=600)
        (folder / "driftline.toml").write_text(tomli_w.dumps(SETTINGS))
        stack("up")
        yield stack
    finally:
        commands.close()
        embedded.stop(stack.home, drain_seconds=5)
        shutil.rmtree(folder)


@pytest.fixture(scope="package")
def cluster_set(stack: Stack) -> Any:
    """What `clusters build --json` says: real embeddings of the catalogue's texts, split into 8."""
    return stack.json("clusters", "build")


@pytest.fixture(scope="package")
def fine_tuned(stack: Stack, cluster_set: Any) -> Any:
    """What `run fine-tune --wait --json` says of a candidate that passes its gates honestly."""
    return stack.json("run", "fine-tune", "--wait", "--at", NOMINAL)
