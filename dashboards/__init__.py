"""Grafana boards, alert rules and data sources as code: pure JSON, made of the views of Postgres and the metrics of workers."""
