"""What each measurement says by itself, in plain sentences."""

import math

from driftline.interests.metrics.answers import AnswersCompared
from driftline.interests.metrics.drift import Drift, Lag
from driftline.interests.metrics.estimates import ENOUGH
from driftline.interests.metrics.quality import Quality
from driftline.interests.metrics.significance import detected, holm
from driftline.interests.metrics.staleness import Staleness, StalePoint
from driftline.interests.metrics.successors import Ranking
from driftline.interests.naming import Named
from driftline.report.content import CostRow
from driftline.report.finding import Finding
from driftline.report.words import change, count, decimal, duration, lacking, listed, measured, percent

COLLAPSED = 0.5
"""Of |C|: with fewer effective clusters than that, a mapping's answers have collapsed onto few."""
POOR = 0.5
"""Of the items that are nearest to their own cluster's mean: with fewer at its description, the names say little."""
OLD_LOG = 30 * 86_400
"""Seconds from the window's end to publication: beyond them a run was over an old log, and says nothing about agility."""


def moving(drift: Drift) -> list[Finding]:
    """Sentences on drift: do interests move beyond noise, and is it popularity or affinity (paper §2.1)?"""
    by_frequency, by_lift = known_lags(drift, "frequency"), known_lags(drift, "lift")
    if not by_frequency:
        most = max((lag.drift.n for curve in drift.curves for lag in curve.lags), default=0)
        why = [*drift.missing, *([f"{lacking(most)} pairs"] if most else [])] or [lacking(0)]
        return [Finding("neutral", f"How fast interests move: {'; '.join(why)}.")]
    moved, normalised = moved_at(by_frequency), moved_at(by_lift)
    matter = mattering(by_frequency, drift.margin)
    shown = max(matter or moved or by_frequency, key=_size)
    overlap = (
        f"the top-{drift.top_k} successors of a pair overlap by {_decimal(shown.across.value)} (Jaccard) "
        f"{_windows(shown)} apart, between two halves of the users of one window by {_decimal(shown.ceiling.value)}"
    )
    if shown.moved:
        share = measured(shown.moved.share, percent)
        overlap = f"{share} of what tells a pair's successors apart is another {_windows(shown)} later; {overlap}"
    else:
        share = percent((shown.drift.value or 0) / shown.ceiling.value) if shown.ceiling.value else lacking(0)
        overlap += f": drift {measured(shown.drift, change)}, {share} of that ceiling, n = {shown.drift.n:,} pairs"
    every = listed(lag.lag for lag in by_frequency)
    margin = f"{100 * drift.margin:g} %" + ("" if shown.moved else " of the ceiling")
    if matter:
        found = [
            Finding("good", f"Interests move: at lag {_lags(matter)} of {every} beyond noise and by {margin} or more; {overlap}.")
        ]
    elif moved:
        text = f"Interests hardly move: at lag {_lags(moved)} of {every} beyond noise, but by less than {margin}"
        text += f"; largest: {overlap}."
        found = [Finding("bad", text)]
    else:
        found = [Finding("bad", f"Interests do not move beyond noise at any lag measured ({every}); largest: {overlap}.")]
    if mattering(by_lift, drift.margin):
        at = _lags(mattering(by_lift, drift.margin))
        found.append(
            Finding("neutral", f"Normalised by popularity (lift), they move at lag {at}: the affinity of pairs changes.")
        )
    elif by_lift:
        so = ": what moves is the popularity of clusters, not the affinity of pairs" if matter else ""
        little = "moves by as much" if normalised else "moves beyond noise"
        found.append(Finding("neutral", f"Normalised by popularity (lift), nothing {little}{so}."))
    return found


