"""Who reaches the embedded Temporal: its owner, and neither another user of this machine nor a page in the owner's browser."""

import ctypes
import errno
import http.client
import http.server
import json
import os
import platform
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from driftline import embedded
from driftline.embedded import processes, temporal
from driftline.embedded.doorman import Doors, Peers

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can try it as another user")


@pytest.fixture(scope="module")
def state() -> Iterator[embedded.State]:
    folder = Path(tempfile.mkdtemp(prefix="driftline-test-"))
    state = embedded.up(folder / "home", postgres=False)
    if state.open_doors:
        embedded.stop(folder / "home")
        shutil.rmtree(folder)
        pytest.skip(f"the doors cannot be shut here: {state.open_doors}")
    yield state
    embedded.stop(folder / "home")
    shutil.rmtree(folder)


def as_nobody(try_it: Callable[[], object]) -> str:
    """What a child process says that belongs to an unprivileged user."""
    entry = pwd.getpwnam("nobody")
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            said = repr(try_it())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(into, said.encode()[:4000])
        os._exit(0)
    os.close(into)
    with os.fdopen(out) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def ask(state: embedded.State, *command: str) -> subprocess.CompletedProcess[str]:
    full = [temporal.binary(), *command, "--address", state.temporal_address, "--command-timeout", "5s"]
    return subprocess.run(full, capture_output=True, text=True, check=False, env={"HOME": "/nonexistent"}, cwd="/")


