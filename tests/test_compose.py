"""docker-compose.yml against the code: no Docker engine is needed to know that what it names exists."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from driftline import cli, worker
from driftline.settings import SECRETS, Settings
from driftline.system import healthy

ROOT = Path(__file__).parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("build", {}).get("context") == "."}


def test_every_role_has_one_worker() -> None:
    commands = [service["command"] for service in OURS.values() if service["command"][0] == "python"]
    assert all(command[1:4] == ["-m", "driftline.worker", "--role"] for command in commands)
    assert sorted(command[4] for command in commands) == sorted(worker.ROLES)


def test_roles_that_do_not_compute_have_an_image_without_torch() -> None:
    targets = {name: service["build"]["target"] for name, service in OURS.items()}
    assert {name for name, target in targets.items() if target == "light"} == {
        *("prune", "serve", "set-up", "web"),
        *("worker-workflows", "worker-db", "worker-notify"),
    }
    for name, service in OURS.items():
        assert service["image"].endswith("-light") == (targets[name] == "light")
    stages = re.findall(r"^FROM \S+ AS (\w+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert stages == ["light", "full"]
    light, full = re.findall(r"^RUN pip install .*-e '\.\[(.*)\]'", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert (light, full) == ("notify,report,serve,web", "report,serve,weights")


def test_driftline_commands_and_their_options_exist() -> None:
    root = get_command(cli.app)
    for service in OURS.values():
        if service["command"][0] == "driftline":
            _, name, *options = service["command"]
            known = {flag for p in root.commands[name].params for flag in (*p.opts, *p.secondary_opts)}  # type: ignore[attr-defined]
            assert set(options) <= known


def test_every_variable_is_a_setting() -> None:
    for service in OURS.values():
        for variable in service["environment"]:
            first = variable.removeprefix("DRIFTLINE_").lower().split("__")[0]
            assert variable.startswith("DRIFTLINE_")
            assert first in Settings.model_fields, variable


def test_settings_accept_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in OURS["worker-train"]["environment"].items():
        monkeypatch.setenv(variable, re.sub(r"\$\{[^}]*\}", "x", str(value)))
    settings = Settings()
    assert (settings.metrics_host, settings.metrics_port) == ("0.0.0.0", 9464)
    assert settings.drain.total_seconds() < 120  # stop_grace_period


def test_our_services_are_not_root_and_write_to_nothing_but_the_state_and_temporary_files() -> None:
    """Postgres', Temporal's and the UI's images come with users of their own."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    for stage in dockerfile.split("FROM ")[1:]:
        assert re.findall(r"^USER (\w+)$", stage, re.MULTILINE)[-1] == "driftline"
    for name, service in OURS.items():
        assert (service["user"], service["read_only"], service["tmpfs"]) == ("driftline", True, ["/tmp"]), name
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"]), name
        assert not service.get("privileged")
        writable = [volume for volume in service["volumes"] if not volume.endswith(":ro")]
        volume = "serving" if name == "serve" else "state"
        assert writable == [f"{volume}:{service['environment']['DRIFTLINE_HOME']}"], name


def test_ports_are_published_on_loopback_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 7
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_addresses_inside_name_a_service_and_its_port() -> None:
    environment = OURS["set-up"]["environment"]
    for address in (environment["DRIFTLINE_POSTGRES_URL"].rsplit("@", 1)[1], environment["DRIFTLINE_TEMPORAL_ADDRESS"]):
        host, port = re.fullmatch(r"([\w-]+):(\d+)(?:/\w+)?", address).groups()  # type: ignore[union-attr]
        assert f"127.0.0.1:{port}:{port}" in SERVICES[host]["ports"]


def test_no_secret_is_written_down() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for line in text.splitlines():
        if re.search(r"PASSWORD|PWD", line) and ":" in line and not line.lstrip().startswith("#"):
            assert re.search(r"\$\{\w*PASSWORD:(\?|-\})", line) or "$$" in line, line