def stale(staleness: Staleness) -> list[Finding]:
    """Sentences on staleness: the share of retrieved lists that still hold after 2 and 14 days (paper §3.1, Figure 3b)."""
    known = [p for p in staleness.points if p.same_list.value is not None]
    if not known:
        missing = "; ".join(staleness.missing) or f"{lacking(staleness.pairs)} pairs"
        return [Finding("neutral", f"Whether retrieved facts go stale: {missing}.")]
    k = min(p.top_k for p in known)
    points = [p for p in known if p.top_k == k]
    chosen: list[StalePoint] = []
    for days in (2, 14):
        nearest = min(points, key=lambda p: (abs(p.days - days), p.days))
        chosen += [nearest] if nearest not in chosen else []
    what = "the same most frequent successor" if k == 1 else f"the same {k} most frequent successors"
    shares = listed(f"{measured(p.same_list, percent)} after {p.days} {'day' if p.days == 1 else 'days'}" for p in chosen)
    text = f"Of the pairs, {shares} still have {what} as on the retrieval date; n = {staleness.pairs:,} pairs."
    return [Finding("neutral", f"{text} Rare pairs change by chance, too.")]


def answering(answers: AnswersCompared) -> list[Finding]:
    """Sentences on answers: what RAG changes, beside what sampling again changes (paper §3.1)."""
    rag, again = answers.sampled_with_without, answers.sampled_repeated
    found = []
    if rag.value is not None and again.value is not None:
        if rag.n < ENOUGH:
            says = f"Whether RAG changes the answers more than sampling again does cannot be said, {lacking(rag.n)} pairs"
        elif again.above(rag):
            says = "RAG changes the answers more than sampling again does"
        elif rag.above(again):
            says = "RAG changes the answers less than sampling again does"
        else:
            says = "RAG does not measurably change the answers more than sampling again does"
        text = (
            f"{says}: at temperature {answers.temperature:g}, {measured(rag, percent)} of the pairs that RAG tells "
            f"something are answered identically with and without it, {measured(again, percent)} in two samplings without it "
            f"(the paper: 7.8 % and 37.5 %); n = {rag.n:,} pairs."
        )
        found.append(Finding("neutral", text))
    repeats, anyway = answers.repeats_retrieved, answers.repeats_anyway
    if repeats.value is not None and anyway.value is not None:
        text = (
            f"Told a cluster, the LLM answers with it for {measured(repeats, percent)} of the pairs; "
            f"without RAG it would for {measured(anyway, percent)}."
        )
        mostly = " Where it repeats, a look-up in the counts answers the same." if repeats.value > 0.5 else ""
        found.append(Finding("neutral", text + mostly))
    return found or [Finding("neutral", f"How RAG changes the answers: {'; '.join(answers.missing) or lacking(answers.pairs)}.")]


def spread(quality: Quality) -> Finding:
    """Sentence on spread: have the answers collapsed onto a few clusters?"""
    effective, clusters = quality.effective_clusters, quality.clusters
    collapsed = effective < COLLAPSED * clusters
    says = "have collapsed onto few clusters" if collapsed else "are spread over the clusters"
    text = (
        f"The answers of table {quality.table} {says}: effectively {effective:.1f} of {clusters} (entropy {quality.entropy:.2f} "
        f"of {math.log2(clusters):.2f} bits), {quality.coverage} ever answered; "
        f"{percent(quality.top_share)} of the pairs get the same one."
    )
    return Finding("bad" if collapsed else "good", text)


def exact(quality: Quality, gate: float) -> Finding:
    """Exact-match rate against its gate (paper §2.2)."""
    rate = quality.exact_match_rate
    if rate is None:
        return Finding("neutral", f"Exact-match rate of table {quality.table}: {lacking(0)} pairs.")
    passes = rate >= gate
    said = f"{percent(rate)}, {'not below' if passes else 'below'} the gate of {percent(gate)}"
    return Finding("good" if passes else "bad", f"Exact-match rate of table {quality.table}: {said}.")


def unknown(quality: Quality, gate: float) -> list[Finding]:
    """How much of the log is lost because no cluster has its items, against its gate."""
    share = quality.unknown_share
    if share is None:
        return []
    passes = share <= gate
    said = f"{percent(share)} of the events are of items that no cluster has, {'not above' if passes else 'above'} the gate"
    mend = "" if passes else ": `driftline clusters assign` puts new items into the nearest one"
    return [Finding("neutral" if passes else "bad", f"Table {quality.table}: {said} of {percent(gate)}{mend}.")]


