"""Sections 3, 5 and 7: what the LLM answers with RAG and without."""

from driftline.interests.metrics.answers import AnswersCompared
from driftline.interests.metrics.arms import NO_RAG
from driftline.interests.metrics.estimates import Estimate
from driftline.interests.metrics.hits import HitRates
from driftline.interests.metrics.significance import detected
from driftline.report import plots, row_plots
from driftline.report.comparisons import PAPERS_CHOICE, comparison, difference
from driftline.report.content import Content
from driftline.report.definitions import ANSWER, ARM, HIT, RETRIEVAL, SEQUENCE
from driftline.report.layout import Cell, Grid, Plot, Section, cell, known, plot, sources, unmeasured
from driftline.report.plot_style import INK, SERIES
from driftline.report.words import count, percent, points

FILLED = "a filled point differs from 0 with all measured differences looked at together (Holm), of at least 10 users."


def refresh(content: Content) -> Section:
    hits = content.refresh
    return Section(
        "refresh",
        "What does refreshing buy?",
        "Refresh",
        f"One fine-tuned model replayed on held-out days: is what it predicts what users do next?{_renewed(content)}",
        (*SEQUENCE, *HIT, *ARM),
        tuple(_refresh_plots(hits)) if hits and known([arm.rate for arm in hits.arms]) else (),
        tuple(_hit_grids(hits)) if hits else (),
        hits.missing if hits else unmeasured("refresh"),
        sources(content, "refresh"),
    )


def _renewed(content: Content) -> str:
    found = sources(content, "refresh")
    days = found[-1].inputs.get("every_days") if found else None
    return f" “Renewed” means every {days:g} days." if isinstance(days, int | float) else ""


def _refresh_plots(hits: HitRates) -> list[Plot]:
    daily = (
        "On the right the whole period, with 95 % intervals over users. Dashed: counting, no LLM. Towards the end less of each "
        "sequence is left, so that every curve falls, chance too: compare within a day."
    )
    made = [plot(plots.trajectory(hits), "trajectory", "Hit rate over the held-out days", daily, wide=True)]
    apart = detected([d.estimate for d in hits.differences])
    pairs = [
        row_plots.PlotRow(f"{d.a} − {d.b}", d.estimate, detected=differs)
        for d, differs in zip(hits.differences, apart, strict=True)
    ]
    if pairs:
        figure = row_plots.forest(pairs, "rate of the first − rate of the second, percentage points")
        text = f"Right of 0 the first is hit more often. 95 % intervals over users; {FILLED}"
        made.append(plot(figure, "differences", "Which mapping is hit more often?", text, wide=True))
    return made


def _hit_grids(hits: HitRates) -> list[Grid]:
    about = (
        f"{count(hits.users)} users, {count(hits.occurrences)} occurrences; {count(hits.last_pairs)} more that nothing follows"
    )
    arms = tuple(
        (Cell(arm.name), cell(arm.rate, percent), cell(arm.novel, percent), cell(arm.rate.n, count)) for arm in hits.arms
    )
    chance = (Cell("chance"), cell(hits.chance, percent), Cell("not defined", words=True), cell(hits.occurrences, count))
    grids = [Grid(f"Whole period: {about}", ("mapping", "hit rate", "novel to the user", "n"), (*arms, chance))]
    if hits.differences:
        differences = tuple((Cell(d.a), Cell(d.b), cell(d.estimate, points), cell(d.estimate.n, count)) for d in hits.differences)
        grids.append(Grid("Paired differences", ("a", "b", "rate(a) − rate(b)", "users"), differences, words=2))
    days = tuple(
        (Cell(f"{date:%Y-%m-%d}"), *(cell(arm.daily[at], percent) for arm in hits.arms), cell(hits.daily_chance[at], percent))
        for at, date in enumerate(hits.days)
    )
    grids.append(Grid("Hit rate by day", ("day", *(arm.name for arm in hits.arms), "chance"), days, folded=True))
    return grids


def answers(content: Content) -> Section:
    found = content.answers
    shares = _shares(found) if found else []
    return Section(
        "answers",
        "How much does RAG change the answers?",
        "Answers",
        "Does the retrieved line change what the LLM says, more than asking it twice does, or does the LLM merely repeat it?",
        ANSWER,
        _answer_plots(shares) if known([row.estimate for row in shares]) else (),
        (_answer_grid(found, shares),) if found else (),
        found.missing if found else unmeasured("answers"),
        sources(content, "answers"),
    )


