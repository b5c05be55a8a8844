"""The one pure function behind both doors of the review gate (design §4): is this verdict for the candidate that waits?"""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from contracts import Verdict

_verdict = TypeAdapter(Verdict)


def parse(raw: Any) -> Verdict | str:
    """A verdict from a loose JSON value, or the reason why it is none (malformed)."""
    try:
        return _verdict.validate_python(raw)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'verdict'}: {e['msg']}" for e in error.errors())
        return (
            f"malformed verdict ({problems}); expected "
            '{"gate_id": "…", "decision": "approve" | "rerun" | "abort", "reviewer": "…", "reason": "…"}'
        )


def refusal(verdict: Verdict, open_gate: str | None, closed_gates: set[str], taken: Verdict | None) -> str | None:
    """Why `verdict` changes nothing, or None if it decides the open gate.

    Args:
        verdict: what the engineer sent.
        open_gate: the gate that waits now.
        closed_gates: gates of this run that were decided or expired before.
        taken: the verdict already accepted for the open gate.
    """
    if verdict.gate_id in closed_gates:
        return f"stale: gate {verdict.gate_id} of this run is already closed"
    if open_gate is None:
        return f"no candidate of this run waits for review (verdict names gate {verdict.gate_id})"
    if verdict.gate_id != open_gate:
        return f"foreign: the candidate that waits is gate {open_gate}, not {verdict.gate_id}"
    if taken is not None:
        return f"duplicate: {taken.reviewer} already decided {taken.decision!r} on gate {open_gate}"
    return None
