"""What the measurements say, in plain sentences, most important first. Nothing here draws anything."""

from driftline.interests.metrics.answers import AnswersCompared
from driftline.interests.metrics.arms import COUNTED_RENEWED, FREQUENT_RENEWED, NO_RAG, RAG_FIXED, RAG_RENEWED
from driftline.interests.metrics.drift import MARGIN, Drift
from driftline.interests.metrics.estimates import ENOUGH
from driftline.interests.metrics.hits import HitRates
from driftline.interests.metrics.policy import Policy
from driftline.interests.metrics.quality import Quality
from driftline.interests.metrics.staleness import Staleness
from driftline.interests.naming import Named
from driftline.report.comparisons import (
    CALLED,
    LEVELS,
    Comparison,
    comparison,
    counting,
    difference,
    little,
    recalls,
    refreshing,
    retrieving,
)
from driftline.report.content import MAX_UNKNOWN_SHARE, MIN_EXACT_MATCH_RATE, CostRow
from driftline.report.exploring import exploring
from driftline.report.finding import Finding as Finding
from driftline.report.items import items
from driftline.report.sentences import answering, costing, exact, moving, naming, spread, stale, stands_still, unknown
from driftline.report.words import lacking, listed


def findings(
    *,
    quality: Quality | None = None,
    drift: Drift | None = None,
    staleness: Staleness | None = None,
    refresh: HitRates | None = None,
    answers: AnswersCompared | None = None,
    retrieval: HitRates | None = None,
    names: Named | None = None,
    policy: Policy | None = None,
    cost: CostRow | None = None,
    min_exact_match_rate: float = MIN_EXACT_MATCH_RATE,
    max_unknown_share: float = MAX_UNKNOWN_SHARE,
) -> tuple[Finding, ...]:
    """The summary of a report.

    First whether the LLM beats counting, and whether the refresh is worth switching on; then what that rests on.

    Args:
        quality, cost: of the table that is reported on.
    """
    found = counting(refresh) if refresh else []
    found += recalls(quality) if quality else []
    if quality and not refresh:
        found += counting(quality.hits)
    if not found:
        found.append(Finding("neutral", "Whether the LLM beats counting is not measured: run `driftline evaluate refresh`."))
    found.insert(2, conclusion(refresh, drift))
    found += refreshing(refresh) if refresh else []
    found += exploring(quality, refresh)
    found += items(policy) if policy else []
    found += moving(drift) if drift else []
    found += stale(staleness) if staleness else []
    found += answering(answers) if answers else []
    found += retrieving(retrieval, alone=refresh is None) if retrieval else []
    found += [spread(quality)] if quality else []
    found += [exact(quality, min_exact_match_rate)] if quality and quality.exact_match_rate is not None else []
    found += unknown(quality, max_unknown_share) if quality else []
    found += naming(names) if names else []
    found += costing(cost) if cost else []
    return (*found, *_unmeasured(quality, drift, refresh, answers, retrieval))


def conclusion(refresh: HitRates | None, drift: Drift | None) -> Finding:
    """Whether the evidence speaks for switching the refresh on."""
    still = " Interests hardly move here, so there is little for it to follow." if stands_still(drift) else ""
    over_fixed, over_none = difference(refresh, RAG_RENEWED, RAG_FIXED), difference(refresh, RAG_RENEWED, NO_RAG)
    if not over_fixed or not over_none or min(over_fixed.n, over_none.n) < ENOUGH:
        run = "is not measured: run `driftline evaluate refresh`."
        lacks = f"cannot be said: {lacking(refresh.users)} users." if refresh else run
        return Finding("neutral", f"Whether the refresh pays {lacks}{still}")

    def against(arm: str) -> Comparison:
        return comparison(refresh.differences if refresh else (), RAG_RENEWED, arm)

    pays, helps = against(RAG_FIXED) == "beats", against(NO_RAG) == "beats"
    counted = COUNTED_RENEWED if difference(refresh, RAG_RENEWED, COUNTED_RENEWED) else FREQUENT_RENEWED
    over_counting = difference(refresh, RAG_RENEWED, counted)
    against_counting = against(counted)
    earns = against_counting == "beats"
    but = "" if earns or not over_counting else f" It does not beat {CALLED[counted]}, which needs no LLM."
    if pays and helps and earns and refresh and _all_little(refresh):
        text = f"Renewing RAG beats RAG of day 1, no RAG and {CALLED[counted]} beyond noise, but each by less than "
        return Finding("neutral", f"{text}{100 * MARGIN:g} % of its hit rate: that may not pay for an LLM.")
    if pays and helps and earns:
        text = f"This speaks for switching the refresh on: it beats RAG of day 1, no RAG, and {CALLED[counted]}."
        return Finding("good", text)
    if pays and helps:
        level = LEVELS[against_counting]
        return Finding(level, f"Renewing RAG beats both RAG of day 1 and no RAG.{but}")
    if pays:
        return Finding("bad", f"The refresh beats RAG of day 1, but not the fixed mapping without RAG.{but}{still}")
    if helps:
        text = "Nothing here speaks for repeating the refresh: RAG beats no RAG, but renewing it does not beat RAG of day 1."
        return Finding("bad", f"{text}{but}{still}")
    return Finding("bad", f"Nothing here speaks for switching the refresh on: it beats neither RAG of day 1 nor no RAG.{still}")


def _all_little(refresh: HitRates) -> bool:
    rates = {arm.name: arm.rate.value for arm in refresh.arms}
    others = (RAG_FIXED, NO_RAG, FREQUENT_RENEWED)
    return all(little(difference(refresh, RAG_RENEWED, other), rates.get(other)) for other in others)


def _unmeasured(
    quality: Quality | None,
    drift: Drift | None,
    refresh: HitRates | None,
    answers: AnswersCompared | None,
    retrieval: HitRates | None,
) -> list[Finding]:
    lacks = {
        "this table's recall and coverage": (quality, ""),
        "how fast interests move": (drift, "drift"),
        "what refreshing buys": (refresh, "refresh"),
        "how RAG changes the answers": (answers, "answers"),
        "which retrieval is best": (retrieval, "retrieval"),
    }
    said = [f"{what} (`driftline evaluate {run}`)" if run else what for what, (found, run) in lacks.items() if found is None]
    return [Finding("neutral", f"Not measured yet: {listed(said)}.")] if said else []
