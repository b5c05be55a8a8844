"""Every number that gbstats 0.8.0 has an answer to, to nine digits: recorded, and asked again where it is installed."""

import json
from typing import Any

import pytest

from driftline.interests.experiments import intervals, p_values
from driftline.interests.experiments.difference import relative_difference
from tests.interests.experiments import oracle

RECORDED = json.loads(oracle.FIXTURE.read_text())["cases"]


def ours(case: dict[str, Any]) -> dict[str, Any]:
    if case["kind"] == "srm":
        return {"p": p_values.mismatch_p(case["users"], case["weights"])}
    control, treatment = (oracle.moments(case[arm]) for arm in ("control", "treatment"))
    found = relative_difference(control, treatment, adjust=case["kind"] == "cuped")
    fixed = intervals.intervals(found, intervals.fixed(found))
    always = intervals.intervals(found, intervals.always_valid(found.users, case["planned"]))
    return {
        "value": float(found.value),
        "error": float(found.variance**0.5),
        "fixed": [float(fixed.low), float(fixed.high)],
        "fixed_p": float(p_values.fixed_p(found)),
        "always": [float(always.low), float(always.high)],
        "always_p": float(p_values.always_valid_p(found, case["planned"])),
    }


def agree(case: dict[str, Any], theirs: dict[str, Any]) -> None:
    mine = ours(case)
    assert mine.keys() == theirs.keys()
    for name, value in theirs.items():
        assert mine[name] == pytest.approx(value, rel=1e-9, abs=1e-12), (case["kind"], name)


@pytest.mark.parametrize("pair", RECORDED, ids=lambda pair: pair["case"]["kind"])
def test_gbstats_has_said_the_same(pair: dict[str, Any]) -> None:
    agree(pair["case"], pair["answer"])


@pytest.mark.skipif(oracle.installed() is None, reason="no .venv-bench/gbstats: `python -m tests.interests.experiments.oracle`")
def test_gbstats_says_the_same_of_other_cases() -> None:
    python = oracle.installed()
    assert python is not None
    asked = oracle.cases(seed=1)
    for case, answer in zip(asked, oracle.ask(python, asked), strict=True):
        agree(case, answer)
