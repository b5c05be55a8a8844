"""The report as one self-contained HTML page: no script, no network, no other file."""

import json
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from driftline.report import answers_sections, frontier_sections, interests_sections, policy_section, tables_sections
from driftline.report.content import Content
from driftline.report.finding import Finding
from driftline.report.layout import Section
from driftline.report.marks import code
from driftline.report.plot_style import drawing
from driftline.report.weights import rows
from driftline.report.words import computed, count, day, kind, percent, span

HERE = Path(__file__).parent
NOTE = (
    "“Beats” and “worse”: the difference is not 0 with 95 % confidence, all differences of one measurement looked at together "
    "(Holm), with at least 10 users or pairs. “Cannot be told apart”: it may be 0, or there are fewer. “By less than 5 %”: "
    "detected, but small."
)
MADE_OF = {
    "llm": "the LLM's answers",
    "blend": "the likeliest answers under both the LLM and counts",
    "counts": "counts, without an LLM",
}


def render(content: Content) -> str:
    """The page. The same content gives the same bytes, with the same release of matplotlib."""
    with drawing():
        sections = made_of(content)
    return document(
        title=f"Driftline: report on table {content.table}",
        brand="Driftline report",
        heading=f"Table {content.table}: does the update pay?",
        facts=facts(content),
        findings=content.findings,
        note=NOTE,
        empty="Nothing is measured yet: run `driftline evaluate refresh`.",
        sections=sections,
    )


def document(
    *,
    title: str,
    brand: str,
    heading: str,
    facts: Sequence[tuple[str, str]],
    findings: Sequence[Finding],
    note: str,
    empty: str,
    sections: Sequence[Section],
) -> str:
    """A self-contained page of findings and sections. `empty`: what is said without a finding."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"code": code, "json": pretty}
    shown = {"title": title, "brand": brand, "heading": heading, "facts": facts, "findings": findings, "note": note}
    style = Markup((HERE / "style.css").read_text(encoding="utf-8"))
    return environment.get_template("page.html.j2").render(**shown, empty=empty, sections=sections, style=style)


def made_of(content: Content) -> tuple[Section, ...]:
    """The sections in the order of their numbers."""
    return (
        interests_sections.moving(content),
        interests_sections.stale(content),
        answers_sections.refresh(content),
        frontier_sections.frontier(content),
        answers_sections.answers(content),
        tables_sections.costs(content),
        answers_sections.retrieval(content),
        tables_sections.quality(content),
        policy_section.policy(content),
    )


def facts(content: Content) -> tuple[tuple[str, str], ...]:
    """What the page is about."""
    test = content.test_window
    return (
        ("table", f"{content.table}, {kind(content.kind)} of {day(content.nominal)}"),
        ("serves", ", ".join(content.channels) or "no channel"),
        ("made of", MADE_OF[content.answers_from]),
        ("model", str(content.model or "none")),
        ("answered by", computed(content.computed) if content.model else "counts"),
        *(rows(content.weights)),
        *_likeliest(content),
        ("cluster set", f"{content.cluster_set}, |C| = {count(content.clusters)}"),
        ("ordered pairs", count(content.pairs)),
        ("data window", span(content.window.start, content.window.end)),
        ("test window", span(test.start, test.end) if test else "none"),
        ("written", f"{content.written_at:%Y-%m-%d %H:%M} UTC"),
    )


def _likeliest(content: Content) -> list[tuple[str, str]]:
    """How often the greedy answer is the best one."""
    if content.likeliest is None:
        return []
    return [("greedy answer is the likeliest", f"{percent(content.likeliest / content.pairs)} of the pairs")]


def pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str, sort_keys=True)