def page(state: embedded.State, **headers: str) -> str:
    request = urllib.request.Request(f"{state.temporal_ui}/api/v1/namespaces", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"


def test_the_owner_comes_in(state: embedded.State) -> None:
    assert "default" in ask(state, "operator", "namespace", "describe", "-n", "default").stdout
    assert processes.wait_until(lambda: "namespaceInfo" in page(state), 20)  # the UI itself connects when it likes
    assert "namespaceInfo" in page(state, Host=state.temporal_ui.removeprefix("http://").replace("127.0.0.1", "localhost"))


def test_this_server_has_no_lock_of_its_own() -> None:
    """Why a network and the kernel guard it. A version that takes certificates, tokens or an authorizer fails here: use them."""
    offered = subprocess.run(
        [temporal.binary(), "server", "start-dev", "--help"], capture_output=True, text=True, check=True
    ).stdout
    flags = set(
        re.findall(r"^ +(?:-\w, )?--([\w-]+)", offered.partition("Flags:")[2].partition("Global Flags:")[0], re.MULTILINE)
    )
    assert {"db-filename", "ip", "dynamic-config-value"} <= flags
    assert not [flag for flag in flags if re.search("tls|cert|auth|jwt|claim|key|token", flag)]


def listening(state: embedded.State) -> set[int]:
    """The ports of this machine that lead to the server."""
    assert state.temporal is not None
    started = psutil.Process(state.temporal.pid)
    return {c.laddr.port for p in (started, *started.children()) for c in p.net_connections() if c.status == "LISTEN"}


def test_nothing_listens_that_was_not_asked_for(state: embedded.State) -> None:
    assert listening(state) == {state.ports["temporal"], state.ports["ui"]}


@needs_root
def test_another_user_is_turned_away(state: embedded.State) -> None:
    list_runs = ["workflow", "list"]
    start = ["workflow", "start", "--type", "FineTune", "--task-queue", "driftline-workflows", "--input", "{}"]
    signal = ["workflow", "signal", "--workflow-id", "w", "--name", "verdict", "--input", '{"decision": "approve"}']
    for command in (list_runs, start, signal):
        said = as_nobody(lambda command=command: (lambda done: (done.returncode, done.stderr[-300:]))(ask(state, *command)))  # type: ignore[misc]
        assert said.startswith("(1, "), said
        assert "closed" in said or "EOF" in said or "connect" in said or "deadline" in said, said
    said = as_nobody(lambda: page(state))
    assert "namespaceInfo" not in said
    assert "Error" in said or "RemoteDisconnected" in said, said


@needs_root
def test_a_socket_that_was_closed_is_nobodys() -> None:
    """The kernel shows it as root's: whoever sends and hangs up at once would be let in."""
    peers = Peers()
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = server.getsockname()

        def hang_up() -> object:
            client = socket.create_connection(ours)
            client.sendall(b"hello")
            theirs = client.getsockname()
            client.close()
            return list(theirs)

        theirs = json.loads(as_nobody(hang_up).replace("'", '"'))
        accepted, _ = server.accept()
        with accepted:
            assert accepted.recv(5) == b"hello"
            assert peers.uid((theirs[0], theirs[1]), ours) is None


def test_whose_a_connection_is() -> None:
    peers = Peers()
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = server.getsockname()
        with socket.create_connection(ours) as client:
            assert peers.uid(client.getsockname(), ours) == os.getuid()
        with socket.socket(socket.AF_INET6) as client:
            client.connect(("::ffff:127.0.0.1", ours[1]))
            theirs = client.getsockname()
            assert peers.uid(("127.0.0.1", theirs[1]), ours) == os.getuid()


def request(**fields: str) -> bytes:
    given = {"Host": "127.0.0.1:8233"} | {name.replace("_", "-"): value for name, value in fields.items()}
    lines = [f"{name}: {value}" for name, value in given.items()]
    return "\r\n".join(["GET / HTTP/1.1", *lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("head", "passes"),
    [
        (request(), True),
        (request(Host="localhost:8233"), True),
        (request(Host="LOCALHOST:8233", Origin="http://localhost:8233", Sec_Fetch_Site="same-origin"), True),
        (request(Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document"), True),  # a link to it
        (request(Host="evil.example:8233"), False),
        (request(Host="127.0.0.1"), False),
        (request(Origin="http://evil.example"), False),
        (request(Origin="http://127.0.0.1:9999"), False),
        (request(Origin="null"), False),
        (request(Sec_Fetch_Site="same-site", Sec_Fetch_Mode="no-cors", Sec_Fetch_Dest="empty"), False),
        (request(Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="iframe"), False),
        (request(host="127.0.0.1:8233"), False),  # two of them
        (b"GET / HTTP/1.1\r\n\r\n", False),
    ],
)
def test_which_pages_may_ask(head: bytes, passes: bool) -> None:
    assert (Doors("127.0.0.1", 8233).refusal(head) is None) == passes


UNSHARE = {"x86_64": 272, "aarch64": 97}
"""The number of the system call that makes a network of its own."""


class Filter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filters", ctypes.POINTER(Filter))]


def without_namespaces() -> None:
    """From now on the kernel permits this process and its children no namespace, as in many a container (seccomp)."""
    number = UNSHARE[platform.machine()]
    load, equals, answer = 0x20, 0x15, 0x06
    refuse, allow = Filter(answer, 0, 0, 0x00050000 | errno.EPERM), Filter(answer, 0, 0, 0x7FFF0000)
    filters = (Filter * 4)(Filter(load, 0, 0, 0), Filter(equals, 0, 1, number), refuse, allow)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.byref(Program(4, filters)), 0, 0) == 0


@pytest.mark.skipif(platform.machine() not in UNSHARE, reason="the system call's number is not known here")
def test_where_no_door_can_be_shut_up_says_which_and_for_whom(tmp_path: Path, postgres_url: str) -> None:
    """A kernel that permits no network of its own, really: what then stands open is said, and no more stands open."""
    home = tmp_path / "home"
    env = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE_")}
    env |= {"DRIFTLINE_HOME": str(home), "DRIFTLINE_POSTGRES_URL": postgres_url, "COLUMNS": "400"}

    def driftline(*arguments: str) -> str:
        command = [sys.executable, str(ROOT / "cli.py"), *arguments]
        options: dict[str, Any] = {"env": env, "cwd": tmp_path, "capture_output": True, "text": True, "timeout": 120}
        done = subprocess.run(command, preexec_fn=without_namespaces, check=False, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return " ".join(done.stdout.split())

    try:
        for said in (driftline("up", "--no-worker"), driftline("status")):
            assert "every user of this machine reaches Temporal" in said
            assert "decides reviews in any name (no network of its own: Operation not permitted)" in said
        assert json.loads(driftline("status", "--json"))["open_doors"] == "no network of its own: Operation not permitted"
        state = embedded.status(home)
        listed = ask(state, "workflow", "list")
        assert listed.returncode == 0
        if os.geteuid() == 0:
            said = as_nobody(lambda: ask(state, "workflow", "list").returncode)
            assert said == "0"  # as it says
        others = listening(state) - {state.ports["temporal"], state.ports["ui"]}
        assert others  # among them the HTTP API, which takes requests of any page elsewhere
        for port in others:
            for host in (f"127.0.0.1:{port}", "localhost", "evil.example"):
                request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/namespaces", headers={"Host": host})
                with pytest.raises((OSError, http.client.HTTPException)):
                    urllib.request.urlopen(request, timeout=5)
    finally:
        embedded.stop(home)


ATTACK = """<script>
const tried = async () => {
  const said = {};
  for (const port of PORTS) {
    for (const host of ["127.0.0.1", "localhost", "evil.example"]) {
      const runs = `http://${host}:${port}/api/v1/namespaces/default/workflows`;
      const verdict = {gate_id: "open", decision: "approve", reviewer: "ada", reason: "fine", known_by: "login"};
      const tries = [
        [`${runs}/attack`, {workflowType: {name: "FineTune"}, taskQueue: {name: "driftline-workflows"}}],
        [`${runs}/victim/signal/verdict`, {input: [verdict], identity: "ada"}],
        [`${runs}/victim/update/verdict`, {request: {input: {name: "verdict", args: [verdict]}}}],
      ];
      for (const [url, body] of tries) {
        for (const mode of ["no-cors", "cors"]) {
          const headers = {"Content-Type": "text/plain"};
          try {
            const answer = await fetch(url, {method: "POST", mode, headers, body: JSON.stringify(body)});
            said[`${url} ${mode}`] = `${answer.type} ${answer.status} ${await answer.text()}`;
          } catch (error) { said[`${url} ${mode}`] = String(error); }
        }
      }
      try { said[`${host}:${port} read`] = await (await fetch(`http://${host}:${port}/api/v1/namespaces`)).text(); }
      catch (error) { said[`${host}:${port} read`] = String(error); }
    }
  }
  await fetch("/said", {method: "POST", body: JSON.stringify(said)});
};
tried();
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_page_in_the_owners_browser_is_turned_away(state: embedded.State, tmp_path: Path) -> None:
    """From another local origin, on every port, and by a name that is bound to this machine once the page is loaded.

    It starts a run, and signals a verdict with a claimed name and a claimed login to one that waits.
    """
    assert ask(state, "workflow", "start", "--type", "W", "--task-queue", "q", "--workflow-id", "victim").returncode == 0
    said: list[dict[str, str]] = []
    done = threading.Event()
    script = ATTACK.replace("PORTS", json.dumps(sorted(listening(state))))

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(script.encode())

        def do_POST(self) -> None:
            said.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            done.set()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    assert CHROMIUM is not None
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={tmp_path}"]
    # Without the guard that only some browsers have.
    options += ["--host-resolver-rules=MAP evil.example 127.0.0.1", "--disable-features=LocalNetworkAccessChecks"]
    browser = subprocess.Popen(
        [CHROMIUM, *options, f"http://evil.example:{server.server_address[1]}/"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert done.wait(90), "the page did not run"
    finally:
        os.killpg(browser.pid, 9)
        browser.wait()
        server.shutdown()
    answers = said[0]
    assert len(answers) == 3 * 7 * len(listening(state))
    assert not [answer for answer in answers.values() if "namespaceInfo" in answer or "runId" in answer], answers
    described = ask(state, "workflow", "describe", "--workflow-id", "attack")
    assert described.returncode != 0
    assert "not found" in described.stderr
    history = ask(state, "workflow", "show", "--workflow-id", "victim", "--output", "json").stdout
    assert "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED" in history
    assert "SIGNALED" not in history
    assert "UPDATE" not in history
    assert ask(state, "workflow", "signal", "--workflow-id", "victim", "--name", "verdict").returncode == 0
    assert "SIGNALED" in ask(state, "workflow", "show", "--workflow-id", "victim", "--output", "json").stdout
    bound = f"http://evil.example:{state.ports['ui']}/api/v1/namespaces"
    read = subprocess.run([CHROMIUM, *options, "--dump-dom", bound], capture_output=True, text=True, timeout=600, check=False)
    assert "not under this name" in read.stdout
    assert "namespaceInfo" not in read.stdout
