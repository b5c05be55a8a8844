"""Panels and boards in the few shapes that are used: a number, lines, bars, a table."""

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import barchart, dashboard, stat, table, timeseries
from grafana_foundation_sdk.builders.common import VizLegendOptions
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import GraphDrawStyle, VisibilityMode

from driftline.dashboards.queries import POSTGRES, PROMETHEUS, Sql, promql

TAG = "driftline"
WIDTH = 24
Panel = Any
"""A builder of one of the SDK's panels: they share no class with methods."""

MOVES = """
SELECT at AS "time", initcap(action) || ': ' || channel || ' serves table ' || to_version AS title, reason AS text,
    channel || ',' || action AS tags
FROM publication_history WHERE $__timeFilter(at) AND action = '{action}'
"""


def number(title: str, sql: str, unit: str = "short", width: int = 6) -> Panel:
    return _placed(stat.Panel(), title, width, 4).unit(unit).datasource(POSTGRES).with_target(Sql(sql))


def lines(title: str, sql: str, unit: str = "short", width: int = 12, about: str = "") -> Panel:
    """Points are few, so each is drawn."""
    panel = _placed(timeseries.Panel(), title, width, 8, about).unit(unit).datasource(POSTGRES)
    legend = VizLegendOptions().show_legend(True)
    return panel.legend(legend).show_points(VisibilityMode.ALWAYS).span_nulls(True).with_target(Sql(sql, "time_series"))


def bars(title: str, sql: str, unit: str = "short", width: int = 12, about: str = "") -> Panel:
    """Over time."""
    return lines(title, sql, unit, width, about).draw_style(GraphDrawStyle.BARS).fill_opacity(80)


def columns(title: str, sql: str, x: str, unit: str = "short", width: int = 12, about: str = "") -> Panel:
    """Over a column that is no time."""
    panel = _placed(barchart.Panel(), title, width, 8, about).unit(unit).datasource(POSTGRES).x_field(x)
    return panel.with_target(Sql(sql))


def rows(title: str, sql: str, width: int = WIDTH, about: str = "") -> Panel:
    return _placed(table.Panel(), title, width, 8, about).datasource(POSTGRES).with_target(Sql(sql))


def metric(title: str, expression: str, legend: str, unit: str = "short", width: int = 12) -> Panel:
    """A panel of lines, by an expression of Prometheus."""
    panel = _placed(timeseries.Panel(), title, width, 8).unit(unit).datasource(PROMETHEUS)
    return panel.legend(VizLegendOptions().show_legend(True)).with_target(promql(expression, legend))


def board(uid: str, title: str, about: str, since: str, panels: Sequence[Panel]) -> dashboard.Dashboard:
    """A board whose panels are numbered in their order. Every publication and roll-back is marked on its lines."""
    made = dashboard.Dashboard(title).uid(uid).description(about).tags([TAG]).timezone("utc").refresh("5m").time(since, "now")
    for name, action, colour in (("Publications", "publish", "blue"), ("Roll-backs", "rollback", "red")):
        moves = dashboard.AnnotationQuery().name(name).datasource(POSTGRES).enable(True).icon_color(colour)
        made.annotation(moves.target(_annotating(action)))
    for place, panel in enumerate(panels, start=1):
        made.with_panel(panel.id(place))
    return made


class _annotating(Builder[Any]):
    def __init__(self, action: str) -> None:
        self.action = action

    def build(self) -> Any:
        return Sql(MOVES.format(action=self.action), ref_id="Anno").build()


def _placed(panel: Panel, title: str, width: int, height: int, about: str = "") -> Panel:
    return panel.title(title).description(about).span(width).height(height)
