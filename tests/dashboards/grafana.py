"""A contract stub of the parts of Grafana's HTTP API that are used: it checks who asks, paths, bodies and versions.

It is no Grafana: what a server makes of a board is not known from it.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.loopback import Quiet, listening

TOKEN = "glsa_s3cret"
ROUTES = {
    ("GET", "/folders/%s"): "get_folder",
    ("POST", "/folders"): "create_folder",
    ("PUT", "/folders/%s"): "update_folder",
    ("GET", "/datasources/uid/%s"): "get_datasource",
    ("POST", "/datasources"): "create_datasource",
    ("PUT", "/datasources/uid/%s"): "update_datasource",
    ("GET", "/dashboards/uid/%s"): "get_dashboard",
    ("POST", "/dashboards/db"): "save_dashboard",
    ("GET", "/v1/provisioning/folder/%s/rule-groups/%s"): "get_rules",
    ("PUT", "/v1/provisioning/folder/%s/rule-groups/%s"): "save_rules",
}
Answer = tuple[int, Any]
MISSING: Answer = (404, {"message": "not found"})


@dataclass
class Grafana:
    """
    Attributes:
        asked: method and path of every request, in order.
        secrets: what came as `secureJsonData`, which is never shown again.
    """

    port: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    folders: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, Any] = field(default_factory=dict)
    boards: dict[str, Any] = field(default_factory=dict)
    rules: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/grafana"

    @property
    def written(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.asked if method != "GET"]

    def answer(self, method: str, path: str, headers: Any, body: Any) -> Answer:
        self.asked.append((method, path))
        if headers["Authorization"] != f"Bearer {TOKEN}":
            return 401, {"message": "Invalid API key"}
        for (wanted, template), name in ROUTES.items():
            found = re.fullmatch("/grafana/api" + template.replace("%s", "([^/]+)"), path)
            if wanted == method and found:
                handler: Callable[..., Answer] = getattr(self, name)
                return handler(*found.groups(), *([headers, body] if body is not None else []))
        return 404, {"message": f"no such route: {method} {path}"}

    def get_folder(self, uid: str) -> Answer:
        return (200, self.folders[uid]) if uid in self.folders else MISSING

    def create_folder(self, headers: Any, body: Any) -> Answer:
        assert body["title"]
        self.folders[body["uid"]] = {**body, "id": 1, "version": 1, "url": "/dashboards/f/x", "hasAcl": False}
        return 200, self.folders[body["uid"]]

    def update_folder(self, uid: str, headers: Any, body: Any) -> Answer:
        self.folders[uid] |= {"title": body["title"], "version": self.folders[uid]["version"] + 1}
        return 200, self.folders[uid]

    def get_datasource(self, uid: str) -> Answer:
        return (200, self.sources[uid]) if uid in self.sources else MISSING

    def create_datasource(self, headers: Any, body: Any) -> Answer:
        if any(source["name"] == body["name"] for source in self.sources.values()):
            return 409, {"message": "data source with the same name already exists"}
        return self._source(body, version=1)

    def update_datasource(self, uid: str, headers: Any, body: Any) -> Answer:
        return self._source(body, version=self.sources[uid]["version"] + 1) if uid in self.sources else MISSING

    def _source(self, body: Any, version: int) -> Answer:
        assert {"name", "type", "access", "url", "uid"} <= set(body)
        secret = body.pop("secureJsonData", {})
        self.secrets.setdefault(body["uid"], {}).update(secret)
        about: dict[str, Any] = {"id": 1, "orgId": 1, "version": version, "isDefault": False, "readOnly": False}
        about["secureJsonFields"] = dict.fromkeys(self.secrets[body["uid"]], True)
        self.sources[body["uid"]] = {**body, **about}
        return 200, {"datasource": self.sources[body["uid"]], "id": 1, "message": "saved", "name": body["name"]}

    def get_dashboard(self, uid: str) -> Answer:
        return (200, {"dashboard": self.boards[uid], "meta": {"folderUid": "driftline"}}) if uid in self.boards else MISSING

    def save_dashboard(self, headers: Any, body: Any) -> Answer:
        board = body["dashboard"]
        if body["folderUid"] not in self.folders:
            return 404, {"message": "folder not found"}
        panels = [panel["id"] for panel in board["panels"]]
        assert len(set(panels)) == len(panels)
        assert {"title", "uid", "schemaVersion"} <= set(board)
        before = self.boards.get(board["uid"])
        if before and not body.get("overwrite") and board.get("version") != before["version"]:
            return 412, {"message": "The dashboard has been changed by someone else", "status": "version-mismatch"}
        version = before["version"] + 1 if before else 1
        self.boards[board["uid"]] = {**board, "id": len(self.boards) + 1, "version": version, "weekStart": ""}
        return 200, {"uid": board["uid"], "version": version, "status": "success"}

    def get_rules(self, folder: str, group: str) -> Answer:
        empty = {"title": group, "folderUid": folder, "interval": 0, "rules": []}
        return 200, self.rules.get(group, empty)

    def save_rules(self, folder: str, group: str, headers: Any, body: Any) -> Answer:
        assert headers["X-Disable-Provenance"] == "true", "else nobody can change a rule in the browser"
        if folder not in self.folders or any(
            query["datasourceUid"] not in ("__expr__", *self.sources) for rule in body["rules"] for query in rule["data"]
        ):
            return 400, {"message": "invalid alert rule"}
        assert body["interval"] % 10 == 0
        for rule in body["rules"]:
            assert {"uid", "title", "condition", "data", "noDataState", "execErrState", "for", "folderUID", "ruleGroup"} <= set(
                rule
            )
            assert rule["condition"] in {query["refId"] for query in rule["data"]}
        stored = [{**rule, "id": place, "orgID": 1, "isPaused": False} for place, rule in enumerate(body["rules"], start=1)]
        self.rules[group] = {**body, "rules": stored}
        return 200, self.rules[group]


@contextmanager
def grafana() -> Iterator[Grafana]:
    it = Grafana()

    class Handler(Quiet):
        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, said = it.answer(self.command, self.path.partition("?")[0], self.headers, body)
            raw = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = _do

    with listening(Handler) as it.port:
        yield it
