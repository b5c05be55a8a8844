"""Sentences about one measurement each: drift, staleness, names, the spread of the answers, exact match."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from driftline.interests.metrics.drift import Curve, Drift
from driftline.interests.naming import Named
from driftline.report.content import Content
from driftline.report.finding import Finding
from driftline.report.sentences import exact, moving, naming, spread, stale, stands_still
from tests.report import examples, measured
from tests.report.test_findings import text_of


def test_poor_names_are_named() -> None:
    (good,) = naming(Named(0.757, 0.866, 1 / 12))
    (poor,) = naming(Named(0.19, 0.88, 1 / 40))

    assert good == Finding(
        "neutral",
        "Of the items, 75.70 % are nearest, by embedding, to the description of their own interest, which is all that the LLM "
        "reads of it; 86.60 % to its mean embedding, 8.33 % by chance.",
    )
    assert poor.level == "bad"
    assert poor.text.endswith("The names say little: `driftline clusters describe` writes others.")


def test_popularity_moves_and_affinity_does_not() -> None:
    by_frequency, by_lift = moving(measured.drift(0.012, 0.0004))

    assert by_frequency.level == "good"
    assert by_frequency.text.startswith(
        "Interests move: at lag 3 and 6 of 1, 2, 3, 6 and 12 beyond noise and by 5 % of the ceiling or more; the top-5"
    )
    assert "6 windows apart" in by_frequency.text
    assert by_frequency.text.endswith("drift +0.0120 (95 % interval +0.0090 to +0.0150), 6.70 % of that ceiling, n = 537 pairs.")
    assert by_lift.text.endswith("what moves is the popularity of clusters, not the affinity of pairs.")


def test_affinity_moves_too() -> None:
    assert moving(measured.drift(0.012, 0.008))[1].text == (
        "Normalised by popularity (lift), they move at lag 6: the affinity of pairs changes."
    )


def test_detected_is_not_large_enough_to_matter() -> None:
    found, by_lift = moving(measured.drift(0.006, 0.005))

    assert found.level == "bad"
    assert found.text.startswith(
        "Interests hardly move: at lag 3 and 6 of 1, 2, 3, 6 and 12 beyond noise, but by less than 5 % of the ceiling; largest:"
    )
    assert by_lift.text == "Normalised by popularity (lift), nothing moves by as much."


def test_what_has_moved_is_said_with_users_as_units() -> None:
    """… whatever the intervals over pairs say, which `measured.drift` has above 0."""
    (by_frequency, by_lift) = moving(measured.shares(0.13, 0.01, 0.001))
    assert by_frequency == Finding(
        "good",
        "Interests move: at lag 6 of 1, 2, 3, 6 and 12 beyond noise and by 5 % or more; 13.00 % (95 % interval 11.00 to 15.00 %) "
        "of what tells a pair's successors apart is another 6 windows later; the top-5 successors of a pair overlap by 0.167 "
        "(Jaccard) 6 windows apart, between two halves of the users of one window by 0.179.",
    )
    assert by_lift.text.endswith("what moves is the popularity of clusters, not the affinity of pairs.")

    little = measured.shares(0.04, 0.0, 0.001)
    assert "at lag 6 of 1, 2, 3, 6 and 12 beyond noise, but by less than 5 %; largest: 4.00 %" in moving(little)[0].text
    assert stands_still(little)
    chance = measured.shares(0.13, 0.0, 0.02)  # of five lags, 0.05 / 5 is asked
    assert moving(chance)[0].text.startswith("Interests do not move beyond noise")
    assert stands_still(chance)
    assert not stands_still(measured.shares(0.13, 0.01, 0.001))


def test_one_interval_of_several_that_leaves_out_0_is_chance() -> None:
    """The largest of five drifts has an interval above 0 (p = 0.04) that five looks do not support."""
    drift = measured.drift(0.0032)

    assert drift.curves[0].lags[3].drift.differs
    assert moving(drift)[0].text.startswith("Interests do not move beyond noise at any lag measured")


def test_nothing_moves() -> None:
    found = moving(measured.drift(0.001))[0]

    assert found.level == "bad"
    assert found.text.startswith("Interests do not move beyond noise at any lag measured (1, 2, 3, 6 and 12); largest:")


@pytest.mark.parametrize("made", [examples.no_windows, examples.few_clusters])
def test_drift_without_lags_is_no_finding_that_nothing_moves(made: Callable[[], Content]) -> None:
    drift = made().drift
    assert drift is not None

    (found,) = moving(drift)
    assert found == Finding("neutral", f"How fast interests move: {drift.missing[0]}.")
    assert not stands_still(drift)


def test_drift_of_few_pairs_says_neither() -> None:
    """Of nine pairs an interval decides nothing, wherever it lies; of ten it does."""

    def of(n: int, size: float) -> Drift:
        drift = measured.drift(size)
        lags = (replace(p, drift=replace(p.drift, n=n)) for p in drift.curves[0].lags)
        return replace(drift, curves=(Curve("frequency", tuple(lags)),))

    for size in (0.001, 0.012):
        assert text_of(moving(of(9, size))) == "How fast interests move: not enough data: n = 9 pairs."
        assert not stands_still(of(9, size))
    assert text_of(moving(of(10, 0.001))).startswith("Interests do not move")
    assert stands_still(of(10, 0.001))
    assert text_of(moving(of(10, 0.012))).startswith("Interests move: at lag")


def test_drift_without_data_says_so() -> None:
    drift = replace(measured.drift(), curves=(), missing=("lag 1: not enough data: n = 1 windows",))

    assert text_of(moving(drift)) == "How fast interests move: lag 1: not enough data: n = 1 windows."


def test_staleness_after_2_and_14_days() -> None:
    (found,) = stale(measured.staleness())

    assert (
        "93.24 % (95 % interval 91.84 to 94.64 %) after 2 days and 61.26 % (95 % interval 58.90 to 63.62 %) after 14"
        in found.text
    )


def test_staleness_takes_the_days_that_there_are() -> None:
    first = measured.staleness()
    (found,) = stale(replace(first, points=tuple(p for p in first.points if p.days == 1)))

    assert "after 1 day still have" in found.text


def test_collapsed_answers_look_bad() -> None:
    quality = measured.quality(step=0)

    assert spread(quality).level == "bad"
    assert "effectively 8.1 of 24 (entropy 3.02 of 4.58 bits), 23 ever answered; 31.16 % of the pairs" in spread(quality).text
    assert spread(replace(quality, effective_clusters=12.0)).level == "good"


def test_exact_match_against_its_gate() -> None:
    quality = measured.quality()

    assert exact(replace(quality, exact_match_rate=0.9), 0.9).level == "good"
    assert exact(replace(quality, exact_match_rate=0.8986), 0.9) == Finding(
        "bad", "Exact-match rate of table 6: 89.86 %, below the gate of 90.00 %."
    )
    assert "not enough data" in exact(replace(quality, exact_match_rate=None), 0.9).text
