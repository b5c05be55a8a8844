"""The search attributes that the workflows set, so that Temporal's lists can be searched by them."""

from temporalio.common import SearchAttributeKey

STAGE = SearchAttributeKey.for_keyword("DriftlineStage")
TABLE = SearchAttributeKey.for_int("DriftlineTable")
