"""The calendar of a run: pure date arithmetic, imported by workflows (design §3.11, §3.13)."""

from datetime import datetime, timedelta
from typing import NamedTuple

from driftline.contracts import BadInput, Measures, Window, Windows


class Split(NamedTuple):
    """The windows of a run, each beginning where the one before ends."""

    train: Window
    """Counted, trained on or retrieved from."""
    validation: Window | None
    """Chooses: a checkpoint, a weight. None where `validation_days` is 0."""
    test: Window
    """Judges. Nothing that chooses sees it."""

    @property
    def history(self) -> Window:
        """All days before the test window."""
        return Window(self.train.start, self.test.start)


def split(nominal: datetime, windows: Windows) -> Split:
    """The windows of a run, the newest of which ends at its nominal time.

        |<----------------- days ---------------->|<- test_days ->|
        |      train      |<- validation_days ->  |
                                                                  nominal

    Raises:
        BadInput: `nominal` is not in UTC.
    """
    if nominal.utcoffset() != timedelta(0):
        raise BadInput(f"nominal time {nominal.isoformat()} is not in UTC: give it as {nominal:%Y-%m-%dT%H:%M:%S}+00:00")
    test = nominal - timedelta(days=windows.test_days)
    validation = test - timedelta(days=windows.validation_days)
    return Split(
        Window(test - timedelta(days=windows.days), validation),
        Window(validation, test) if windows.validation_days else None,
        Window(test, nominal),
    )


def fitting(windows: Split) -> tuple[Window, Window]:
    """Windows of a blend or a table of counts: the one that fits the weights, and all days before the test window, which answer.

    Raises:
        BadInput: there is no validation window.
    """
    if windows.validation is None:
        raise BadInput('answers "blend" and "counts" are fitted on a validation window: set validation_days to 1 or more')
    return windows.validation, windows.history


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
