"""The calendar of a run: pure date arithmetic, imported by workflows (design §3.4, §3.11)."""

from datetime import datetime, timedelta

from contracts import BadInput, Measures, Window, Windows


def split(nominal: datetime, windows: Windows) -> tuple[Window, Window]:
    """The data window of a run, and behind it the test window that ends at the run's nominal time.

        |<-------- days -------->|<- test_days ->|
        window.start             window.end       nominal
                                 = test.start     = test.end

    Raises:
        BadInput: `nominal` is not in UTC.
    """
    if nominal.utcoffset() != timedelta(0):
        raise BadInput(f"nominal time {nominal.isoformat()} is not in UTC: give it as {nominal:%Y-%m-%dT%H:%M:%S}+00:00")
    boundary = nominal - timedelta(days=windows.test_days)
    return Window(boundary - timedelta(days=windows.days), boundary), Window(boundary, nominal)


def before(window: Window) -> Window:
    """The window of the same length that ends where this one starts: what `trend` compares with (design §3.6)."""
    return Window(window.start - (window.end - window.start), window.start)


def consecutive(log_start: datetime, end: datetime, measures: Measures) -> tuple[Window, ...]:
    """The newest whole windows of the log between its start and `end`, oldest first: calendar months, or `window_days` each."""
    windows: list[Window] = []
    last = end if measures.window_days else end.replace(day=1)
    while len(windows) < measures.windows:
        days = timedelta(days=measures.window_days) if measures.window_days else timedelta(days=1)
        first = last - days if measures.window_days else (last - days).replace(day=1)
        if first < log_start:
            break
        windows.append(Window(first, last))
        last = first
    return tuple(reversed(windows))


def dates(period: Window, every: timedelta) -> list[datetime]:
    """The start of the period and every `every` after it, before its end."""
    found = [period.start]
    while found[-1] + every < period.end:
        found.append(found[-1] + every)
    return found
