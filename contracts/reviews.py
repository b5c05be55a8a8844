"""The stop where a person decides about a candidate: how it opens, what a verdict is, how it ends."""

from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from driftline.contracts.knobs import Gates
from driftline.contracts.lines import ID_LENGTH, NAME_LENGTH, REASON_LENGTH, Line, Name, Reason, note, printable
from driftline.contracts.versions import Evaluation, RunIds

_both_names = Field(validation_alias=AliasChoices("review_id", "gate_id"), serialization_alias="gate_id")
ReviewId = Annotated[Line, StringConstraints(min_length=1, max_length=ID_LENGTH), _both_names]
"""Written as `gate_id`, its name when the stop was called a gate; both are read."""
MaybeReviewId = Annotated[str | None, _both_names]

ReviewDecision = Literal["approve", "rerun", "abort"]
"""Closes a review."""
Decision = Literal[ReviewDecision, "revoke"]
"""`revoke` takes back an approval, a person's or that of the gates: also after the run has ended."""
Closing = Literal[ReviewDecision, "expired", "superseded"]
KnownBy = Literal["login", "oidc", "proxy", "principal", "claimed", "system"]
"""How a reviewer's name is known; `claimed`: whoever sent the verdict says so."""
KNOWN_BY: dict[KnownBy, str] = {
    "login": "by the login of the operating system",
    "oidc": "logged in",
    "proxy": "by the proxy's login",
    "principal": "authenticated by Temporal",
    "claimed": "a name that the sender claims",
    "system": "no person",
}
"""The same in words."""


@dataclass(frozen=True)
class Verdict:
    """A person's decision on the candidate that `review_id` names; the newest about a table counts."""

    review_id: ReviewId
    decision: Decision
    reviewer: Name
    reason: Reason = ""
    known_by: KnownBy = "claimed"


@dataclass(frozen=True)
class VerdictReply:
    accepted: bool
    message: str


@dataclass(frozen=True)
class OpenReview:
    review_id: ReviewId
    table: int
    evaluation: Evaluation
    run: RunIds
    expires_at: datetime
    channel: str | None = None
    """Where the candidate would be published."""


@dataclass(frozen=True)
class ExpireReview:
    """A review that ends without a person's verdict."""

    review_id: ReviewId


@dataclass(frozen=True)
class FindReview:
    review_id: ReviewId


@dataclass(frozen=True)
class Supersede:
    """Closes the reviews of older candidates: `table` is a newer one for `channel`, and those of its kind that wait need no
    verdict any more."""

    table: int
    channel: str


@dataclass(frozen=True)
class ClosedReview:
    """How a review ended: a person's decision, or `expired` or `superseded` by Driftline itself."""

    decision: Closing
    reviewer: str


@dataclass(frozen=True)
class _LooseVerdict:
    """A verdict by the rule of before: any text."""

    gate_id: str
    decision: ReviewDecision
    reviewer: Annotated[str, Field(min_length=1)]
    reason: str = ""


_verdict, _loose_verdict = TypeAdapter(Verdict), TypeAdapter(_LooseVerdict)


def barred(reviewer: str, known_by: KnownBy, gates: Gates) -> str | None:
    """Why this person may not decide by these settings; None if they may."""
    if gates.reviewers and reviewer not in gates.reviewers:
        return f"{reviewer} is not among gates.reviewers"
    if known_by == "claimed" and not gates.claimed_names:
        return f"the name {reviewer} is only claimed by whoever sent the verdict, and gates.claimed_names is off"
    return None


def parse_verdict(raw: Any, strict: bool = True) -> Verdict | str:
    """A verdict from a loose JSON value, or the reason why it is none (malformed).

    Args:
        strict: False takes what was a verdict before there were limits, and mends its text, for runs that began before them.
    """
    try:
        if not strict:
            return _mended(_loose_verdict.validate_python(raw))
        return replace(_verdict.validate_python(raw), known_by="claimed")
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'verdict'}: {e['msg']}" for e in error.errors())
        expected = '{"gate_id": "…", "decision": "approve" | "rerun" | "abort" | "revoke", "reviewer": "…", "reason": "…"}'
        return f"malformed verdict ({note(problems)}); expected {expected}"


def _mended(loose: _LooseVerdict) -> Verdict:
    limits = {"gate_id": ID_LENGTH, "decision": ID_LENGTH, "reviewer": NAME_LENGTH, "reason": REASON_LENGTH}
    texts = {
        name: "".join(c if printable(c) else " " for c in text)[: limits[name]].strip() for name, text in asdict(loose).items()
    }
    return Verdict(**{name: text or "–" for name, text in texts.items()})  # type: ignore[arg-type]