def test_waits_are_for_services_that_have_what_is_waited_for() -> None:
    for name, service in SERVICES.items():
        for other, wait in service.get("depends_on", {}).items():
            assert other in SERVICES, f"{name} waits for {other}"
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other]


def test_a_worker_is_asked_whether_it_polls() -> None:
    for service in OURS.values():
        if service["command"][0] == "python":
            assert service["healthcheck"]["test"] == ["CMD", "python", "-m", healthy.__name__]
            assert service["environment"]["DRIFTLINE_METRICS_PORT"].isdecimal()


def test_serving_may_only_read_and_is_asked_at_its_own_port() -> None:
    serve = OURS["serve"]
    assert serve["environment"]["DRIFTLINE_POSTGRES_URL"].endswith("?options=-c%20role%3Ddriftline_reader")
    assert f":{Settings().serving.port}/healthz" in serve["healthcheck"]["test"][-1]
    assert f"127.0.0.1:{Settings().serving.port}:{Settings().serving.port}" in serve["ports"]


def test_the_page_is_asked_at_its_own_port_and_has_its_secrets_from_the_environment() -> None:
    web = OURS["web"]
    assert f":{Settings().web.port}/health" in web["healthcheck"]["test"][-1]
    assert f"127.0.0.1:{Settings().web.port}:{Settings().web.port}" in web["ports"]
    for name in SECRETS["web"]:
        variable = f"DRIFTLINE_WEB__{name}".upper()
        assert web["environment"][variable] == f"${{{variable}:-}}"


def test_image_has_every_module_of_the_project() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = {word for line in dockerfile.splitlines() if line.startswith("COPY") for word in line.split()[1:-1]}
    links = {link.name for link in (ROOT / "driftline").iterdir() if link.is_symlink()}
    assert {"driftline", *links} <= copied
    assert all((ROOT / name).exists() for name in copied)


OLDEST = (2, 24)
"""`env_file` with `required: false` came with it."""
ALL_PROFILES = ("--profile", "*")


@pytest.fixture(scope="module")
def compose() -> list[str]:
    """A Compose client. It reads files without an engine."""
    for client in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(client[0]):
            told = subprocess.run([*client, "version", "--short"], capture_output=True, text=True, check=False)
            found = re.match(r"v?(\d+)\.(\d+)", told.stdout)
            if found and (int(found[1]), int(found[2])) >= OLDEST:
                return client
    pytest.skip("no Compose client of 2.24 or later here, as `docker compose` or `docker-compose`")


def read_by(client: list[str], profiles: tuple[str, ...], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The file as the client has it, from a folder without `.env`."""
    command = [*client, "--project-directory", str(folder), "-f", str(ROOT / "docker-compose.yml"), *profiles]
    known = {"PATH": os.environ["PATH"], "HOME": str(folder), **environment}
    return subprocess.run([*command, "config"], capture_output=True, text=True, check=False, env=known)


@pytest.mark.parametrize(("profiles", "but"), [(ALL_PROFILES, set()), ((), {"grafana", "grafana-login", "prometheus"})])
def test_compose_reads_the_file(compose: list[str], profiles: tuple[str, ...], but: set[str], tmp_path: Path) -> None:
    made = read_by(compose, profiles, tmp_path, POSTGRES_PASSWORD="p4ss")
    assert (made.returncode, made.stderr) == (0, "")
    services = yaml.safe_load(made.stdout)["services"]
    assert set(services) == set(SERVICES) - but
    assert services["web"]["environment"]["DRIFTLINE_POSTGRES_URL"] == "postgresql://driftline:p4ss@postgres:5432/driftline"


def test_compose_asks_for_the_password(compose: list[str], tmp_path: Path) -> None:
    made = read_by(compose, ALL_PROFILES, tmp_path)
    assert made.returncode
    assert "set POSTGRES_PASSWORD" in made.stderr
