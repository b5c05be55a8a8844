"""What the weights of a blend say: whether the LLM knows what counting does not."""

from collections.abc import Mapping
from typing import Any

from driftline.report.finding import Finding
from driftline.report.words import decimal

NAMES = {
    "llm": "α, of the LLM",
    "llm_used": "α that answers",
    "popularity": "β, of popularity",
    "backoff": "γ, of the successors of both interests",
    "strength": "occurrences of a pair that weigh as much as all else",
    "single": "occurrences of one interest that weigh as much as popularity",
}


def rows(weights: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Name and value with its interval of each fitted number."""
    return [(label, fitted(weights[name])) for name, label in NAMES.items() if weights and name in weights]


def fitted(weight: Mapping[str, Any]) -> str:
    """Writes a fitted number with its interval: `0.312 (95 % interval 0.214 to 0.410)`."""
    if weight.get("low") is None or weight.get("high") is None:
        return decimal(weight["value"])
    return f"{decimal(weight['value'])} (95 % interval {decimal(weight['low'])} to {decimal(weight['high'])})"


def findings(table: int, weights: Mapping[str, Any] | None) -> list[Finding]:
    """α in words; nothing of a table that is no blend."""
    if not weights or "llm" not in weights:
        return []
    alpha = weights["llm"]
    low, high = alpha.get("low"), alpha.get("high")
    about = f"α of table {table} is {fitted(alpha)}"
    if low is None or high is None or low <= 0 <= high:
        return [Finding("neutral", f"Whether the LLM knows what counting does not cannot be told, so counts answer: {about}.")]
    if weights.get("llm_used", alpha)["value"] == 0:
        return [
            Finding(
                "neutral",
                f"The LLM says something that counting does not, but too little to hit more often, so counts answer: {about}.",
            )
        ]
    if weights.get("llm_alone", {"value": 0})["value"]:
        return [
            Finding("good", f"The LLM knows what counting does not, and hit more often without it, so it answers alone: {about}.")
        ]
    if high < 0:
        return [
            Finding("bad", f"The LLM knows nothing that counting does not, what it says speaks against its answers: {about}.")
        ]
    return [Finding("good", f"The LLM knows what counting does not: {about}.")]
