"""Refreshes that counts have a say in, with the real commands. On a channel of their own: other tests look at the default one."""

import math
from typing import Any

import pytest

from tests.end_to_end.shop import NAMES
from tests.end_to_end.stack import Stack
from tests.end_to_end.test_main_job import PAIRS, sql, tables

WINDOWS = ("--set", "rag_refresh.days=40", "--set", "rag_refresh.validation_days=20")
AT = ("run", "rag-refresh", "--wait", "--set", "channel=trial", *WINDOWS)


def test_a_refresh_of_counts_needs_no_model(stack: Stack, cluster_set: Any) -> None:
    """Reviewed, published and looked up without one."""
    asked = (*AT, "--at", "2024-04-10", "--set", "rag_refresh.answers=counts", "--set", "gates.review=always")
    stopped = stack.json(*asked, code=3)
    assert "fitted on the validation window" in stack("review", "show", stopped["review_id"])
    done = stack.json("review", "approve", stopped["review_id"], "--as", "cem", "--wait")
    assert (done["outcome"], done["model"]) == ("published", None)
    table = tables(stack)[done["table"]]
    assert (table["kind"], table["rows"], table["complete"], table["channels"]) == ("rag", PAIRS, True, ["trial"])
    assert (table["model_version"], table["exact_match_rate"]) == (None, None)
    assert table["recall_low"] > table["recall_chance"]

    answer = stack.json("lookup", "0", "1", "--channel", "trial")
    assert (answer["version"], answer["answers"], answer["decoding"]) == (done["table"], "counts", None)
    assert 1 / len(NAMES) < math.exp(answer["score"]) < 1
    lineage = stack.json("tables", "show", str(done["table"]))
    assert (lineage["answers"], lineage["model_version"], lineage["cost"]) == ("counts", None, None)
    assert set(lineage["weights"]) == {"strength", "single"}
    assert lineage["fitted_window_end"] == lineage["window_end"]  # then the counts of all days before the test window answer
    assert "counting model" in stack("report", str(done["table"]), "--stored")


@pytest.mark.long
def test_a_blend_says_what_its_llm_is_worth(stack: Stack, fine_tuned: Any) -> None:
    blend = ("--set", "rag_refresh.answers=blend")
    first = stack.json(*AT, *blend, "--at", "2024-04-10")
    assert (first["outcome"], first["model"]) == ("published", fine_tuned["model"])
    lineage = stack.json("tables", "show", str(first["table"]))
    assert (lineage["answers"], lineage["generation"]["scores"]) == ("blend", 16)
    assert set(lineage["weights"]) == {"llm", "popularity", "backoff", "strength", "single"}
    assert lineage["weights"]["llm"]["low"] < lineage["weights"]["llm"]["value"] < lineage["weights"]["llm"]["high"]
    assert 0 < lineage["likeliest"] <= PAIRS
    assert f"α of table {first['table']} is" in stack("report", str(first["table"]), "--stored")
    rows = sql(stack, f"SELECT score, llm_next, decoding FROM transition WHERE version = {first['table']}")
    assert len(rows) == PAIRS
    assert all(score <= 0 and llm_next is not None and decoding for score, llm_next, decoding in rows)
    ours, alone = (
        next(arm["recall"]["value"] for arm in measured(stack, first["table"])["recalls"] if arm["name"] == name)
        for name in ("table", "llm")
    )
    assert ours >= 0.9 * alone

    # Another day, other counts: only prompts that say something else are asked again.
    second = stack.json(*AT, *blend, "--at", "2024-04-12")
    assert second["table"] != first["table"]
    cost = stack.json("tables", "show", str(second["table"]))["cost"]
    assert cost["asked"] + cost["reused"] == PAIRS
    assert cost["reused"] > 0


def measured(stack: Stack, table: int) -> Any:
    ((result,),) = sql(
        stack, f"SELECT result FROM measurement WHERE table_version = {table} AND kind = 'quality' ORDER BY version DESC LIMIT 1"
    )
    return result
