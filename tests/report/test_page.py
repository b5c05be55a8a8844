import html
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import pytest

from driftline.interests.metrics.arms import sweep_arm
from driftline.interests.metrics.estimates import Estimate
from driftline.interests.metrics.frontier import Frontier
from driftline.report import definitions
from driftline.report.content import Content, Provenance
from driftline.report.finding import Finding
from driftline.report.page import render
from driftline.report.words import change, count, decimal, duration, interval, percent, points
from tests.report import examples
from tests.report.measured import shares as shares_moved

VOID = {"meta", "br", "hr", "img", "link"}


class Reader(HTMLParser):
    """The page's words, and whether every tag is closed in its place."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.cells: set[str] = set()
        self.words = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th", "small"):
            self.cells.add(data)
        if self.open and self.open[-1] != "style":
            self.words += data.replace("\u00a0", " ")


@cache
def page_of(content: Callable[[], Content]) -> str:
    """Drawn once for all tests: the pictures take a second."""
    return render(content())


@pytest.fixture
def full() -> str:
    return page_of(examples.full)


CONTENTS = (
    examples.full,
    examples.empty,
    examples.one_table,
    examples.hollow,
    examples.one_point,
    examples.no_windows,
    examples.few_clusters,
)


@pytest.mark.parametrize("content", CONTENTS)
def test_a_page_is_whole_and_self_contained(content: Callable[[], Content]) -> None:
    page = page_of(content)
    read = Reader(page)

    assert read.open == []
    assert len(read.ids) == len(set(read.ids))
    assert {link.removeprefix("#") for link in read.links} <= set(read.ids)
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b", read.words)
    assert not re.search(r"\bnan\b|http|<script|<link|<img|\bsrc=|@import|@font-face|url\((?!#)|#fe01", page)
    assert [f"{number} {title}" for number, title in enumerate(TITLES, 1) if title not in read.words] == []


TITLES = (
    "How fast do interests move?",
    "Do retrieved facts go stale?",
    "What does refreshing buy?",
    "What does exploring cost in hits?",
    "How much does RAG change the answers?",
    "What did it cost, and how quickly did it act?",
    "Which retrieval is best here?",
    "Quality over time",
)


def shown(estimates: list[Estimate], how: Callable[[float], str]) -> set[str]:
    return {text for e in estimates if e.value is not None for text in (how(e.value), interval(e, how))}


def test_every_number_is_in_a_table(full: str) -> None:
    made, cells = examples.full(), Reader(full).cells
    assert made.drift is not None
    assert made.staleness is not None
    assert made.refresh is not None
    assert made.answers is not None
    assert made.retrieval is not None
    lags = [lag for curve in made.drift.curves for lag in curve.lags]
    assert shown([e for lag in lags for e in (lag.jaccard, lag.across, lag.ceiling)], decimal) <= cells
    assert shown([lag.drift for lag in lags], change) <= cells
    assert {decimal((lag.ceiling.value or 0) + (lag.unevenness or 0)) for lag in lags} <= cells
    assert {change(lag.unevenness or 0) for lag in lags} <= cells
    assert {decimal(lag.variance or 0) for lag in lags} | {count(lag.comparisons) for lag in lags} <= cells
    assert shown([window.ceiling for window in made.drift.windows], decimal) <= cells
    assert "not recorded" in cells
    moved = shares_moved(0.13, 0.01, 0.001)
    known = [lag.moved for curve in moved.curves for lag in curve.lags if lag.moved]
    page = Reader(render(replace(made, drift=moved))).cells
    assert shown([lag.share for lag in known], percent) <= page
    assert {decimal(lag.p) for lag in known} <= page
    assert {count(n) for window in made.drift.windows for n in (window.users, window.triples, window.pairs)} <= cells
    assert shown([e for point in made.staleness.points for e in (point.same_list, point.same_set)], percent) <= cells
    arms = made.refresh.arms
    assert shown([e for arm in arms for e in (arm.rate, arm.novel, *arm.daily)], percent) <= cells
    assert {f"{day:%Y-%m-%d}" for day in made.refresh.days} | {percent(made.refresh.chance or 0)} <= cells
    for hits in (made.refresh, made.qualities[-1].hits):
        assert shown([e for arm in hits.arms for e in (arm.recall, arm.uptake, arm.novel) if e], percent) <= cells
        assert {f"{arm.effective_clusters:.1f}" for arm in hits.arms} <= cells
        assert shown([e for level in hits.levels for arm in level.arms for e in (arm.recall, arm.rate)], percent) <= cells
        assert {percent(hits.uptake_chance or 0)} | {count(level.occurrences) for level in hits.levels} <= cells
    differences = (*made.refresh.differences, *made.retrieval.differences)
    assert shown([d.estimate for d in differences], points) <= cells
    assert shown([arm.rate for arm in made.retrieval.arms], percent) <= cells
    assert shown([e for e in vars(made.answers).values() if isinstance(e, Estimate)], percent) <= cells
    for quality in made.qualities:
        measured = [*(r.recall for r in quality.recalls), *(e for arm in quality.hits.arms for e in (arm.rate, arm.novel))]
        assert shown(measured, percent) <= cells
        assert {percent(quality.exact_match_rate or 0), percent(quality.top_share), percent(quality.chance)} <= cells
        assert {f"{quality.effective_clusters:.1f}", decimal(quality.entropy), str(quality.coverage)} <= cells
    for row in made.costs:
        tokens = {count(n) for n in (row.tokens_trained, row.tokens_forwarded, row.asked, row.reused, row.rows) if n is not None}
        seconds = (row.train_cpu_seconds, row.train_wall_seconds, row.generate_cpu_seconds, row.generate_wall_seconds)
        assert tokens | {duration(s) for s in seconds if s is not None} <= cells


def test_settings_of_one_arm_are_joined_and_the_unbeaten_are_named() -> None:
    made = examples.full()
    assert made.refresh is not None
    swept = tuple(
        replace(arm, name=sweep_arm("blend", beta), effective_clusters=4.0 + beta)
        for beta, arm in zip((1.0, 0.0, 0.5), made.refresh.arms, strict=False)
    )
    lines = (Frontier("effective_clusters", (swept[0].name,)), Frontier("novel", (swept[0].name, swept[1].name)))
    refresh = replace(made.refresh, arms=swept, differences=(), frontiers=lines, levels=())
    page = render(replace(examples.empty(), refresh=refresh))
    read = Reader(page)

    assert {"blend, β = 0", "blend, β = 0.5", "blend, β = 1"} <= read.cells
    assert {"spread, novelty", "novelty", "beaten"} <= read.cells
    assert "By support of the pair" not in read.words


def test_every_definition_is_on_the_page(full: str) -> None:
    words = Reader(full).words
    sets = (getattr(definitions, name) for name in vars(definitions) if name.isupper())
    assert [meaning for terms in sets for _, meaning in terms if meaning not in words] == []
    for paper in ("mean 0.17, variance 0.07", "7.8 %", "37.5 %"):
        assert paper in words


def test_findings_facts_and_sources_are_on_the_page(full: str) -> None:
    made, words = examples.full(), Reader(full).words
    assert [f.text for f in made.findings if f.text.replace("`", "") not in words] == []
    assert "default, treatment" in words
    assert "6, RAG refresh of 2010-12-10" in words
    assert "2010-11-12 to 2010-12-03" in words
    assert "Measurement 13 in Postgres (refresh)" in words
    assert "“Renewed” means every 2 days." in words


def test_what_was_not_measured_says_what_to_run() -> None:
    words = Reader(page_of(examples.empty)).words
    for run in ("drift", "refresh", "answers", "retrieval"):
        assert f"Not measured: run driftline evaluate {run}." in words
    assert "no channel" in words


def test_what_had_no_data_says_so() -> None:
    words = Reader(page_of(examples.hollow)).words
    assert "not enough data: n = 0" in words
    assert "n = 0 users" in words


@pytest.mark.parametrize("content", [examples.no_windows, examples.few_clusters])
def test_drift_without_lags_has_no_empty_table(content: Callable[[], Content]) -> None:
    made = content()
    assert made.drift is not None
    page = page_of(content)
    words = Reader(page).words

    assert made.drift.missing[0] in words
    assert "<tbody>\n</tbody>" not in page
    assert ("By frequency: top 5" in words, "The 0 windows" in words) == (False, False)


def test_a_drift_that_was_measured_without_u_says_so() -> None:
    made = examples.full()
    assert made.drift is not None
    curves = tuple(replace(c, lags=tuple(replace(p, unevenness=None) for p in c.lags)) for c in made.drift.curves)

    page = render(replace(examples.empty(), drift=replace(made.drift, curves=curves)))
    assert "not recorded" in Reader(page).words


def test_text_from_the_log_is_text() -> None:
    evil = "</pre><script>alert(1)</script>"
    made = replace(
        examples.empty(),
        channels=(evil,),
        findings=(Finding("good", f"{evil} `{evil}`"),),
        sources=(Provenance("drift", 1, {"predicate": evil}),),
    )
    page = render(made)

    assert evil not in page
    assert page.count(html.escape(evil, quote=False)) == 4
    assert Reader(page).open == []


def test_the_same_content_gives_the_same_bytes(full: str) -> None:
    assert render(examples.full()) == full
    code = "import sys; from driftline.report.page import render; from tests.report import examples; "
    code += "sys.stdout.write(render(examples.full()))"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, env={**os.environ, "PYTHONHASHSEED": "7"}
    )
    assert other.stdout == full


def test_pictures_are_named_for_those_who_cannot_see_them(full: str) -> None:
    pictures = re.findall(r"<svg [^>]*>", full)
    assert len(pictures) == 16
    assert all('role="img" aria-label="' in picture for picture in pictures)
