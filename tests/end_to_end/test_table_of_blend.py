"""Refreshes that blend an LLM with counts, with the real commands. On a channel of their own."""

from typing import Any

import pytest

from tests.end_to_end.stack import Stack
from tests.end_to_end.test_main_job import PAIRS, sql
from tests.end_to_end.test_table_of_counts import AT


@pytest.mark.long
def test_a_blend_says_what_its_llm_is_worth(stack: Stack, fine_tuned: Any) -> None:
    blend = ("--set", "rag_refresh.answers=blend")
    first = stack.json(*AT, *blend, "--at", "2024-04-10")
    assert (first["outcome"], first["model"]) == ("published", fine_tuned["model"])
    lineage = stack.json("tables", "show", str(first["table"]))
    assert (lineage["answers"], lineage["generation"]["scores"]) == ("blend", 16)
    assert set(lineage["weights"]) == {"llm", "llm_used", "llm_alone", "popularity", "backoff", "strength", "single"}
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
