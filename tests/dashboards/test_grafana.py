"""`driftline dashboards` against a contract stub of Grafana, by the real client."""

import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from grafana_client.elements import alerting_provisioning, dashboard, datasource, folder
from pydantic import ValidationError
from typer.testing import CliRunner

from driftline import cli
from driftline.contracts import BadInput
from driftline.operations import dashboards
from driftline.operations.context import Context, Unreachable
from driftline.settings import Settings
from tests.dashboards.grafana import ROUTES, TOKEN, Grafana, grafana

PASSWORD = "pg-s3cret"


@pytest.fixture
def it() -> Iterator[Grafana]:
    with grafana() as listening:
        yield listening


def context(it: Grafana, **about: Any) -> Context:
    where = {"url": it.url, "token": TOKEN, "postgres": "postgresql://db:5433/shop", "password": PASSWORD}
    return Context(Settings(dashboards=where | about))


def actions(changes: list[dashboards.BoardChange]) -> dict[str, str]:
    return {change.uid: change.action for change in changes}


BOARDS = ("driftline-operations", "driftline-quality", "driftline-drift", "driftline-cost")


def test_the_stub_knows_the_paths_that_the_client_asks_for() -> None:
    source = "".join(map(inspect.getsource, (alerting_provisioning, dashboard, datasource, folder)))
    for _, path in ROUTES:
        assert f'"{path}"' in source, path


def test_apply_makes_everything_and_a_second_one_writes_nothing(it: Grafana) -> None:
    made = dashboards.apply(context(it))
    assert set(actions(made)) == {"driftline", "driftline-postgres", *BOARDS}
    assert set(actions(made).values()) == {"create"}
    assert [path for _, path in it.written] == [
        "/grafana/api/folders",
        "/grafana/api/datasources",
        *["/grafana/api/dashboards/db"] * 4,
        "/grafana/api/v1/provisioning/folder/driftline/rule-groups/driftline",
    ]
    source = it.sources["driftline-postgres"]
    assert (source["url"], source["user"], source["jsonData"]["database"]) == ("db:5433", "driftline_grafana", "shop")
    assert it.secrets == {"driftline-postgres": {"password": PASSWORD}}
    it.asked.clear()
    assert set(actions(dashboards.apply(context(it))).values()) == {"unchanged"}
    assert it.written == []
    assert {board["version"] for board in it.boards.values()} == {1}


def test_a_dry_run_writes_nothing(it: Grafana) -> None:
    assert set(actions(dashboards.diff(context(it))).values()) == {"create"}
    assert it.written == []


CHANGED: dict[str, Callable[[Grafana], None]] = {
    "driftline-cost": lambda it: it.boards["driftline-cost"]["panels"][0].update(title="mine"),
    "driftline-postgres": lambda it: it.sources["driftline-postgres"].update(user="postgres"),
    "driftline": lambda it: it.folders["driftline"].update(title="mine"),
}


@pytest.mark.parametrize("uid", CHANGED)
def test_what_somebody_changed_is_found_and_mended_and_nothing_else_is_written(it: Grafana, uid: str) -> None:
    dashboards.apply(context(it))
    CHANGED[uid](it)
    found = {change.uid: change for change in dashboards.diff(context(it)) if change.action != "unchanged"}
    assert list(found) == [uid]
    assert found[uid].differs in (["panels[0].title"], ["user"], ["title"])
    it.asked.clear()
    dashboards.apply(context(it))
    assert len(it.written) == 1
    assert set(actions(dashboards.diff(context(it))).values()) == {"unchanged"}


def test_a_changed_threshold_changes_its_rule(it: Grafana) -> None:
    dashboards.apply(context(it))
    settings = context(it).settings.model_copy(update={"notify": Settings(notify={"table_age": "P3D"}).notify})
    found = [change for change in dashboards.diff(Context(settings)) if change.action == "update"]
    assert [(change.kind, change.differs) for change in found] == [
        ("alert rules", ["rules[0].data[1].model.conditions[0].evaluator.params[0]"])
    ]


def test_a_password_is_sent_again_only_when_asked(it: Grafana) -> None:
    dashboards.apply(context(it))
    new = context(it, password="new-s3cret")
    dashboards.apply(new)
    assert it.secrets["driftline-postgres"] == {"password": PASSWORD}
    dashboards.apply(new, password=True)
    assert it.secrets["driftline-postgres"] == {"password": "new-s3cret"}


def test_prometheus_brings_the_board_of_the_workers(it: Grafana) -> None:
    dashboards.apply(context(it, prometheus="http://prometheus:9090"))
    assert it.sources["driftline-prometheus"]["url"] == "http://prometheus:9090"
    assert "driftline-workers" in it.boards
    assert "driftline-prometheus" not in it.secrets or not it.secrets["driftline-prometheus"]


@pytest.mark.parametrize(
    ("about", "error", "said"),
    [
        ({"token": "wrong"}, Unreachable, "Grafana refuses: Unauthorized"),
        ({"url": "http://127.0.0.1:1"}, Unreachable, "Grafana does not answer"),
        ({"url": ""}, BadInput, "dashboards.url"),
        ({"url": "grafana"}, BadInput, "dashboards.url"),
        ({"token": ""}, BadInput, "DRIFTLINE_DASHBOARDS__TOKEN"),
        ({"postgres": ""}, BadInput, "dashboards.postgres"),
    ],
)
def test_what_is_wrong_is_said(it: Grafana, about: dict[str, str], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said) as raised:
        dashboards.apply(context(it, **about))
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("secret", ["token", "password"])
def test_a_secret_in_the_file_is_refused(secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "driftline.toml").write_text(f'[dashboards]\n{secret} = "s3cret"')
    with pytest.raises((ValidationError, ValueError), match=f"DRIFTLINE_DASHBOARDS__{secret.upper()}") as raised:
        Settings()
    assert "s3cret" not in str(raised.value)


def test_the_commands(it: Grafana, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    about = {"url": it.url, "token": TOKEN, "postgres": "postgresql://db/shop", "password": PASSWORD}
    for name, value in about.items():
        monkeypatch.setenv(f"DRIFTLINE_DASHBOARDS__{name.upper()}", value)

    def call(*arguments: str) -> Any:
        return CliRunner().invoke(cli.app, ["dashboards", *arguments])

    assert call("diff").exit_code == 1
    assert call("apply", "--dry-run").exit_code == 0
    assert it.written == []
    assert {change["action"] for change in json.loads(call("apply", "--json").stdout)} == {"create"}
    same = call("diff")
    assert (same.exit_code, same.stdout.count("unchanged")) == (0, 7)
    written = json.loads(call("export", str(tmp_path / "out"), "--json").stdout)
    assert len(written) == 7
    assert all(json.loads(Path(file).read_text()) for file in written)
    exported = "".join(Path(file).read_text() for file in written)
    assert PASSWORD not in exported + same.stdout
    assert TOKEN not in exported + same.stdout
