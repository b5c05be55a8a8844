"""Grafana: bring its folder, data sources, boards and alert rules to what they are here, and say by what they differ."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from driftline.contracts import BadInput
from driftline.operations.context import Context, Unreachable
from driftline.settings import Settings

if TYPE_CHECKING:
    from driftline.dashboards.provisioned import Part

INSTALL = "the boards need Grafana's packages: `pip install 'driftline[dashboards]'`"
SECONDS = 15.0


@dataclass(frozen=True)
class BoardChange:
    """What would be done, or was, to one part of Grafana.

    Attributes:
        differs: paths in its JSON at which Grafana has something else.
    """

    kind: str
    uid: str
    title: str
    action: Literal["create", "update", "unchanged"]
    differs: list[str]


def parts(settings: Settings) -> "list[Part]":
    """All that Grafana is given under these settings.

    Raises:
        BadInput: an address is missing or wrong, or Grafana's packages are not installed.
    """
    try:
        from driftline.dashboards import provisioned
    except ImportError:
        raise BadInput(INSTALL) from None
    about = settings.dashboards
    where = urlsplit(about.postgres or settings.postgres_url)
    if not where.hostname:
        raise BadInput("dashboards.postgres: say where Grafana finds Postgres, e.g. `postgresql://db.example.com:5432/driftline`")
    name = where.path.lstrip("/") or "driftline"
    database = provisioned.Database(where.hostname, where.port or 5432, name, about.user, about.ssl_mode)
    return provisioned.parts(database, about.prometheus, settings.notify.table_age, settings.measures.drift_margin)


def diff(context: Context) -> list[BoardChange]:
    """Plans `apply`. Changes nothing.

    Raises:
        BadInput: as `parts`; there is no address or no token.
        Unreachable: Grafana does not answer, or does not let us in.
    """
    return _bring(context.settings, dry=True, password=False)


def apply(context: Context, password: bool = False) -> list[BoardChange]:
    """Create what is missing and update what differs; what is alike is not written. Raises as `diff`.

    Args:
        password: also send the data source's password again. Grafana never shows it, so that it is not compared.
    """
    return _bring(context.settings, dry=False, password=password)


def export(settings: Settings, folder: Path) -> list[Path]:
    """Write every part as files of Grafana's provisioning; its YAML is JSON. Raises BadInput as `parts`."""
    found = parts(settings)
    from driftline.dashboards.provisioned import provisioning

    written = []
    for path, body in provisioning(found).items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n")
        written.append(file)
    return written


def _bring(settings: Settings, dry: bool, password: bool) -> list[BoardChange]:
    from driftline.dashboards.provisioned import differences

    wanted = parts(settings)
    grafana, changes = _Grafana(settings), []
    for part in wanted:
        found = grafana.find(part)
        differs = differences(part.body, found) if found is not None else []
        action: Literal["create", "update", "unchanged"] = "create" if found is None else "update" if differs else "unchanged"
        renew = password and part.kind == "data source"
        if not dry and (action != "unchanged" or renew):
            grafana.write(part, new=found is None)
        changes.append(BoardChange(part.kind, part.uid, part.title, action, differs))
    return changes


class _Grafana:
    """The four kinds of parts over `grafana-client`."""

    def __init__(self, settings: Settings) -> None:
        about = settings.dashboards
        if not about.url or not about.token:
            raise BadInput("set dashboards.url, and in DRIFTLINE_DASHBOARDS__TOKEN the token of a service account that may edit")
        self.password = about.password
        self.api = _client(about.url, about.token)

    def find(self, part: "Part") -> dict[str, Any] | None:
        """The part as Grafana has it; None if it has none."""
        api, uid = self.api, part.uid
        match part.kind:
            case "folder":
                return _found(api.folder.get_folder, uid)
            case "data source":
                return _found(api.datasource.get_datasource_by_uid, uid)
            case "board":
                board = _found(api.dashboard.get_dashboard, uid)
                return board and board["dashboard"]
            case "alert rules":
                group = _found(api.alertingprovisioning.get_rule_group, part.body["folderUid"], uid)
                return group if group and group.get("rules") else None

    def write(self, part: "Part", new: bool) -> None:
        api, uid, body = self.api, part.uid, part.body
        match part.kind:
            case "folder" if new:
                _ask(api.folder.create_folder, part.title, uid)
            case "folder":
                _ask(api.folder.update_folder, uid, part.title, overwrite=True)
            case "data source":
                secret = {"secureJsonData": {"password": self.password}} if self.password and "user" in body else {}
                if new:
                    _ask(api.datasource.create_datasource, body | secret)
                else:
                    _ask(api.datasource.update_datasource_by_uid, uid, body | secret)
            case "board":
                about = {"folderUid": part.folder, "overwrite": True, "message": "driftline dashboards apply"}
                _ask(api.dashboard.update_dashboard, {"dashboard": body, **about})
            case "alert rules":
                # Without provenance, so that people can silence or change a rule in the browser; `diff` then says so.
                _ask(api.alertingprovisioning.update_rule_group, body["folderUid"], uid, body, disable_provenance=True)


def _found(call: Callable[..., Any], *about: Any) -> dict[str, Any] | None:
    """Reads one part of Grafana; None where it has no such part."""
    try:
        answer: dict[str, Any] = _ask(call, *about)
    except _Missing:
        return None
    return answer


class _Missing(Unreachable):
    pass


def _ask(call: Callable[..., Any], *about: Any, **options: Any) -> Any:
    from grafana_client.client import GrafanaClientError, GrafanaException
    from niquests.exceptions import RequestException

    try:
        return call(*about, **options)
    except GrafanaClientError as error:
        kind = _Missing if error.status_code == 404 else Unreachable
        raise kind(f"Grafana refuses: {error.message}") from None
    except (GrafanaException, RequestException) as error:
        raise Unreachable(f"Grafana does not answer: {error}") from None


def _client(url: str, token: str) -> Any:
    """A client of Grafana's HTTP API.

    Raises:
        BadInput: the address is none.
    """
    from grafana_client.api import GrafanaApi

    where = urlsplit(url)
    if where.scheme not in ("http", "https") or not where.hostname:
        raise BadInput("dashboards.url: an address such as `https://grafana.example.com`")
    path = where.path.strip("/")
    prefix = f"{path}/" if path else ""
    return GrafanaApi(token, where.hostname, where.port, prefix, where.scheme, timeout=SECONDS)
