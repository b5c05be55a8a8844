from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.contracts import Measures, Window, Windows
from driftline.interests.windows import before, consecutive, dates, fitting, split


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_by_hand() -> None:
    windows = split(datetime(2017, 7, 1, tzinfo=UTC), Windows(days=90, test_days=28, validation_days=14))

    assert windows.test == Window(day("2017-06-03"), day("2017-07-01"))
    assert windows.validation == Window(day("2017-05-20"), day("2017-06-03"))
    assert windows.train == Window(day("2017-03-05"), day("2017-05-20"))
    assert windows.history == Window(day("2017-03-05"), day("2017-06-03"))
    assert before(windows.test) == Window(day("2017-05-06"), day("2017-06-03"))
    assert fitting(windows) == (windows.validation, windows.history)
    with pytest.raises(ValueError, match="set validation_days"):
        fitting(split(datetime(2017, 7, 1, tzinfo=UTC), Windows(days=90, test_days=28)))


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    st.integers(1, 400),
    st.integers(1, 400),
    st.integers(0, 399),
)
def test_windows_touch_and_never_overlap(nominal: datetime, days: int, test_days: int, validation_days: int) -> None:
    validation_days %= days
    train, validation, test = split(nominal, Windows(days, test_days, validation_days))

    assert before(train).end == train.start
    assert train.end == (validation.start if validation else test.start)
    assert validation is None or validation.end == test.start
    assert (validation is None) == (validation_days == 0)
    assert test.end == nominal
    assert test.start - train.start == timedelta(days=days)
    assert train.end - train.start == before(train).end - before(train).start == timedelta(days=days - validation_days)


def test_a_validation_window_leaves_something_to_learn_from() -> None:
    with pytest.raises(ValueError, match="14 of 14 days: nothing would be left"):
        Windows(days=14, test_days=7, validation_days=14)


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
