import subprocess
import sys
from dataclasses import replace

import pytest

from driftline.interests.metrics.arms import FREQUENT, FREQUENT_RENEWED, NO_RAG, POPULAR, RAG_FIXED, RAG_RENEWED, TABLE
from driftline.interests.metrics.estimates import Difference, Estimate
from driftline.interests.metrics.hits import HitRates
from driftline.report.comparisons import comparison, difference
from driftline.report.exploring import exploring
from driftline.report.finding import Finding
from driftline.report.findings import conclusion, findings
from tests.report import measured
from tests.report.measured import NOTHING, about

WORSE, SAME, BETTER = about(-0.0177, 0.0084), about(0.0021, 0.0049), about(0.0183, 0.0081)


def text_of(found: tuple[Finding, ...] | list[Finding]) -> str:
    return "\n".join(finding.text for finding in found)


def test_first_line_says_that_the_llm_does_not_beat_the_frequency_table() -> None:
    first, second, third, *_ = findings(refresh=measured.refresh(WORSE, SAME, SAME))

    assert first == Finding(
        "bad",
        "The LLM with RAG renewed does not beat the plain frequency table renewed as often, it is worse: hit rate 31.24 % "
        "against 33.01 %, −1.77 points (95 % interval −2.61 to −0.93 points; n = 812 users).",
    )
    assert second.level == "bad"
    assert second.text.startswith(
        "The LLM with RAG renewed does not beat the most popular successor, it is worse: hit rate 31.24 %"
    )
    assert third.level == "bad"
    assert third.text.startswith("Nothing here speaks for switching the refresh on: it beats neither RAG of day 1 nor no RAG.")


def test_an_interval_that_holds_0_cannot_be_told_apart() -> None:
    first = findings(refresh=measured.refresh(SAME, SAME, SAME))[0]

    assert first.level == "neutral"
    assert first.text.startswith("The LLM with RAG renewed cannot be told apart from the plain frequency table")
    assert "+0.21 points (95 % interval −0.28 to +0.70 points; n = 812 users)" in first.text


def test_an_interval_above_0_beats() -> None:
    first = findings(refresh=measured.refresh(BETTER, BETTER, BETTER))[0]

    assert first.level == "good"
    assert first.text.startswith("The LLM with RAG renewed beats the plain frequency table renewed as often")


@pytest.mark.parametrize(
    ("over_counting", "over_fixed", "over_none", "level", "said"),
    [
        (BETTER, BETTER, BETTER, "good", "This speaks for switching the refresh on"),
        (WORSE, BETTER, BETTER, "bad", "It does not beat the plain frequency table renewed as often, which needs no LLM."),
        (SAME, BETTER, BETTER, "neutral", "It does not beat the plain frequency table renewed as often, which needs no LLM."),
        (BETTER, SAME, BETTER, "bad", "Nothing here speaks for repeating the refresh"),
        (BETTER, BETTER, SAME, "bad", "but not the fixed mapping without RAG"),
        (BETTER, SAME, WORSE, "bad", "Nothing here speaks for switching the refresh on"),
    ],
)
def test_conclusion(over_counting: Estimate, over_fixed: Estimate, over_none: Estimate, level: str, said: str) -> None:
    found = conclusion(measured.refresh(over_counting, over_fixed, over_none), None)

    assert found.level == level
    assert said in found.text


def test_several_differences_are_looked_at_together() -> None:
    """p = 0.03: different from 0 alone, and not among ten."""
    border = about(0.0217, 0.0196)
    others = [Difference("c", f"d{place}", SAME) for place in range(9)]

    assert comparison([Difference("a", "b", border)], "a", "b") == "beats"
    assert comparison([Difference("a", "b", border)], "b", "a") == "does not beat"
    assert comparison([Difference("a", "b", border), *others], "a", "b") == "cannot be told apart from"


def test_a_difference_that_is_sure_and_small_says_both() -> None:
    small = about(0.0083, 0.0031)
    found = findings(refresh=measured.refresh(small, small, small))

    assert found[0].level == "neutral"
    assert "beats the plain frequency table renewed as often, but by less than 5 % of its hit rate: hit rate" in found[0].text
    said = conclusion(measured.refresh(small, small, small), None)
    assert said.level == "neutral"
    assert said.text.endswith("but each by less than 5 % of its hit rate: that may not pay for an LLM.")
    worse = findings(refresh=measured.refresh(about(-0.0083, 0.0031), SAME, SAME))[0]
    assert worse.level == "bad"
    assert "it is worse by less than 5 % of its hit rate" in worse.text


