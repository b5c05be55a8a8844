"""Sections 6 and 8: what every table of the cluster set cost, and how good it is."""

from collections.abc import Callable

from driftline.interests.metrics.arms import FREQUENT, POPULAR, TABLE
from driftline.interests.metrics.estimates import Estimate
from driftline.interests.metrics.hits import ArmHits
from driftline.interests.metrics.quality import Quality
from driftline.report import plots, row_plots
from driftline.report.content import Content, CostRow
from driftline.report.definitions import COST, QUALITY
from driftline.report.layout import Cell, Grid, Plot, Section, cell, plot, sources
from driftline.report.plot_style import SERIES
from driftline.report.plots import Series
from driftline.report.words import count, day, decimal, duration, kind, percent

SHOWN = 12
"""Newest tables whose seconds are drawn."""
NAMED = 3
"""Columns that say which table it is."""
OPEN = 15
"""More tables than that are folded away."""
BASELINES = ((TABLE, SERIES[0], "o"), (FREQUENT, SERIES[1], "s"), (POPULAR, SERIES[2], "^"))
SHORT = {TABLE: "table", FREQUENT: "frequent", POPULAR: "popular"}


def costs(content: Content) -> Section:
    timed = [row for row in content.costs if row.train_wall_seconds or row.generate_wall_seconds][-SHOWN:]
    return Section(
        "cost",
        "What did it cost, and how quickly did it act?",
        "Cost",
        "Fine-tuning changes the model; a refresh only asks it again (paper §1, §2.2, §2.3).",
        COST,
        _seconds(timed) if timed else (),
        tuple(_cost_grids(content)) if content.costs else (),
        () if content.costs else ("Not recorded: no table of this cluster set has its costs on record.",),
    )


def _seconds(timed: list[CostRow]) -> tuple[Plot, ...]:
    bars = [
        (
            f"table {row.table}, {kind(row.kind)}, {day(row.nominal)}",
            (row.train_wall_seconds or 0, row.generate_wall_seconds or 0),
        )
        for row in timed
    ]
    figure = row_plots.stacked(bars, ("training", "bulk inference"), "wall time")
    return (plot(figure, "seconds", "Wall time of each run", f"The newest {len(timed)} tables.", wide=True),)


def _cost_grids(content: Content) -> list[Grid]:
    marked = next((at for at, row in enumerate(content.costs) if row.table == content.table), None)
    folded = len(content.costs) > OPEN
    spent = (
        "table",
        "kind",
        "nominal",
        "tokens trained",
        "training: CPU",
        "GPU",
        "wall",
        "tokens forwarded",
        "inference: CPU",
        "GPU",
        "wall",
    )
    acted = ("table", "kind", "nominal", "data window ends", "published", "agility", "rows", "asked", "reused", "changed")
    return [
        Grid("What each table cost", spent, tuple(map(_spent, content.costs)), NAMED, marked, folded),
        Grid("How quickly it acted, and what it changed", acted, tuple(map(_acted, content.costs)), NAMED, marked, folded),
    ]


def _spent(row: CostRow) -> tuple[Cell, ...]:
    untrained = "none" if row.kind == "rag" else "not recorded"
    trained = (row.train_cpu_seconds, row.train_gpu_seconds, row.train_wall_seconds)
    generated = (row.generate_cpu_seconds, row.generate_gpu_seconds, row.generate_wall_seconds)
    return (
        *_named(row.table, row.kind, row),
        cell(row.tokens_trained, count, untrained),
        *(cell(seconds, duration, untrained) for seconds in trained),
        cell(row.tokens_forwarded, count, "not recorded"),
        *(cell(seconds, duration, "not recorded") for seconds in generated),
    )


def _acted(row: CostRow) -> tuple[Cell, ...]:
    late = None if row.published_at is None else (row.published_at - row.window_end).total_seconds()
    return (
        *_named(row.table, row.kind, row),
        cell(row.window_end, day),
        cell(row.published_at, day, "not published"),
        cell(late, duration, "not published"),
        cell(row.rows, count, "not recorded"),
        cell(row.asked, count, "not recorded"),
        cell(row.reused, count, "not recorded"),
        cell(row.changed, percent, "no table before"),
    )


def _named(table: int, of: str, row: CostRow | Quality) -> tuple[Cell, ...]:
    return (Cell(str(table)), Cell(kind(of)), cell(row.nominal, day))


def quality(content: Content) -> Section:
    lack = f"Not measured: nothing is on record about the quality of table {content.table}."
    own = any(found.table == content.table for found in content.qualities)
    missing = [m for found in content.qualities if found.table == content.table for m in found.hits.missing]
    return Section(
        "quality",
        "Quality over time",
        "Quality",
        f"All tables of this cluster set, by nominal date. Filled: fine-tunes; hollow: refreshes; ring: table {content.table}.",
        QUALITY,
        tuple(_quality_plots(content)) if content.qualities else (),
        tuple(_quality_grids(content)) if content.qualities else (),
        tuple(missing) if own else (lack,),
        sources(content, "quality"),
    )


