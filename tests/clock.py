"""A wall clock that was set to another time."""

from datetime import datetime, timedelta, tzinfo


def off_by(span: timedelta) -> type[datetime]:
    """A `datetime` to put in a module's place of it."""

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + span

    return Shifted
