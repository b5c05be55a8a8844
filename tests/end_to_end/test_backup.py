"""A home is copied while a candidate waits, and another home goes on from the copy."""

import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any

import psycopg
import pytest

from driftline import embedded
from tests.end_to_end.stack import Stack
from tests.end_to_end.test_table_of_counts import WINDOWS

COUNTS = ("--set", "channel=copied", "--set", "rag_refresh.answers=counts", *WINDOWS)
AT = ("run", "rag-refresh", "--wait", *COUNTS)


@pytest.mark.long
def test_another_home_goes_on_where_the_copy_was_taken(stack: Stack, cluster_set: Any) -> None:
    served = stack.json(*AT, "--at", "2024-04-06")
    waits = stack.json(*AT, "--at", "2024-04-08", "--set", "gates.review=always", code=3)
    folder = Path(tempfile.mkdtemp(prefix="driftline-e2e-"))
    try:
        stack("backup", str(folder / "copy"))
        stack("review", "abort", waits["review_id"], "--as", "cem")  # the copy knows nothing of it
        copy = dataclasses.replace(stack, folder=folder)
        shutil.copy(stack.folder / "driftline.toml", folder)
        for name in ("events.csv", "items.csv", "llm"):
            (folder / name).symlink_to(stack.folder / name)
        copy("restore", str(folder / "copy"))
        copy("up")
        assert copy.json("lookup", "0", "1", "--channel", "copied")["version"] == served["table"]
        assert waits["review_id"] in copy("review", "list")
        done = copy.json("review", "approve", waits["review_id"], "--as", "ada", "--wait")
        assert done["outcome"] == "published"
        assert copy.json("lookup", "0", "1", "--channel", "copied")["version"] == done["table"]
        # The same run again finds its version, and a new one gets the next.
        assert copy.json(*AT, "--at", "2024-04-06")["table"] == served["table"]
        assert copy.json(*AT, "--at", "2024-04-10")["table"] > done["table"]
        state = embedded.status(copy.home)
        with psycopg.connect(state.reader_url) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT record_verdict(1, NULL, 'revoke', 'ada', '', 'login')")
    finally:
        embedded.stop(folder / "state", drain_seconds=5)
        shutil.rmtree(folder)
