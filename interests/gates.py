"""The automatic quality checks of a candidate (design §3.10, paper §2.2)."""

from dataclasses import replace

from driftline.contracts import Evaluation, Gates
from driftline.interests.metrics.arms import FREQUENT, POPULAR, TABLE
from driftline.interests.metrics.estimates import CONFIDENCE
from driftline.interests.metrics.quality import Quality


def evaluation(quality: Quality, gates: Gates) -> Evaluation:
    """Takes from a measurement what the gates look at; nothing is computed again."""
    recalls = {one.name: one.recall for one in quality.recalls}
    own = recalls.get(TABLE)
    return Evaluation(
        exact_match_rate=quality.exact_match_rate,
        recall=own.value if own else None,
        recall_low=_low(quality, gates.confidence),
        recall_chance=quality.chance,
        recall_popular=recalls[POPULAR].value if POPULAR in recalls else None,
        recall_frequent=recalls[FREQUENT].value if FREQUENT in recalls else None,
        test_triples=quality.test_triples,
        coverage=quality.coverage,
        unknown_share=quality.unknown_share,
        test_users=own.n if own else 0,
    )


def judge(evaluation: Evaluation, gates: Gates) -> Evaluation:
    """The evaluation with `failed_gates` and a sentence for each in `reasons`.

    - `exact_match_rate`: below `min_exact_match_rate`; of an LLM's answers only.
    - `recall`: below `min_recall`, or the test window has no triple, or too few users have one.
    - `recall_above_chance`: the interval of recall over users is not above chance.
    - `unknown_share`: more than `max_unknown_share` of the events are of items that no cluster has.
    """
    reasons: dict[str, str] = {}
    if evaluation.exact_match_rate is not None and evaluation.exact_match_rate < gates.min_exact_match_rate:
        reasons["exact_match_rate"] = (
            f"exact-match rate {evaluation.exact_match_rate:.2%} is below the {gates.min_exact_match_rate:.2%} it must reach"
        )
    if evaluation.recall is None or evaluation.recall_low is None:
        users = "" if evaluation.test_users is None else f" of {evaluation.test_users} users"
        reasons["recall"] = f"not enough data: n = {evaluation.test_triples} triples{users} in the test window"
    else:
        if evaluation.recall < gates.min_recall:
            reasons["recall"] = f"test-set recall {evaluation.recall:.2%} is below the {gates.min_recall:.2%} it must reach"
        if evaluation.recall_low <= evaluation.recall_chance:
            n = f"{evaluation.test_triples} triples" if evaluation.test_users is None else f"{evaluation.test_users} users"
            reasons["recall_above_chance"] = (
                f"test-set recall {evaluation.recall:.2%} is not above chance ({evaluation.recall_chance:.2%}) "
                f"with {gates.confidence:.0%} confidence: lower bound {evaluation.recall_low:.2%}, n = {n}"
            )
    if evaluation.unknown_share is not None and evaluation.unknown_share > gates.max_unknown_share:
        reasons["unknown_share"] = (
            f"{evaluation.unknown_share:.2%} of the events are of items that no cluster has, more than the "
            f"{gates.max_unknown_share:.2%} allowed: `driftline clusters assign` puts new items into the nearest one"
        )
    return replace(evaluation, failed_gates=tuple(reasons), reasons=reasons)


def _low(quality: Quality, confidence: float) -> float | None:
    """Lower bound of the table's recall at this confidence. None where it was not measured at it: before it was kept, all
    intervals were of 95 %."""
    if quality.confidence == confidence:
        return quality.recall_low
    own = next((one.recall for one in quality.recalls if one.name == TABLE), None)
    return own.low if own and own.enough and confidence == CONFIDENCE else None
