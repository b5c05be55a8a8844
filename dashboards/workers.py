"""The board over Prometheus: what the workers' metrics ports say."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from driftline.dashboards.panels import board, metric

SLOTS = "sum by (task_queue) (temporal_worker_task_slots_used{worker_type='ActivityWorker'})"
WAIT = (
    "histogram_quantile(0.95, sum by (le, task_queue) "
    "(rate(temporal_activity_schedule_to_start_latency_bucket[$__rate_interval])))"
)
FAILED = "sum by (activity_type) (increase(temporal_activity_execution_failed[$__rate_interval]))"


def workers() -> Dashboard:
    return board(
        "driftline-workers",
        "Driftline · Workers",
        "What is served, what waits and what the workers do, by their metrics ports",
        "now-24h",
        [
            metric("Published table", "max by (channel) (driftline_published_version)", "{{channel}}"),
            metric("Age of the published table", "max by (channel) (driftline_published_age_seconds)", "{{channel}}", "s"),
            metric("Reviews that wait", "max(driftline_open_reviews)", "waiting"),
            metric("The longest has waited", "max(driftline_open_review_age_seconds)", "longest", "s"),
            metric(
                "Outcome of the last run", "max by (kind, outcome) (driftline_last_run_outcome) == 1", "{{kind}}: {{outcome}}"
            ),
            metric("Cost of the last table", "max by (kind, step) (driftline_last_table_cpu_seconds)", "{{kind}}: {{step}}", "s"),
            metric("Pairs by their answer", "max by (channel, decoding) (driftline_pairs)", "{{channel}}: {{decoding}}"),
            metric("Workers that poll (1) or do not (0)", "min by (task_queue) (driftline_worker_polls)", "{{task_queue}}"),
            metric("Busy slots", SLOTS, "{{task_queue}}"),
            metric("Steps wait for a worker (95 %)", WAIT, "{{task_queue}}", "s"),
            metric("Failed attempts", FAILED, "{{activity_type}}"),
        ],
    )
