from typing import Any

import pytest

from driftline.report import weights


def blended(low: float, high: float, used: float | None = None, alone: float = 0.0) -> dict[str, Any]:
    """As tables store it; those of before weights were shrunk have neither α that answers nor whether the LLM answers alone."""
    fitted: dict[str, Any] = {"llm": {"value": (low + high) / 2, "low": low, "high": high}}
    if used is None:
        return fitted
    return fitted | {"llm_used": {"value": used, "low": None, "high": None}, "llm_alone": {"value": alone}}


@pytest.mark.parametrize(
    ("fitted", "level", "said"),
    [
        (blended(-0.1, 0.3), "neutral", "cannot be told, so counts answer"),
        (blended(0.1, 0.3), "good", "knows what counting does not: α of table 7 is 0.200 (95 % interval 0.100 to 0.300)"),
        (blended(0.1, 0.3, used=0.1), "good", "knows what counting does not: α"),
        (blended(0.1, 0.3, used=0.1, alone=1.0), "good", "so it answers alone"),
        (blended(-0.3, -0.1, used=-0.1, alone=1.0), "good", "so it answers alone"),
        (blended(0.1, 0.3, used=0.0), "neutral", "too little to hit more often, so counts answer"),
        (blended(-0.3, -0.1, used=-0.1), "bad", "speaks against its answers"),
        (blended(-0.3, -0.1, used=0.0), "neutral", "so counts answer"),
    ],
)
def test_alpha_in_words(fitted: dict[str, Any], level: str, said: str) -> None:
    (finding,) = weights.findings(7, fitted)
    assert finding.level == level
    assert said in finding.text


def test_a_table_that_is_no_blend_has_no_alpha() -> None:
    assert weights.findings(7, None) == weights.findings(7, {"strength": {"value": 3.0}}) == []
