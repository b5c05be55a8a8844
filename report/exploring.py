"""What exploring costs in hits, in plain sentences."""

from collections.abc import Sequence

from driftline.interests.metrics.estimates import Difference
from driftline.interests.metrics.frontier import Axis
from driftline.interests.metrics.hits import ArmHits, HitRates
from driftline.interests.metrics.quality import Quality
from driftline.interests.metrics.significance import detected
from driftline.interests.metrics.support import ArmAt, Level
from driftline.report.comparisons import LLM, name_of
from driftline.report.finding import Finding
from driftline.report.words import count, listed, measured, percent


def exploring(quality: Quality | None, refresh: HitRates | None) -> list[Finding]:
    """The frontier, uptake, and who wins where: of the table's own test window, else of the replay."""
    if quality and quality.hits.frontiers:
        hits, where, clusters = quality.hits, f"on the test window of table {quality.table}", quality.clusters
    elif refresh and refresh.frontiers:
        hits, where, clusters = refresh, "in the replay of held-out days", None
    else:
        return []
    return [*_frontier(hits, where, clusters), *_uptake(hits, where), *_by_support(hits, where)]


def _frontier(hits: HitRates, where: str, clusters: int | None) -> list[Finding]:
    """Names the arms that no other beats, each with its point."""
    best = {line.against: line.arms for line in hits.frontiers}
    spread, novelty = best.get("effective_clusters", ()), best.get("novel", ())
    ours = [arm.name for arm in hits.arms if arm.name in LLM]
    beaten = [arm for arm in ours if arm not in spread and arm not in novelty]
    widest = _points(hits, spread, "effective_clusters", clusters)
    text = f"In recall and in interests answered, no other mapping beats {widest} {where}"
    same = "; in recall and novelty to the user the same" if set(spread) == set(novelty) else ""
    text += same or f"; in recall and novelty to the user none beats {_points(hits, novelty, 'novel', None)}"
    if beaten:
        text += f". Beaten in both: {listed(map(_name, beaten))}"
    return [Finding("bad" if beaten and len(beaten) == len(ours) else "neutral", f"{text}. Values as measured, noise and all.")]


def _points(hits: HitRates, names: Sequence[str], against: Axis, clusters: int | None) -> str:
    arms = {arm.name: arm for arm in hits.arms}
    return listed(f"{_name(name)} ({_point(arms[name], against, clusters)})" for name in names)


def _point(arm: ArmHits, against: Axis, clusters: int | None) -> str:
    recall = percent(arm.recall.value or 0.0) if arm.recall else ""
    if against == "novel":
        return f"{recall}, {percent(arm.novel.value or 0.0)} new"
    of = f" of {clusters}" if clusters else ""
    return f"{recall}, effectively {arm.effective_clusters or 0.0:.1f}{of}"


def _uptake(hits: HitRates, where: str) -> list[Finding]:
    """Whether predictions that are new to the user come true."""
    shown = [(arm, arm.uptake) for arm in hits.arms if arm.uptake and arm.uptake.value is not None]
    if not shown or hits.uptake_chance is None:
        return []
    shares = listed(f"{measured(uptake, percent)} of {_name(arm.name)}" for arm, uptake in shown)
    family = hits.uptake_differences
    told = [_told(d) for d, differs in zip(family, detected([d.estimate for d in family]), strict=True) if differs]
    apart = f" Beyond noise: {listed(told)}." if told else " No two compared can be told apart."
    text = (
        f"Uptake {where}, predictions that come true with an interest that is new to the user in all of the log before: "
        f"{shares}; chance {percent(hits.uptake_chance)}.{apart}"
    )
    return [Finding("neutral", text)]


def _by_support(hits: HitRates, where: str) -> list[Finding]:
    """Who has the highest recall where, and which differences are beyond noise, all levels looked at together."""
    known = [(level, best) for level in hits.levels if (best := best_of(level))]
    if not known:
        return []
    said = listed(
        f"{seen(level)} ({count(level.occurrences)} occurrences) {_name(best.name)} with {percent(best.recall.value or 0.0)}"
        for level, best in known
    )
    every = [(level, d) for level in hits.levels for d in level.differences]
    apart = detected([d.estimate for _, d in every])
    told = []
    for (level, d), differs in zip(every, apart, strict=True):
        if differs:
            told.append(f"{_told(d)} where pairs were seen {seen(level)}")
    beyond = f" Beyond noise: {listed(told)}." if told else " None of the differences is beyond noise."
    return [Finding("neutral", f"Highest recall {where} by how often the pair was seen before: {said}.{beyond}")]


def _told(found: Difference) -> str:
    """Says which arm is better, of a difference that is not 0."""
    return f"{_name(found.a)} {'beats' if (found.estimate.value or 0) > 0 else 'is worse than'} {_name(found.b)}"


def _name(arm: str) -> str:
    """An arm's name without what stands in brackets."""
    return name_of(arm).partition(" (")[0]


def seen(level: Level) -> str:
    """Writes how often a pair was seen: `never`, `1–5 times`, `more than 20 times`."""
    if level.high == 0:
        return "never"
    return f"{level.low}–{level.high} times" if level.high is not None else f"more than {level.low - 1} times"


def best_of(level: Level) -> ArmAt | None:
    """The arm of the highest recall; None where nothing was measured."""
    known = [arm for arm in level.arms if arm.recall.value is not None]
    return max(known, key=lambda arm: arm.recall.value or 0.0, default=None)