def _quality_plots(content: Content) -> list[Plot]:
    gate = content.min_exact_match_rate
    exact = _over(content, "exact match", lambda q: _plain(q.exact_match_rate), SERIES[0])
    recall = [_over(content, SHORT[name], _recall(name), colour, marker) for name, colour, marker in BASELINES]
    effective = _over(content, "effective", lambda q: _plain(q.effective_clusters), SERIES[0])
    novel = [_over(content, SHORT[name], _novel(name), colour, marker) for name, colour, marker in BASELINES]
    chance, all_clusters = ("chance", content.qualities[-1].chance), (f"|C| = {content.clusters}", content.clusters)
    return [
        plot(
            plots.over_time([exact], "share of pairs", [(f"gate {100 * gate:g} %", gate)], from_zero=False),
            "exact",
            "Exact match",
            "Does the LLM write descriptions, and nothing else?",
        ),
        plot(
            plots.over_time(recall, "share of triples", [chance]),
            "recall",
            "Test-set recall",
            "The table and its three baselines, with 95 % intervals over users.",
        ),
        plot(
            plots.over_time([effective], "clusters", [all_clusters], share=False),
            "coverage",
            "Effective clusters",
            "Far below |C|, the answers have collapsed onto a few.",
        ),
        plot(
            plots.over_time(novel, "share of occurrences"),
            "novelty",
            "Novelty",
            "Predictions that are new to the user they are made for, with 95 % intervals over users.",
        ),
    ]


def _over(content: Content, name: str, of: Callable[[Quality], Estimate], colour: str, marker: str = "o") -> Series:
    tables = content.qualities
    dates = tuple(plots.number_of(found.nominal) for found in tables)
    kinds = tuple(found.kind for found in tables)
    of_table = colour == SERIES[0]
    marked = next((at for at, found in enumerate(tables) if of_table and found.table == content.table), None)
    return Series(name, dates, tuple(map(of, tables)), colour, marker, kinds=kinds, marked=marked)


def _quality_grids(content: Content) -> list[Grid]:
    tables = content.qualities
    marked = next((at for at, found in enumerate(tables) if found.table == content.table), None)
    folded = len(tables) > OPEN
    named, compared = ("table", "kind", "nominal"), ("no cluster", "changed", "against table")
    return [
        Grid(
            "Exact match and test-set recall",
            (*named, "exact match", "recall: table", "frequent", "popular", "chance", "test triples"),
            tuple(map(_recalls, tables)),
            NAMED,
            marked,
            folded,
        ),
        Grid(
            "Coverage",
            (*named, "effective clusters", "|C|", "entropy H, bits", "ever answered", "top answer", *compared),
            tuple(map(_coverage, tables)),
            NAMED,
            marked,
            folded,
        ),
        Grid(
            "Hit rate on the test window",
            (*named, "hit rate: table", "frequent", "popular", "chance", "users"),
            tuple(map(_hits, tables)),
            NAMED,
            marked,
            folded,
        ),
        Grid(
            "Novelty on the test window",
            (*named, "novelty: table", "frequent", "popular", "users"),
            tuple(map(_novelty, tables)),
            NAMED,
            marked,
            folded,
        ),
    ]


def _recalls(found: Quality) -> tuple[Cell, ...]:
    recalls = (cell(_recall(name)(found), percent) for name, *_ in BASELINES)
    exact = cell(found.exact_match_rate, percent)
    return (
        *_named(found.table, found.kind, found),
        exact,
        *recalls,
        cell(found.chance, percent),
        cell(found.test_triples, count),
    )


def _coverage(found: Quality) -> tuple[Cell, ...]:
    return (
        *_named(found.table, found.kind, found),
        cell(found.effective_clusters, lambda value: f"{value:.1f}"),
        cell(found.clusters),
        cell(found.entropy, decimal),
        cell(found.coverage),
        cell(found.top_share, percent),
        cell(found.unknown_share, percent, "not recorded"),
        cell(found.changed, percent, "no table before"),
        cell(found.compared_with, str, "no table before"),
    )


def _hits(found: Quality) -> tuple[Cell, ...]:
    rates = (cell(_arm(found, name, lambda arm: arm.rate), percent) for name, *_ in BASELINES)
    named = _named(found.table, found.kind, found)
    return (*named, *rates, cell(found.hits.chance, percent), cell(found.hits.users, count))


def _novelty(found: Quality) -> tuple[Cell, ...]:
    novel = (cell(_novel(name)(found), percent) for name, *_ in BASELINES)
    return (*_named(found.table, found.kind, found), *novel, cell(found.hits.users, count))


def _recall(name: str) -> Callable[[Quality], Estimate]:
    return lambda found: next((r.recall for r in found.recalls if r.name == name), _plain(None))


def _novel(name: str) -> Callable[[Quality], Estimate]:
    return lambda found: _arm(found, name, lambda arm: arm.novel)


def _arm(found: Quality, name: str, of: Callable[[ArmHits], Estimate]) -> Estimate:
    return next((of(arm) for arm in found.hits.arms if arm.name == name), _plain(None))


def _plain(value: float | None) -> Estimate:
    return Estimate(value, None, None, 0)