def naming(names: Named) -> list[Finding]:
    """How much the descriptions say, which are all that the LLM reads of an interest."""
    text = (
        f"Of the items, {percent(names.nearest_description)} are nearest, by embedding, to the description of their own "
        f"interest, which is all that the LLM reads of it; {percent(names.nearest_centroid)} to its mean embedding, "
        f"{percent(names.chance)} by chance."
    )
    poor = names.nearest_description < POOR * names.nearest_centroid
    worse = " The names say little: `driftline clusters describe` writes others." if poor else ""
    return [Finding("bad" if poor else "neutral", text + worse)]


def costing(cost: CostRow) -> list[Finding]:
    """Sentence on cost: tokens, seconds, age at publication, share of answers changed."""
    spent = []
    if cost.tokens_trained is not None:
        spent.append(f"{count(cost.tokens_trained)} tokens trained{_seconds(cost.train_cpu_seconds, cost.train_gpu_seconds)}")
    if cost.tokens_forwarded is not None:
        seconds = _seconds(cost.generate_cpu_seconds, cost.generate_gpu_seconds)
        asked = "" if cost.asked is None else f" for {count(cost.asked)} pairs"
        spent.append(f"{count(cost.tokens_forwarded)} tokens forwarded{asked}{seconds}")
    said = [f"Table {cost.table} cost {listed(spent)}"] if spent else []
    late = None if cost.published_at is None else (cost.published_at - cost.window_end).total_seconds()
    if late is not None and 0 <= late <= OLD_LOG:
        said.append(f"it was published {duration(late)} after its window ended")
    if cost.changed is not None:
        said.append(f"{percent(cost.changed)} of the pairs have another answer than in the table before")
    return [Finding("neutral", f"{'; '.join(said)}.")] if said else []


def stands_still(drift: Drift | None) -> bool:
    """Measured by frequency, and at no lag beyond noise and large enough to matter."""
    known = known_lags(drift, "frequency") if drift else []
    return bool(known) and drift is not None and not mattering(known, drift.margin)


def known_lags(drift: Drift, ranking: Ranking) -> list[Lag]:
    """The lags with users, in measurements of before pairs, enough to say whether anything moves."""
    of = [lag for curve in drift.curves if curve.ranking == ranking for lag in curve.lags]
    return [lag for lag in of if (lag.moved.share if lag.moved else lag.drift).enough]


def moved_at(lags: list[Lag]) -> list[Lag]:
    """The lags at which interests have moved beyond noise, all of them looked at together (Holm)."""
    if any(lag.moved for lag in lags):
        found = holm([lag.moved.p if lag.moved else None for lag in lags])
        return [lag for lag, differs in zip(lags, found, strict=True) if differs]
    pairs = zip(lags, detected([lag.drift for lag in lags]), strict=True)
    return [lag for lag, differs in pairs if differs and (lag.drift.value or 0) > 0]


def mattering(lags: list[Lag], margin: float) -> list[Lag]:
    """Selects the lags of `moved_at` at which `margin` or more has moved."""
    return [lag for lag in moved_at(lags) if _size(lag) >= margin]


def _size(lag: Lag) -> float:
    """The share that has moved; in measurements of before, drift as a share of its ceiling."""
    if lag.moved:
        return lag.moved.share.value or 0.0
    return (lag.drift.value or 0.0) / lag.ceiling.value if lag.ceiling.value else 0.0


def _lags(lags: list[Lag]) -> str:
    return listed(lag.lag for lag in lags)


def _windows(lag: Lag) -> str:
    return "1 window" if lag.lag == 1 else f"{lag.lag} windows"


def _decimal(value: float | None) -> str:
    return lacking(0) if value is None else decimal(value)


def _seconds(cpu: float | None, gpu: float | None) -> str:
    parts = [f"{duration(s)} of {unit}" for s, unit in ((cpu, "CPU"), (gpu, "GPU")) if s]
    return f" ({listed(parts)})" if parts else ""
