"""Sentences about who is hit more often: the LLM or counting, a renewed mapping or a fixed one, one retrieval or another."""

from collections.abc import Mapping, Sequence
from typing import Literal

from driftline.contracts import Retrieval
from driftline.interests.metrics.arms import (
    COUNTED,
    COUNTED_FIXED,
    COUNTED_RENEWED,
    FREQUENT,
    FREQUENT_FIXED,
    FREQUENT_RENEWED,
    LLM_ALONE,
    NO_RAG,
    POPULAR,
    RAG_FIXED,
    RAG_RENEWED,
    TABLE,
    retrieval_arm,
)
from driftline.interests.metrics.drift import MARGIN
from driftline.interests.metrics.estimates import Difference, Estimate
from driftline.interests.metrics.hits import HitRates
from driftline.interests.metrics.quality import Quality
from driftline.interests.metrics.significance import detected
from driftline.report.finding import Finding, Level
from driftline.report.words import interval, lacking, listed, measured, percent, points

PAPERS_CHOICE = retrieval_arm(Retrieval())
LLM = (RAG_RENEWED, RAG_FIXED, NO_RAG, TABLE)
COUNTING = (COUNTED_RENEWED, COUNTED_FIXED, COUNTED, FREQUENT_RENEWED, FREQUENT_FIXED, FREQUENT, POPULAR)
"""The fairest opponent first: it is renewed as often."""
CALLED = {
    TABLE: "this table",
    RAG_RENEWED: "the LLM with RAG renewed",
    RAG_FIXED: "the LLM with RAG of day 1",
    NO_RAG: "the LLM without RAG",
    POPULAR: "the most popular successor",
    COUNTED: "the counting model",
    COUNTED_FIXED: "the counting model of day 1",
    COUNTED_RENEWED: "the counting model renewed as often",
    LLM_ALONE: "its LLM alone",
    FREQUENT: "the plain frequency table (each pair's most frequent successor)",
    FREQUENT_FIXED: "the plain frequency table of day 1",
    FREQUENT_RENEWED: "the plain frequency table renewed as often",
    PAPERS_CHOICE: f"the paper's retrieval ({PAPERS_CHOICE})",
}

Comparison = Literal["beats", "does not beat", "cannot be told apart from"]
LEVELS: dict[Comparison, Level] = {"beats": "good", "does not beat": "bad", "cannot be told apart from": "neutral"}


def difference(hits: HitRates | None, a: str, b: str) -> Estimate | None:
    """rate(a) − rate(b), whichever way round it was measured; None: it was not."""
    return _found(hits.differences if hits else (), a, b)


def comparison(differences: Sequence[Difference], a: str, b: str) -> Comparison:
    """Whether a − b differs from 0, all of these differences looked at together (Holm); what was not compared, or of too few
    users, cannot be told apart."""
    apart = detected([found.estimate for found in differences])
    for found, differs in zip(differences, apart, strict=True):
        if differs and {found.a, found.b} == {a, b}:
            return "beats" if ((found.estimate.value or 0) > 0) == (found.a == a) else "does not beat"
    return "cannot be told apart from"


def little(found: Estimate | None, theirs: float | None) -> bool:
    """Whether a difference is less than `MARGIN` of what it is measured against: detected or not, too little to matter."""
    return found is not None and theirs is not None and abs(found.value or 0) < MARGIN * theirs


def compared(hits: HitRates, a: str, b: str) -> Finding | None:
    """Which of two arms is hit more often; None where they were not compared."""
    rates = {arm.name: arm.rate.value for arm in hits.arms}
    return _sentence(hits.differences, a, b, "hit rate", rates)