def test_recalls_of_one_table_are_compared_user_by_user() -> None:
    """Their intervals overlap by far; the paired difference does not hold 0."""
    quality = measured.quality(step=0)
    hits = replace(quality.hits, recall_differences=(Difference(TABLE, FREQUENT, about(-0.0194, 0.0021)),))
    wide = tuple(replace(r, recall=about(r.recall.value or 0, 0.03)) for r in quality.recalls)
    (found, *_) = findings(quality=replace(quality, recalls=wide, hits=hits))

    assert found.level == "bad"
    assert found.text == (
        "Table 6 does not beat the plain frequency table (each pair's most frequent successor), it is worse: test-set recall "
        "5.20 % against 7.14 %, −1.94 points (95 % interval −2.15 to −1.73 points; n = 812 users). "
        "Chance 4.55 %, n = 10,731 triples."
    )


def test_what_exploring_costs() -> None:
    frontier, uptake, support = exploring(measured.quality(), None)

    assert frontier.level == "neutral"
    assert frontier.text.startswith(
        "In recall and in interests answered, no other mapping beats the most popular successor (6.02 %, effectively 2.0 of 24), "
        "the plain frequency table (5.88 %, effectively 9.0 of 24) and this table (3.51 %, effectively 12.0 of 24) "
        "on the test window of table 6"
    )
    assert uptake.text.startswith("Uptake on the test window of table 6")
    assert "1.30 % (95 % interval 1.10 to 1.50 %) of this table" in uptake.text
    assert uptake.text.endswith("chance 0.90 %. No two compared can be told apart.")
    assert "never (120 occurrences) this table with 4.10 %" in support.text
    assert support.text.endswith(
        "Beyond noise: this table is worse than the most popular successor where pairs were seen 1–5 times."
    )


def test_a_table_that_others_beat_on_both_is_bad() -> None:
    quality = measured.quality()
    beaten = tuple(replace(line, arms=(POPULAR,)) for line in quality.hits.frontiers)
    found = exploring(replace(quality, hits=replace(quality.hits, frontiers=beaten)), None)[0]

    assert found.level == "bad"
    assert "in recall and novelty to the user the same. Beaten in both: this table." in found.text


def test_of_a_table_of_an_earlier_release_exploring_is_not_said() -> None:
    quality = measured.quality()
    before = replace(quality, hits=replace(quality.hits, frontiers=(), levels=()))
    assert exploring(before, None) == []
    assert exploring(before, replace(measured.quality().hits, levels=()))[0].text.endswith("Values as measured, noise and all.")


def test_conclusion_adds_that_nothing_moves() -> None:
    refresh = measured.refresh(SAME, SAME, SAME)

    for little in (0.001, 0.006):
        assert "Interests hardly move here, so" in conclusion(refresh, measured.drift(little)).text
    assert "Interests" not in conclusion(refresh, measured.drift(0.012)).text


def test_without_a_refresh_the_recall_of_the_table_comes_first() -> None:
    first, second, third, fourth, *_ = findings(quality=measured.quality(step=0))

    assert first == Finding(
        "bad",
        "Table 6 does not beat the plain frequency table (each pair's most frequent successor), it is worse: test-set recall "
        "5.20 % (95 % interval 4.82 to 5.58 %) against 7.14 % (95 % interval 6.76 to 7.52 %); chance 4.55 %, n = 10,731 triples.",
    )
    assert second.text.startswith("Table 6 does not beat the most popular successor, it is worse: test-set recall 5.20 %")
    assert third == Finding("neutral", "Whether the refresh pays is not measured: run `driftline evaluate refresh`.")
    assert fourth.text.startswith("This table does not beat the plain frequency table")
    assert "it is worse: hit rate 30.11 % against 32.88 %, −2.27 points" in fourth.text


def test_recalls_whose_intervals_overlap_cannot_be_told_apart() -> None:
    quality = measured.quality(step=0)
    wide = tuple(replace(r, recall=about(r.recall.value or 0, 0.012)) for r in quality.recalls)

    assert findings(quality=replace(quality, recalls=wide))[0].text.startswith("Table 6 cannot be told apart from")


def test_a_test_window_without_a_triple() -> None:
    quality = measured.quality()
    nothing = replace(quality, recalls=tuple(replace(r, recall=NOTHING) for r in quality.recalls), test_triples=0)

    assert findings(quality=nothing)[0].text == "Test-set recall of table 6: not enough data: n = 0 triples in its test window."


