"""Numbers as people read them. What is missing becomes words, never NaN."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # with all that measures
    from driftline.interests.metrics.estimates import Estimate

KINDS = {"fine_tune": "fine-tune", "rag": "RAG refresh"}


def percent(share: float) -> str:
    return f"{100 * share:.2f} %".replace("-", "−")


def points(difference: float) -> str:
    """A difference of shares in percentage points, signed."""
    return f"{_plus(100 * difference, 2)} points"


def decimal(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def change(value: float) -> str:
    """A difference of two decimals, signed."""
    return _plus(value, 4)


def count(n: int) -> str:
    return f"{n:,}"


def lacking(n: int) -> str:
    return f"not enough data: n = {n:,}"


def interval(estimate: Estimate, shown: Callable[[float], str]) -> str:
    """Writes an interval, a unit of both ends once: `0.12 to 0.34`, `30.10 to 32.30 %`."""
    if estimate.low is None or estimate.high is None:
        return f"no interval: n = {estimate.n:,}"
    low, high = shown(estimate.low), shown(estimate.high)
    unit = low.partition(" ")[2]
    return f"{low.removesuffix(' ' + unit)} to {high}" if unit and high.endswith(unit) else f"{low} to {high}"


def measured(estimate: Estimate, shown: Callable[[float], str]) -> str:
    """Writes an estimate with its interval: `31.20 % (95 % interval 30.10 to 32.30 %)`."""
    if estimate.value is None:
        return lacking(estimate.n)
    if estimate.low is None:
        return f"{shown(estimate.value)} ({interval(estimate, shown)})"
    return f"{shown(estimate.value)} (95 % interval {interval(estimate, shown)})"


def computed(found: Mapping[str, Any] | None) -> str:
    """Writes what computed answers: `trie in bfloat16 on cpu AVX512 (torch 2.13.0, transformers 5.19.0)`."""
    if found is None:
        return "not on record"
    versions = ", ".join(f"{name} {found[name]}" for name in ("torch", "transformers", "vllm") if found.get(name))
    return f"{found['engine']} in {found['precision']} on {found['device']} ({versions})"


def day(date: datetime) -> str:
    return f"{date:%Y-%m-%d %H:%M}" if date.hour or date.minute else f"{date:%Y-%m-%d}"


def span(start: datetime, end: datetime) -> str:
    return f"{day(start)} to {day(end)}"


def duration(seconds: float) -> str:
    """Writes seconds in the largest unit of which there are two: `95 s`, `12.3 min`, `5.0 h`, `31.0 days`."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if abs(seconds) >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:,.0f} s" if seconds >= 10 or not seconds else f"{seconds:.1f} s"


def kind(of: str) -> str:
    return KINDS.get(of, of)


def listed(words: Iterable[object]) -> str:
    """Writes a list of words: `1, 2 and 3`."""
    *most, last = [str(word) for word in words]
    return f"{', '.join(most)} and {last}" if most else last


def _plus(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text.lstrip("+-") if not float(text) else text.replace("-", "−")