def _sentence(
    differences: Sequence[Difference], a: str, b: str, measure: str, values: Mapping[str, float | None], called: str = ""
) -> Finding | None:
    """Compares two arms in one sentence. `called`: a, if its name is not that of everywhere."""
    found = _found(differences, a, b)
    if found is None:
        return None
    ours, theirs = _capital(called or name_of(a)), name_of(b)
    if found.value is None:
        return Finding("neutral", f"{ours} against {theirs}: {lacking(found.n)} users.")
    said = comparison(differences, a, b)
    value_a, value_b = values.get(a), values.get(b)
    against = ""
    if value_a is not None and value_b is not None:
        against = f"{measure} {percent(value_a)} against {percent(value_b)}, "
    sure = interval(found, points) if found.low is None else f"95 % interval {interval(found, points)}; n = {found.n:,} users"
    small = little(found, value_b)
    level = "neutral" if small and said == "beats" else LEVELS[said]
    return Finding(level, f"{ours} {said} {theirs}{_by(said, small, measure)}: {against}{points(found.value)} ({sure}).")


def counting(hits: HitRates) -> list[Finding]:
    """The LLM against counting: first the frequency table, then the most popular successor, then what else was compared."""
    found = [(b == POPULAR, said) for a in LLM for b in COUNTING if (said := compared(hits, a, b))]
    leads = [next((said for popular, said in found if popular is wanted), None) for wanted in (False, True)]
    first = [said for said in leads if said]
    return [*first, *(said for _, said in found if said not in first)]


def recalls(quality: Quality) -> list[Finding]:
    """The table's test-set recall against every baseline."""
    by_name = {found.name: found.recall for found in quality.recalls}
    ours = by_name.get(TABLE)
    if ours is None or ours.value is None:
        lack = lacking(quality.test_triples)
        return [Finding("neutral", f"Test-set recall of table {quality.table}: {lack} triples in its test window.")]
    if not quality.hits.recall_differences:
        return _unpaired(quality, by_name, ours)
    values = {name: recall.value for name, recall in by_name.items()}
    others = [name for name in COUNTING if name in by_name] + [name for name in by_name if name not in (*COUNTING, TABLE)]
    called = f"table {quality.table}"
    found = [_sentence(quality.hits.recall_differences, TABLE, b, "test-set recall", values, called) for b in others]
    tail = f" Chance {percent(quality.chance)}, n = {quality.test_triples:,} triples."
    return [Finding(said.level, said.text + tail) for said in found if said]


def _unpaired(quality: Quality, by_name: Mapping[str, Estimate], ours: Estimate) -> list[Finding]:
    """Compares the arms of a table that an earlier release measured: they differ where their intervals do not overlap."""
    found = []
    for name in (COUNTED, LLM_ALONE, FREQUENT, POPULAR):
        theirs = by_name.get(name)
        if theirs is None or theirs.value is None:
            continue
        said = _apart(ours, theirs)
        text = (
            f"Table {quality.table} {said} {CALLED[name]}{_by(said)}: test-set recall {measured(ours, percent)} "
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
    better = {name: e for name, e in known.items() if comparison(hits.differences, name, PAPERS_CHOICE) == "beats"}
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


def _apart(ours: Estimate, theirs: Estimate) -> Comparison:
    if ours.above(theirs):
        return "beats"
    return "does not beat" if theirs.above(ours) else "cannot be told apart from"


def name_of(arm: str) -> str:
    """An arm's name in sentences."""
    return CALLED.get(arm, f"“{arm}”")


def _by(said: Comparison, small: bool = False, measure: str = "") -> str:
    worse = ", it is worse" if said == "does not beat" else ""
    if said == "cannot be told apart from" or not small:
        return worse
    return f"{worse or ', but'} by less than {100 * MARGIN:g} % of its {measure}"


def _found(differences: Sequence[Difference], a: str, b: str) -> Estimate | None:
    for found in differences:
        e = found.estimate
        if (found.a, found.b) == (a, b):
            return e
        if (found.a, found.b) == (b, a):
            return Estimate(_minus(e.value), _minus(e.high), _minus(e.low), e.n)
    return None


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