def _shares(found: AnswersCompared) -> list[row_plots.PlotRow]:
    sampled = f"sampled at temperature {found.temperature:g}"
    return [
        row_plots.PlotRow(f"identical with and without RAG, {sampled}", found.sampled_with_without, SERIES[0], tick=0.078),
        row_plots.PlotRow(f"identical in two samplings without RAG, {sampled}", found.sampled_repeated, SERIES[5], tick=0.375),
        row_plots.PlotRow("identical with and without RAG, greedy", found.greedy_with_without, SERIES[0]),
        row_plots.PlotRow("repeats what was retrieved, greedy", found.repeats_retrieved, SERIES[1]),
        row_plots.PlotRow("would say it without RAG, greedy", found.repeats_anyway, SERIES[5]),
        row_plots.PlotRow(f"repeats what was retrieved, {sampled}", found.sampled_repeats_retrieved, SERIES[1]),
    ]


def _answer_plots(shares: list[row_plots.PlotRow]) -> tuple[Plot, ...]:
    text = (
        "Of the pairs with a retrieved line; 95 % intervals over pairs. Dashed ticks: the paper's 7.8 % and 37.5 %. Grey: what "
        "RAG is to be compared with."
    )
    return (
        plot(
            row_plots.bars(shares, "share of pairs with a retrieved line"),
            "shares",
            "Same answer, or the retrieved one?",
            text,
            wide=True,
        ),
    )


def _answer_grid(found: AnswersCompared, shares: list[row_plots.PlotRow]) -> Grid:
    papers = {row.name: Cell(f"{100 * row.tick:g} %") if row.tick else Cell("not reported", words=True) for row in shares}
    filled = tuple((Cell(row.name), cell(row.estimate, percent), cell(row.estimate.n, count), papers[row.name]) for row in shares)
    about = f"{count(found.pairs)} ordered pairs, {count(found.with_line)} of them with a retrieved line; the shares are of those"
    return Grid(about, ("answers", "share", "pairs", "the paper"), filled)


def retrieval(content: Content) -> Section:
    hits = content.retrieval
    return Section(
        "retrieval",
        "Which retrieval is best here?",
        "Retrieval",
        f"The same model with different retrieved lines on the first held-out day. The paper's choice is “{PAPERS_CHOICE}”.",
        (*RETRIEVAL, *HIT[:3]),
        tuple(_retrieval_plots(hits)) if hits and known([arm.rate for arm in hits.arms]) else (),
        (_retrieval_grid(hits),) if hits else (),
        hits.missing if hits else unmeasured("retrieval"),
        sources(content, "retrieval"),
    )


def _retrieval_plots(hits: HitRates) -> list[Plot]:
    rates = [row_plots.PlotRow(arm.name, arm.rate, _colour(arm.name)) for arm in hits.arms]
    text = "Over the whole period, with 95 % intervals over users. Blue: the paper's choice."
    figure = row_plots.forest(rates, "hit rate", differences=False)
    made = [plot(figure, "retrieval-rates", "Hit rate of each retrieval", text, wide=True)]
    against = [(arm.name, difference(hits, arm.name, PAPERS_CHOICE)) for arm in hits.arms]
    differs = {name: comparison(hits.differences, name, PAPERS_CHOICE) != "cannot be told apart from" for name, _ in against}
    pairs = [row_plots.PlotRow(name, e, _colour(name), detected=differs[name]) for name, e in against if e is not None]
    if pairs:
        text = f"Right of 0 is hit more often than the paper's choice. 95 % intervals over users; {FILLED}"
        figure = row_plots.forest(pairs, f"rate − rate of “{PAPERS_CHOICE}”, percentage points")
        made.append(plot(figure, "retrieval-differences", "Against the paper's choice", text, wide=True))
    return made


def _retrieval_grid(hits: HitRates) -> Grid:
    filled = tuple(
        (Cell(arm.name), cell(arm.rate, percent), _against(difference(hits, arm.name, PAPERS_CHOICE), arm.name))
        for arm in hits.arms
    )
    chance = (Cell("chance"), cell(hits.chance, percent), Cell("not compared", words=True))
    about = f"{count(hits.users)} users, {count(hits.occurrences)} occurrences"
    return Grid(about, ("retrieval", "hit rate", "difference to the paper's choice"), (*filled, chance))


def _against(found: Estimate | None, name: str) -> Cell:
    return cell(found, points, lack="the paper's choice" if name == PAPERS_CHOICE else "not compared")


def _colour(name: str) -> str:
    return {PAPERS_CHOICE: SERIES[0], NO_RAG: SERIES[2]}.get(name, INK)
