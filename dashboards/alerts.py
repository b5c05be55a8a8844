"""Alert rules over Postgres: a query of one number a row, and a threshold."""

from dataclasses import dataclass
from datetime import timedelta

from grafana_foundation_sdk.builders import alerting, expr
from grafana_foundation_sdk.models.alerting import RelativeTimeRange

from driftline.dashboards.queries import POSTGRES, Sql

GROUP, EVERY = "driftline", timedelta(minutes=5)


@dataclass(frozen=True)
class Alert:
    """Fires where a row's number is above `above`; text columns become labels."""

    uid: str
    title: str
    sql: str
    above: float
    summary: str


def alerts(table_age: timedelta, drift_margin: float) -> tuple[Alert, ...]:
    """All alert rules.

    Args:
        table_age: `notify.table_age`.
        drift_margin: `measures.drift_margin`.
    """
    return (
        Alert(
            "driftline-table-old",
            "Served table too old",
            "SELECT channel, (extract(epoch FROM now() - nominal) / 86400)::float8 AS days FROM channel_overview",
            table_age / timedelta(days=1),
            "Channel {{ $labels.channel }} serves a table of {{ $values.A }} days ago",
        ),
        Alert(
            "driftline-gate-failed",
            "A gate failed",
            "SELECT count(*)::float8 AS candidates FROM evaluation "
            "WHERE cardinality(failed_gates) > 0 AND created_at > now() - interval '1 day'",
            0,
            "{{ $values.A }} candidates of the last day were stopped by a gate",
        ),
        Alert(
            "driftline-review-waits",
            "A review has waited for more than a day",
            "SELECT coalesce(max(extract(epoch FROM now() - g.opened_at)) / 3600, 0)::float8 AS hours "
            "FROM gate g LEFT JOIN verdict v USING (gate_id) WHERE v.gate_id IS NULL AND g.expires_at > now()",
            24,
            "A candidate has waited for {{ $values.A }} hours",
        ),
        Alert(
            "driftline-drift",
            "Interests move",
            "SELECT coalesce(max(share) FILTER (WHERE beyond_noise), 0)::float8 AS moved FROM measured_lag "
            "WHERE ranking = 'frequency' AND measurement = (SELECT max(measurement) FROM measured_lag) "
            "AND created_at > now() - interval '7 days'",
            drift_margin,
            "{{ $values.A }} of what tells a pair's successors apart has moved",
        ),
        Alert(
            "driftline-starts-left-out",
            "Starts were skipped or missed",
            "SELECT coalesce(sum(skipped + missed), 0)::float8 AS starts FROM left_out_starts "
            "WHERE noticed_at > now() - interval '1 day'",
            0,
            "{{ $values.A }} starts of the last day were left out",
        ),
    )


def rule(alert: Alert, folder: str) -> alerting.Rule:
    over = expr.ExprTypeThresholdConditionsEvaluator().params([alert.above]).type("gt")
    condition = expr.ExprTypeThresholdConditions().evaluator(over)
    threshold = expr.TypeThreshold().ref_id("B").expression("A").conditions([condition])
    span = RelativeTimeRange(from_val=int(timedelta(days=1).total_seconds()), to=0)
    asked = alerting.Query("A").datasource_uid(str(POSTGRES.uid)).model(Sql(alert.sql)).relative_time_range(span)
    judged = alerting.Query("B").datasource_uid("__expr__").model(threshold).relative_time_range(span)
    made = alerting.Rule(alert.title).uid(alert.uid).folder_uid(folder).rule_group(GROUP).condition("B").for_val("5m")
    made.annotations({"summary": alert.summary}).labels({"source": "driftline"})
    return made.exec_err_state("Error").no_data_state("OK").with_query(asked).with_query(judged)


def group(table_age: timedelta, drift_margin: float, folder: str) -> alerting.RuleGroup:
    made = alerting.RuleGroup(GROUP).folder_uid(folder).interval(int(EVERY.total_seconds()))
    for alert in alerts(table_age, drift_margin):
        made.with_rule(rule(alert, folder))
    return made
