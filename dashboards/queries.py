"""Queries of panels. `grafana-foundation-sdk` knows none for Postgres, so here is one."""

from dataclasses import dataclass
from typing import Any, Literal

from grafana_foundation_sdk.builders.prometheus import Dataquery as PromQL
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import DataSourceRef

POSTGRES = DataSourceRef(type_val="grafana-postgresql-datasource", uid="driftline-postgres")
PROMETHEUS = DataSourceRef(type_val="prometheus", uid="driftline-prometheus")


@dataclass(frozen=True)
class PostgresQuery(Dataquery):
    """A panel's query of Postgres. `time_series` wants a column `time`; text columns name the series."""

    sql: str
    format: Literal["table", "time_series"]
    ref_id: str

    def to_json(self) -> dict[str, Any]:
        return {
            "refId": self.ref_id,
            "datasource": POSTGRES,
            "editorMode": "code",
            "format": self.format,
            "rawQuery": True,
            "rawSql": self.sql,
        }


@dataclass(frozen=True)
class Sql(Builder[PostgresQuery]):
    sql: str
    format: Literal["table", "time_series"] = "table"
    ref_id: str = "A"

    def build(self) -> PostgresQuery:
        return PostgresQuery(" ".join(self.sql.split()), self.format, self.ref_id)


def promql(expression: str, legend: str, ref_id: str = "A") -> PromQL:
    return PromQL().datasource(PROMETHEUS).expr(expression).legend_format(legend).ref_id(ref_id)
