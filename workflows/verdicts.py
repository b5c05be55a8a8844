"""The one pure function behind both doors of a review (design §4): is this verdict for the candidate that waits?"""

from collections.abc import Mapping

from driftline.contracts import Verdict


def refusal(verdict: Verdict, waits: str | None, closed: Mapping[str, str], taken: Verdict | None) -> str | None:
    """Why `verdict` changes nothing, or None if it decides the open review.

    Args:
        verdict: what the engineer sent.
        waits: the review that waits now.
        closed: reviews of this run that were decided or expired before, and how.
        taken: the verdict already accepted for the open review.
    """
    if verdict.decision == "revoke":
        decided = verdict.review_id in closed
        return None if decided else f"nothing to revoke: review {verdict.review_id} approved nothing in this run"
    if verdict.review_id in closed:
        return f"stale: review {verdict.review_id} of this run is already closed: {closed[verdict.review_id]}"
    if waits is None:
        return f"no candidate of this run waits for review (the verdict names review {verdict.review_id})"
    if verdict.review_id != waits:
        return f"foreign: the candidate that waits is review {waits}, not {verdict.review_id}"
    if taken is not None:
        return f"duplicate: {taken.reviewer} already decided {taken.decision!r} on review {waits}"
    return None
