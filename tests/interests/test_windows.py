from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import Measures, Window, Windows
from interests.windows import before, consecutive, dates, split


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_by_hand() -> None:
    window, test = split(datetime(2017, 7, 1, tzinfo=UTC), Windows(days=90, test_days=28))

    assert test == Window(datetime(2017, 6, 3, tzinfo=UTC), datetime(2017, 7, 1, tzinfo=UTC))
    assert window == Window(datetime(2017, 3, 5, tzinfo=UTC), datetime(2017, 6, 3, tzinfo=UTC))
    assert before(test) == Window(datetime(2017, 5, 6, tzinfo=UTC), datetime(2017, 6, 3, tzinfo=UTC))


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)), st.integers(1, 400), st.integers(1, 400))
def test_windows_touch_and_never_overlap(nominal: datetime, days: int, test_days: int) -> None:
    window, test = split(nominal, Windows(days, test_days))

    assert before(window).end == window.start
    assert window.end == test.start
    assert test.end == nominal
    assert window.end - window.start == before(window).end - before(window).start == timedelta(days=days)


@pytest.mark.parametrize("zone", [None, timezone(timedelta(hours=1))])
def test_only_utc(zone: timezone | None) -> None:
    with pytest.raises(ValueError, match="not in UTC"):
        split(datetime(2017, 7, 1, tzinfo=zone), Windows(1, 1))


def test_consecutive_months_are_whole_and_the_newest() -> None:
    found = consecutive(day("2016-12-15"), day("2017-04-20"), Measures(windows=25))
    assert found == (
        Window(day("2017-01-01"), day("2017-02-01")),
        Window(day("2017-02-01"), day("2017-03-01")),
        Window(day("2017-03-01"), day("2017-04-01")),
    )
    assert consecutive(day("2016-12-15"), day("2017-04-20"), Measures(windows=2)) == found[1:]


def test_consecutive_windows_of_days_end_where_the_log_ends() -> None:
    found = consecutive(day("2017-01-01"), day("2017-01-20"), Measures(window_days=7))
    assert found == (Window(day("2017-01-06"), day("2017-01-13")), Window(day("2017-01-13"), day("2017-01-20")))
    assert consecutive(day("2017-01-01"), day("2017-01-05"), Measures(window_days=7)) == ()


def test_dates_begin_with_the_period_and_stay_inside_it() -> None:
    period = Window(day("2017-01-01"), day("2017-01-06"))
    assert dates(period, timedelta(days=2)) == [day("2017-01-01"), day("2017-01-03"), day("2017-01-05")]
    assert dates(period, timedelta(days=9)) == [day("2017-01-01")]
