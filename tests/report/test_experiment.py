"""The page of an experiment: what is said goes by what is on record, and every number is on it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from driftline.db.experiments import Measured
from driftline.interests.experiments.objections import objections
from driftline.interests.experiments.result import Result
from driftline.report.experiment_findings import findings, relative
from driftline.report.experiment_page import render
from tests.report.experiment_examples import METRICS, RECORDED, RESULT, START


def said(result: Result) -> list[tuple[str, str]]:
    return [(finding.level, finding.text) for finding in findings(result)]


def test_sentences_first_the_goals_then_the_guardrails_then_the_split() -> None:
    assert said(RESULT) == [
        (
            "good",
            "satisfied rose in treatment after 2 days: +1.00 % (95 % interval, valid on every day, +0.20 to +1.80 %; "
            "by one look +0.60 to +1.40 %).",
        ),
        (
            "neutral",
            "rate cannot be told apart after 2 days: +0.25 % (95 % interval, valid on every day, +0.00 to +0.51 %; "
            "by one look +0.010 to +0.48 %).",
        ),
        (
            "neutral",
            "rare cannot be told apart after 2 days: +200.00 % (95 % interval, valid on every day, no bound: control may be 0; "
            "by one look no bound: control may be 0). In control it is within three standard errors of 0, so that the intervals "
            "are Fieller's.",
        ),
        ("neutral", "nothing has no relative difference: in control it is 0, or unknown."),
        (
            "bad",
            "The guardrail complaints got worse in treatment, with all 2 guardrails tested together (Holm): −20.00 % "
            "(95 % interval, valid on every day, −30.00 to −10.00 %; by one look −25.00 to −15.00 %).",
        ),
        (
            "neutral",
            "The guardrail returns did not get worse that could be told, with all 2 guardrails tested together (Holm): +0.25 % "
            "(95 % interval, valid on every day, +0.00 to +0.51 %; by one look +0.010 to +0.48 %).",
        ),
        (
            "bad",
            "returns differed already before the start (+1.00 %): what it shows cannot be put down to the treatment alone.",
        ),
        ("neutral", "5,120 users were on control and 5,049 on treatment, as the weights 0.5 to 0.5 have it (p = 0.48)."),
        ("neutral", "Table updates during the experiment: 2026-03-03 06:00 (treatment: table 12)."),
        ("neutral", "Left out: 12 users were shown both arms."),
    ]


WRONG = replace(RESULT, mismatch=True, mismatch_p=2e-7, metrics=(), dropped={"users_in_both_arms": 400})


def test_a_wrong_split_is_all_that_is_said() -> None:
    (level, text), *rest = said(WRONG)
    assert level == "bad"
    assert "p = 2e-07. No result is shown" in text
    assert rest == [("bad", "Left out: 400 users were shown both arms.")]


def test_the_page_has_a_panel_for_each_metric_and_every_number() -> None:
    page = render(RECORDED, Measured(3, 2, RESULT, START + timedelta(days=2)))
    assert page.count("<figure") == len(METRICS)
    for text in ("rag-2026-03: does treatment pay?", "complaints (guardrail): −20.00 %", "2 of 14 days", "+0.20 to +1.80 %"):
        assert text in page
    assert "nan" not in page.lower().replace("finance", "")
    assert page == render(RECORDED, Measured(3, 2, RESULT, START + timedelta(days=2)))


def test_the_page_of_a_wrong_split_shows_no_metric() -> None:
    page = render(RECORDED, Measured(3, 2, WRONG, START + timedelta(days=2)))
    assert "<figure" not in page
    assert "No result is shown: the split of the users is wrong." in page


def test_what_speaks_against_shipping() -> None:
    assert objections(None) == ["nothing was measured yet"]
    assert objections(replace(RESULT, metrics=METRICS[:2])) == []
    assert objections(RESULT) == ["complaints got worse (a guardrail)", "the arms differed before the start in returns"]
    assert objections(WRONG) == ["the split of the users is not that of the weights (p = 2e-07), so that there is no result"]


@pytest.mark.parametrize(("value", "text"), [(0.0, "+0.00 %"), (0.0025, "+0.25 %"), (-0.00012, "−0.012 %")])
def test_small_effects_keep_their_digits(value: float, text: str) -> None:
    assert relative(value) == text
