"""Everything that Grafana is given, as JSON values with stable uids: what `apply` sends, `diff` compares and `export` writes."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from driftline.dashboards import alerts, boards, workers
from driftline.dashboards.queries import POSTGRES, PROMETHEUS

Kind = Literal["folder", "data source", "board", "alert rules"]
FOLDER = "driftline"


@dataclass(frozen=True)
class Part:
    """One folder, data source, board or group of alerts of Grafana.

    Attributes:
        body: as Grafana's HTTP API takes it, without what is secret and what Grafana counts itself.
    """

    kind: Kind
    uid: str
    title: str
    body: dict[str, Any]
    folder: str = FOLDER


@dataclass(frozen=True)
class Database:
    """Where Grafana finds Postgres, and as whom: a login that is a member of `driftline_reader`."""

    host: str
    port: int
    name: str
    user: str
    ssl_mode: str


def parts(database: Database, prometheus: str, table_age: timedelta, drift_margin: float) -> list[Part]:
    """Lists the parts in the order in which they need each other. Without Prometheus there is no board of the workers."""
    found = [Part("folder", FOLDER, "Driftline", {"uid": FOLDER, "title": "Driftline"}), _postgres(database)]
    made = [boards.operations(), boards.quality(), boards.drift(), boards.cost()]
    if prometheus:
        found.append(_prometheus(prometheus))
        made.append(workers.workers())
    found += [Part("board", body["uid"], body["title"], body) for body in map(_plain, made)]
    rules = _plain(alerts.group(table_age, drift_margin, FOLDER))
    for rule in rules["rules"]:
        del rule["orgID"]  # that of the token
    return [*found, Part("alert rules", alerts.GROUP, "Driftline's alert rules", rules)]


def _postgres(database: Database) -> Part:
    body = {
        "uid": POSTGRES.uid,
        "name": "Driftline",
        "type": POSTGRES.type_val,
        "access": "proxy",
        "url": f"{database.host}:{database.port}",
        "user": database.user,
        "jsonData": {"database": database.name, "sslmode": database.ssl_mode, "postgresVersion": 1500, "maxOpenConns": 5},
    }
    return Part("data source", str(POSTGRES.uid), "Driftline", body)


def _prometheus(url: str) -> Part:
    body = {
        "uid": PROMETHEUS.uid,
        "name": "Driftline's workers",
        "type": PROMETHEUS.type_val,
        "access": "proxy",
        "url": url,
        "jsonData": {"httpMethod": "POST"},
    }
    return Part("data source", str(PROMETHEUS.uid), "Driftline's workers", body)


def _plain(builder: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(builder.build(), cls=JSONEncoder))
    return made


def provisioning(found: list[Part], at: str = "/etc/grafana/provisioning") -> dict[str, Any]:
    """The same as files of Grafana's provisioning: JSON values by path below `at`. The data source's password is the variable
    GRAFANA_POSTGRES_PASSWORD of Grafana's own environment."""
    of = {kind: [part for part in found if part.kind == kind] for kind in ("data source", "board", "alert rules")}
    secret = {"secureJsonData": {"password": "$GRAFANA_POSTGRES_PASSWORD"}}
    sources = [part.body | (secret if "user" in part.body else {}) for part in of["data source"]]
    provider = {"name": "Driftline", "folder": "Driftline", "folderUid": FOLDER, "options": {"path": f"{at}/boards"}}
    groups = [
        {
            "name": part.uid,
            "folder": "Driftline",
            "interval": f"{part.body['interval']}s",
            "rules": [{key: rule[key] for key in rule if key not in ("folderUID", "ruleGroup")} for rule in part.body["rules"]],
        }
        for part in of["alert rules"]
    ]
    return {
        "datasources/driftline.yaml": {"apiVersion": 1, "datasources": sources},
        "dashboards/driftline.yaml": {"apiVersion": 1, "providers": [provider]},
        "alerting/driftline.yaml": {"apiVersion": 1, "groups": groups},
        **{f"boards/{part.uid}.json": part.body for part in of["board"]},
    }


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Paths at which what Grafana has is not what we have. What Grafana has besides, its own defaults, is no difference."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [found for key in ours for found in differences(ours[key], theirs.get(key), f"{path}.{key}" if path else key)]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = zip(ours, theirs, strict=True)
        return [found for place, (a, b) in enumerate(pairs) for found in differences(a, b, f"{path}[{place}]")]
    empty = ours in (None, {}, [], "") and theirs in (None, {}, [], "")
    return [] if ours == theirs or empty else [path]
