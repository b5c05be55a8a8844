from datetime import UTC, datetime

import pytest

from driftline.interests.metrics.estimates import Estimate
from driftline.report.words import change, day, duration, interval, listed, measured, percent, points


def test_numbers() -> None:
    assert percent(0.0521) == "5.21 %"
    assert points(-0.0177) == "−1.77 points"
    assert points(-0.00001) == "0.00 points"
    assert change(0.006) == "+0.0060"


def test_an_interval_says_its_unit_once() -> None:
    assert interval(Estimate(0.3, 0.29, 0.31, 9), percent) == "29.00 to 31.00 %"
    assert measured(Estimate(0.3, 0.29, 0.31, 9), percent) == "30.00 % (95 % interval 29.00 to 31.00 %)"


def test_what_is_missing_is_said() -> None:
    assert measured(Estimate(None, None, None, 0), percent) == "not enough data: n = 0"
    assert measured(Estimate(0.3, None, None, 1), percent) == "30.00 % (no interval: n = 1)"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0 s"), (3.25, "3.2 s"), (119.0, "119 s"), (120.0, "2.0 min"), (7200.0, "2.0 h"), (864_000.0, "10.0 days")],
)
def test_duration(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_days_and_lists() -> None:
    assert day(datetime(2010, 12, 1, tzinfo=UTC)) == "2010-12-01"
    assert day(datetime(2010, 12, 1, 7, 5, tzinfo=UTC)) == "2010-12-01 07:05"
    assert listed([1, 2, 3]) == "1, 2 and 3"
    assert listed([1]) == "1"