def test_nothing_measured_says_what_to_run() -> None:
    assert text_of(findings()).splitlines() == [
        "Whether the LLM beats counting is not measured: run `driftline evaluate refresh`.",
        "Whether the refresh pays is not measured: run `driftline evaluate refresh`.",
        "Not measured yet: this table's recall and coverage, how fast interests move (`driftline evaluate drift`), "
        "what refreshing buys (`driftline evaluate refresh`), how RAG changes the answers (`driftline evaluate answers`) and "
        "which retrieval is best (`driftline evaluate retrieval`).",
    ]


def test_a_period_without_occurrences() -> None:
    said = text_of(findings(refresh=replace(measured.refresh(NOTHING, NOTHING, NOTHING), users=0)))

    assert "The LLM with RAG renewed against the plain frequency table renewed as often: not enough data: n = 0 users." in said
    assert "Whether the refresh pays cannot be said: not enough data: n = 0 users." in said


def test_one_user_gives_no_interval_and_no_verdict() -> None:
    one = Estimate(0.5, None, None, 1)
    found = findings(refresh=replace(measured.refresh(one, one, one), users=1))

    assert "cannot be told apart" in found[0].text
    assert found[0].text.endswith("+50.00 points (no interval: n = 1).")
    assert "Whether the refresh pays cannot be said: not enough data: n = 1 users." in text_of(found)


def test_difference_the_other_way_round() -> None:
    hits: HitRates = measured.refresh(WORSE, SAME, BETTER)

    assert difference(hits, NO_RAG, RAG_RENEWED) == Estimate(-0.0183, -0.0183 - 0.0081, -0.0183 + 0.0081, 812)
    assert difference(hits, POPULAR, RAG_FIXED) is None
    assert difference(None, RAG_RENEWED, FREQUENT_RENEWED) is None


@pytest.mark.parametrize("users", [2, 9])
def test_few_users_decide_nothing(users: int) -> None:
    few = replace(BETTER, n=users)
    refresh = replace(measured.refresh(few, few, few), users=users)

    assert comparison([Difference("a", "b", few)], "a", "b") == "cannot be told apart from"
    assert comparison([Difference("a", "b", replace(BETTER, n=10))], "a", "b") == "beats"
    assert conclusion(refresh, None) == Finding(
        "neutral", f"Whether the refresh pays cannot be said: not enough data: n = {users} users."
    )


def test_few_pairs_told_say_nothing_about_rag() -> None:
    answers = measured.answers()
    few = replace(
        answers,
        sampled_with_without=replace(answers.sampled_with_without, n=9),
        sampled_repeated=replace(answers.sampled_repeated, n=9),
    )

    assert (
        "Whether RAG changes the answers more than sampling again does cannot be said, not enough data: n = 9 pairs"
        in text_of(findings(answers=few))
    )


def test_cost_and_how_quickly_it_came() -> None:
    trained, *_, refreshed = measured.costs()

    said = text_of(findings(cost=trained))
    assert "Table 1 cost 96,512 tokens trained (25.0 min of CPU) and 21,318 tokens forwarded for 552 pairs (88 s of CPU)" in said
    assert "it was published 7.1 days after its window ended" in said
    assert "published" not in text_of(findings(cost=refreshed))


def test_a_run_of_a_past_date_says_nothing_about_agility() -> None:
    trained = measured.costs()[0]
    late = replace(trained, published_at=trained.nominal.replace(year=2026))

    assert "published" not in text_of(findings(cost=late))


def test_better_retrievals_are_named() -> None:
    hits = measured.retrieval()
    better = replace(hits, differences=(replace(hits.differences[1], estimate=BETTER), *hits.differences[2:]))

    said = text_of(findings(retrieval=better))
    assert "is not the best here. Hit more often: “instance, frequency, top 3” by +1.83 points (95 % interval +1.02 to" in said
    assert "Of 5 other retrievals none beats the paper's (instance, frequency, top 1)" in text_of(findings(retrieval=hits))


def test_how_much_rag_changes_beside_the_noise() -> None:
    answers = measured.answers()
    same = replace(answers, sampled_with_without=answers.sampled_repeated)

    assert "RAG changes the answers more than sampling again does: at temperature 1, 13.77 %" in text_of(
        findings(answers=answers)
    )
    assert "RAG does not measurably change the answers more than" in text_of(findings(answers=same))


def test_findings_need_nothing_that_draws() -> None:
    code = "import sys, driftline.report.findings; print([m for m in ('matplotlib', 'jinja2', 'torch') if m in sys.modules])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
