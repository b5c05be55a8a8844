"""Numbers and times as the pages show them; what is missing is a dash."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from driftline.contracts import KNOWN_BY
from driftline.interests.metrics.estimates import Estimate
from driftline.report import weights
from driftline.report.words import computed, count, duration, interval, kind, percent

DASH = "–"


def now() -> datetime:
    return datetime.now(UTC)


def when(at: datetime | str | None) -> str:
    """Writes a time to the minute. A text is a time as JSON has it."""
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else DASH


def day(at: datetime | None) -> str:
    if at is None:
        return DASH
    return f"{at:%Y-%m-%d %H:%M}" if at.hour or at.minute else f"{at:%Y-%m-%d}"


def span(seconds: float) -> str:
    """A length of time in its two largest units: `2 d 4 h`, `5 min`."""
    minutes = int(abs(seconds) // 60)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{rest} min" if rest else "less than a minute"


def ago(at: datetime | None) -> str:
    return span((now() - at).total_seconds()) if at else DASH


def titled(kind_of: str) -> str:
    """A kind of update as the first words of a line."""
    name = kind(kind_of)
    return name[:1].upper() + name[1:]


def left(until: datetime) -> str:
    """Writes how long until then; `overdue` once it is past."""
    seconds = (until - now()).total_seconds()
    return span(seconds) if seconds > 0 else "overdue"


GATES = {
    "exact_match_rate": (
        "Exact match",
        "How often the LLM, free to write anything, wrote exactly one interest. Else it was held to one.",
    ),
    "recall": ("Recall", "How often the answer is what a user really showed next."),
    "recall_above_chance": ("Recall above chance", "Whether recall, by its lower bound, is more than random answers would get."),
    "unknown_share": ("Events of no interest’s items", "How much of what users did the interests do not cover."),
    "experiment": ("Experiment", "Whether the live experiment that is to be shipped speaks against it."),
}
"""Title, and what it looks at, for somebody who has never heard of it."""


def gate(name: str) -> str:
    return GATES.get(name, (name, ""))[0]


def gate_means(name: str) -> str:
    return GATES.get(name, (name, ""))[1]


def probability(score: float | None) -> str:
    """A score, which is a log p."""
    return DASH if score is None else percent(math.exp(score))


def made_of(answers: str) -> str:
    """What a table's answers come from."""
    return {"llm": "the LLM", "blend": "the LLM and counts together", "counts": "counts"}.get(answers, answers)


def decoding(how: str | None) -> str:
    """How the LLM came to an answer."""
    return {"exact": "as the LLM wrote it", "constrained": "the LLM wrote something else and was held to an interest"}.get(
        how or "", ""
    )


def decided(decision: str | None) -> str:
    words = {"approve": "approved", "rerun": "sent back", "abort": "aborted", "revoke": "revoked"}
    return words.get(decision or "", decision or DASH)


def known_by(how: str | None) -> str:
    """How a reviewer's name is known."""
    words: Mapping[Any, str] = KNOWN_BY
    return words.get(how or "claimed", how or "").replace("'", "’")


def action(of: str) -> str:
    """What the cadence decided for a day."""
    return {"none": "nothing", "counts": "refresh of counts", "rag_refresh": "RAG refresh", "fine_tune": "fine-tune"}.get(of, of)


def bounds(estimate: Estimate) -> str:
    return interval(estimate, percent)


def signed(value: int) -> str:
    return f"{value:+,}".replace("-", "−")


def points(share: float) -> str:
    return f"{100 * share:+.2f} points".replace("-", "−")


def _or_dash(shown: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: DASH if value is None else shown(value)


FILTERS: dict[str, Callable[..., Any]] = {
    **{"when": when, "day": day, "ago": ago, "left": left, "gate": gate, "decided": decided, "known_by": known_by},
    **{"probability": probability, "made_of": made_of, "decoding": decoding, "action": action, "bounds": bounds},
    **{"signed": signed, "points": points, "kind": kind, "titled": titled, "computed": computed, "weights": weights.rows},
    **{"percent": _or_dash(percent), "count": _or_dash(count), "duration": _or_dash(duration)},
}
