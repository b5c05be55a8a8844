"""What the whole policy brings and costs, in a plain sentence."""

from driftline.interests.metrics.policy import Policy
from driftline.interests.metrics.significance import detected
from driftline.report.finding import Finding
from driftline.report.words import count, measured, percent

UNRESTRICTED = "the recommender without an interest"


def items(found: Policy) -> list[Finding]:
    """Items of a new interest that were taken, beside those of the recommender alone; and the cost in items of any kind."""
    arms = {arm.name: arm for arm in found.arms}
    other = next((place for place, one in enumerate(found.differences) if one.b == UNRESTRICTED), None)
    if other is None or not found.users:
        return []
    ours, theirs = arms[found.differences[other].a], arms[UNRESTRICTED]
    family = [one.estimate for one in (*found.uptake_differences, *found.differences)]
    differs = detected(family)
    new, any_ = other, len(found.uptake_differences) + other
    brings, costs = family[new].value or 0.0, family[any_].value or 0.0
    text = (
        f"Of {count(found.users)} users {measured(ours.explored, percent)} took one of the policy's {found.at} items in an "
        f"interest new to them, and {measured(theirs.explored, percent)} of {UNRESTRICTED}{_chance(differs[new])}; "
        f"any listed item: {measured(ours.item, percent)} and {measured(theirs.item, percent)}{_chance(differs[any_])}. "
        "Nobody was shown these lists."
    )
    if differs[new] and brings < 0:
        return [Finding("bad", text)]
    pays = differs[new] and brings > 0 and not (differs[any_] and costs < 0)
    return [Finding("good" if pays else "neutral", text)]


def _chance(differs: bool) -> str:
    return "" if differs else " (the difference may be chance)"
