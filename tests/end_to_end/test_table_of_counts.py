"""A refresh of counts alone, with the real commands. On a channel of its own: other tests look at the default one."""

import math
from typing import Any

from tests.end_to_end.shop import NAMES
from tests.end_to_end.stack import Stack
from tests.end_to_end.test_main_job import PAIRS, tables

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
