"""Sentences about who is hit more often: the LLM or counting, a renewed mapping or a fixed one, one retrieval or another."""

from typing import Literal

from driftline.contracts import Retrieval
from driftline.interests.metrics.arms import (
    FREQUENT,
    FREQUENT_FIXED,
    FREQUENT_RENEWED,
    NO_RAG,
    POPULAR,
    RAG_FIXED,
    RAG_RENEWED,
    TABLE,
    retrieval_arm,
)
from driftline.interests.metrics.estimates import Estimate
from driftline.interests.metrics.hits import HitRates
from driftline.interests.metrics.quality import Quality
from driftline.report.content import Finding, Level
from driftline.report.words import interval, lacking, listed, measured, percent, points

PAPERS_CHOICE = retrieval_arm(Retrieval())
LLM = (RAG_RENEWED, RAG_FIXED, NO_RAG, TABLE)
COUNTING = (FREQUENT_RENEWED, FREQUENT_FIXED, FREQUENT, POPULAR)
"""The fairest opponent first: it is renewed as often."""
CALLED = {
    TABLE: "this table",
    RAG_RENEWED: "the LLM with RAG renewed",
    RAG_FIXED: "the LLM with RAG of day 1",
    NO_RAG: "the LLM without RAG",
    POPULAR: "the most popular successor",
    FREQUENT: "the plain frequency table (each pair's most frequent successor)",
    FREQUENT_FIXED: "the plain frequency table of day 1",
    FREQUENT_RENEWED: "the plain frequency table renewed as often",
    PAPERS_CHOICE: f"the paper's retrieval ({PAPERS_CHOICE})",
}

Verdict = Literal["beats", "does not beat", "cannot be told apart from"]
LEVELS: dict[Verdict, Level] = {"beats": "good", "does not beat": "bad", "cannot be told apart from": "neutral"}


def difference(hits: HitRates | None, a: str, b: str) -> Estimate | None:
    """rate(a) − rate(b), whichever way round it was measured; None: it was not."""
    for found in hits.differences if hits else ():
        e = found.estimate
        if (found.a, found.b) == (a, b):
            return e
        if (found.a, found.b) == (b, a):
            return Estimate(_minus(e.value), _minus(e.high), _minus(e.low), e.n)
    return None


def verdict(difference: Estimate | None) -> Verdict:
    """By whether the 95 % interval leaves out 0; what was not compared, or of too few users, cannot be told apart."""
    if difference is None or difference.low is None or not difference.differs:
        return "cannot be told apart from"
    return "beats" if difference.low > 0 else "does not beat"


def compared(hits: HitRates, a: str, b: str) -> Finding | None:
    """Which of two arms is hit more often; None where they were not compared."""
    found = difference(hits, a, b)
    if found is None:
        return None
    ours, theirs = _capital(CALLED.get(a, f"“{a}”")), CALLED.get(b, f"“{b}”")
    if found.value is None:
        return Finding("neutral", f"{ours} against {theirs}: {lacking(found.n)} users.")
    said = verdict(found)
    rates = {arm.name: arm.rate.value for arm in hits.arms}
    hit_a, hit_b = rates.get(a), rates.get(b)
    against = f"hit rate {percent(hit_a)} against {percent(hit_b)}, " if hit_a is not None and hit_b is not None else ""
    sure = interval(found, points) if found.low is None else f"95 % interval {interval(found, points)}; n = {found.n:,} users"
    return Finding(LEVELS[said], f"{ours} {said} {theirs}{_worse(said)}: {against}{points(found.value)} ({sure}).")


def counting(hits: HitRates) -> list[Finding]:
    """The LLM against counting: first the frequency table, then the most popular successor, then what else was compared."""
    found = [(b == POPULAR, said) for a in LLM for b in COUNTING if (said := compared(hits, a, b))]
    leads = [next((said for popular, said in found if popular is wanted), None) for wanted in (False, True)]
    first = [said for said in leads if said]
    return [*first, *(said for _, said in found if said not in first)]


def recalls(quality: Quality) -> list[Finding]:
    """The table's test-set recall against both baselines. Unpaired: they differ where their intervals do not overlap."""
    by_name = {found.name: found.recall for found in quality.recalls}
    ours = by_name.get(TABLE)
    if ours is None or ours.value is None:
        lack = lacking(quality.test_triples)
        return [Finding("neutral", f"Test-set recall of table {quality.table}: {lack} triples in its test window.")]
    found = []
    for name in (FREQUENT, POPULAR):
        theirs = by_name.get(name)
        if theirs is None or theirs.value is None:
            continue
        said = _apart(ours, theirs)
        text = (
            f"Table {quality.table} {said} {CALLED[name]}{_worse(said)}: test-set recall {measured(ours, percent)} "
            f"against {measured(theirs, percent)}; chance {percent(quality.chance)}, n = {quality.test_triples:,} triples."
        )
        found.append(Finding(LEVELS[said], text))
    return found


def refreshing(hits: HitRates) -> list[Finding]:
    """Whether renewing pays: against day 1, against no RAG, and for counting itself."""
    pairs = ((RAG_RENEWED, RAG_FIXED), (RAG_RENEWED, NO_RAG), (RAG_FIXED, NO_RAG))
    found = [said for a, b in pairs if (said := compared(hits, a, b))]
    counted = compared(hits, FREQUENT_RENEWED, FREQUENT_FIXED)
    return [*found, Finding("neutral", counted.text)] if counted else found


def retrieving(hits: HitRates, alone: bool = True) -> list[Finding]:
    """Whether another retrieval is better here than the paper's choice; alone, also whether that beats no RAG and counting."""
    others = [name for d in hits.differences for name in (d.a, d.b) if PAPERS_CHOICE in (d.a, d.b) and name not in CALLED]
    sizes = {name: difference(hits, name, PAPERS_CHOICE) for name in others}
    known = {name: e for name, e in sizes.items() if e is not None and e.value is not None}
    better = {name: e for name, e in known.items() if verdict(e) == "beats"}
    found = [said for b in (NO_RAG, FREQUENT_FIXED) if alone and (said := compared(hits, PAPERS_CHOICE, b))]
    if better:
        gains = listed(f"“{name}” by {measured(e, points)}" for name, e in better.items())
        found.insert(
            0, Finding("neutral", f"The paper's retrieval ({PAPERS_CHOICE}) is not the best here. Hit more often: {gains}.")
        )
    elif known:
        text = f"Of {len(known)} other retrievals none beats the paper's ({PAPERS_CHOICE}) in hit rate."
        found.insert(0, Finding("neutral", text))
    return found


def _apart(ours: Estimate, theirs: Estimate) -> Verdict:
    if ours.above(theirs):
        return "beats"
    return "does not beat" if theirs.above(ours) else "cannot be told apart from"


def _worse(said: Verdict) -> str:
    return ", it is worse" if said == "does not beat" else ""


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
