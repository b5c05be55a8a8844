"""The automatic quality checks of a candidate (design §3.10, paper §2.2)."""

from dataclasses import replace

from driftline.contracts import Evaluation, Gates


def judge(evaluation: Evaluation, gates: Gates) -> Evaluation:
    """The evaluation with `failed_gates` and a sentence for each in `reasons`.

    - `exact_match_rate`: below `min_exact_match_rate`; of an LLM's answers only.
    - `recall`: below `min_recall`, or the test window has no triple.
    - `recall_above_chance`: the lower confidence bound of recall is not above chance.
    - `unknown_share`: more than `max_unknown_share` of the events are of items that no cluster has.
    """
    reasons: dict[str, str] = {}
    if evaluation.exact_match_rate is not None and evaluation.exact_match_rate < gates.min_exact_match_rate:
        reasons["exact_match_rate"] = (
            f"exact-match rate {evaluation.exact_match_rate:.2%} is below the {gates.min_exact_match_rate:.2%} it must reach"
        )
    if evaluation.recall is None or evaluation.recall_low is None:
        reasons["recall"] = f"not enough data: n = {evaluation.test_triples} triples in the test window"
    else:
        if evaluation.recall < gates.min_recall:
            reasons["recall"] = f"test-set recall {evaluation.recall:.2%} is below the {gates.min_recall:.2%} it must reach"
        if evaluation.recall_low <= evaluation.recall_chance:
            reasons["recall_above_chance"] = (
                f"test-set recall {evaluation.recall:.2%} is not above chance ({evaluation.recall_chance:.2%}) "
                f"with {gates.confidence:.0%} confidence: lower bound {evaluation.recall_low:.2%}, n = {evaluation.test_triples}"
            )
    if evaluation.unknown_share is not None and evaluation.unknown_share > gates.max_unknown_share:
        reasons["unknown_share"] = (
            f"{evaluation.unknown_share:.2%} of the events are of items that no cluster has, more than the "
            f"{gates.max_unknown_share:.2%} allowed: `driftline clusters assign` puts new items into the nearest one"
        )
    return replace(evaluation, failed_gates=tuple(reasons), reasons=reasons)
