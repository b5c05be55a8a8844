"""Runs Temporal's development server where nobody reaches it, and lets in who belongs there.

    python -m driftline.embedded.doorman --host 127.0.0.1 --grpc 7233 --ui 8233 -- temporal server start-dev …

The development server knows no password, and opens more ports than it is asked for. So it runs in a network of its own. Two ports
of this machine lead there, and both ask the kernel whose the connection is: only the user who started this, and root, come in.
The port of the web UI also asks the browser where the page is from, for a page of anybody's runs as the user who opened it.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable

from driftline.embedded import namespaces
from driftline.system.processes import die_with_parent

HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""How a gRPC connection begins; no browser sends it without TLS."""
HEAD_BYTES = 65536
HEAD_SECONDS = 20
STOP_SECONDS = 15
ESTABLISHED = b"01"

Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Address = tuple[str, int]


class Peers:
    """Whose a connection is, by the kernel's table of the network in which this was made."""

    def __init__(self) -> None:
        self.tables = [os.open(f"/proc/self/net/{name}", os.O_RDONLY) for name in ("tcp", "tcp6") if _readable(name)]

    def uid(self, theirs: Address, ours: Address) -> int | None:
        """The user who opened the socket at the other end and still has it; None if nobody does."""
        wanted = {(_hex(theirs, mapped), _hex(ours, mapped)) for mapped in (False, True)}
        for _ in range(3):  # the table is read in parts, and may change in between
            for table in self.tables:
                for line in _lines(table):
                    _, local, remote, state, _, _, _, uid, _, inode, *_ = line.split()
                    # A socket that was closed is shown as root's.
                    if (local, remote) in wanted and state == ESTABLISHED and inode != b"0":
                        return int(uid)
        return None


class Doors:
    """Two ports, and who may pass."""

    def __init__(self, host: str, ui: int) -> None:
        self.peers = Peers()
        self.allowed = {os.getuid(), 0}
        self.hosts = {f"{host}:{ui}".encode(), f"localhost:{ui}".encode()}

    async def grpc(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        """Reads what to hand on first; None closes the door."""
        begun = await reader.readexactly(len(HTTP2))
        return begun if begun == HTTP2 else None

    async def ui(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        head = await reader.readuntil(b"\r\n\r\n")
        refused = self.refusal(head)
        if refused:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n" + refused + b"\n")
            return None
        return _one_request(head)

    def refusal(self, head: bytes) -> bytes | None:
        """Refuses a request of another origin, or under a name that is not ours (DNS rebinding); None: it may pass."""
        method = head.split(b" ", 1)[0]
        fields = _fields(head)
        hosts = [value for name, value in fields if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self.hosts:
            return b"not under this name"
        known = dict(fields)
        if known.get(b"origin", b"null" if b"origin" in known else None) not in {None, *(b"http://" + h for h in self.hosts)}:
            return b"not from another origin"
        link = method == b"GET" and known.get(b"sec-fetch-mode") == b"navigate" and known.get(b"sec-fetch-dest") == b"document"
        if known.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin") and not link:
            return b"not from another site"
        return None

    def door(
        self, to: Address, begins: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes | None]]
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
                theirs, ours = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
                if self.peers.uid(theirs, ours) in self.allowed:
                    first = await asyncio.wait_for(begins(reader, writer), HEAD_SECONDS)
                    if first is not None:
                        await _relay((reader, writer), await asyncio.open_connection(*to), first)
            with contextlib.suppress(OSError):
                writer.close()
                await writer.wait_closed()

        return answer


async def _relay(outside: Pipe, inside: Pipe, first: bytes) -> None:
    """Copies both ways until the inside has said everything."""
    inside[1].write(first)
    onward = asyncio.ensure_future(_copy(outside[0], inside[1]))
    try:
        await _copy(inside[0], outside[1])
    finally:
        onward.cancel()
        inside[1].close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        if writer.can_write_eof():
            writer.write_eof()


def _fields(head: bytes) -> list[tuple[bytes, bytes]]:
    pairs = (line.partition(b":") for line in head.split(b"\r\n")[1:] if line)
    return [(name.strip().lower(), value.strip().lower()) for name, _, value in pairs]


def _one_request(head: bytes) -> bytes:
    """The same request as the last of its connection, so that none passes unseen."""
    first, *fields = head.rstrip(b"\r\n").split(b"\r\n")
    kept = [field for field in fields if field.partition(b":")[0].strip().lower() not in (b"connection", b"keep-alive")]
    return b"\r\n".join([first, *kept, b"Connection: close", b"", b""])


def _readable(name: str) -> bool:
    return os.access(f"/proc/self/net/{name}", os.R_OK)


def _lines(table: int) -> list[bytes]:
    os.lseek(table, 0, os.SEEK_SET)
    parts = iter(lambda: os.read(table, 1 << 20), b"")
    return b"".join(parts).splitlines()[1:]


def _hex(address: Address, mapped: bool) -> bytes:
    """Writes an address as the kernel does: `0100007F:1F90`; `mapped`: an IPv4 address of an IPv6 socket."""
    ip = socket.inet_aton(address[0])[::-1].hex().upper()
    return f"{'0000000000000000FFFF0000' if mapped else ''}{ip}:{address[1]:04X}".encode()


async def _serve(doors: Doors, sockets: dict[str, socket.socket], command: list[str]) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
    for name, begins in (("grpc", doors.grpc), ("ui", doors.ui)):
        to = sockets[name].getsockname()  # the same address in the other network
        await asyncio.start_server(doors.door(to, begins), sock=sockets[name], limit=HEAD_BYTES)
    ended, asked = asyncio.ensure_future(server.wait()), asyncio.ensure_future(stop.wait())
    await asyncio.wait([ended, asked], return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        server.terminate()
        await asyncio.wait([ended], timeout=STOP_SECONDS)
    if not ended.done():
        server.kill()
    return await server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", required=True)
    parser.add_argument("--grpc", type=int, required=True)
    parser.add_argument("--ui", type=int, required=True)
    parser.add_argument("--try", action="store_true", dest="trial", help="only say whether this machine lets us")
    parser.add_argument("command", nargs="*")
    asked = parser.parse_args()
    doors = Doors(asked.host, asked.ui)
    sockets = {name: socket.create_server((asked.host, getattr(asked, name))) for name in ("grpc", "ui")}
    try:
        namespaces.own_network()
    except OSError as error:
        sys.exit(f"no network of its own: {error.strerror}")
    if not asked.trial:
        sys.exit(asyncio.run(_serve(doors, sockets, asked.command)))


if __name__ == "__main__":
    main()
