"""A web hook on loopback, which takes what it is sent, refuses it, or hangs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.loopback import Quiet, listening


@dataclass
class Hook:
    """
    Attributes:
        got: the JSON of each request, by path.
        answer: `take`, `refuse`, `move` (a redirect), `hang` until the hook is closed, or `drip` bytes until then.
    """

    port: int = 0
    answer: str = "take"
    got: list[tuple[str, Any]] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "token-s3cret") -> str:
        return f"json://127.0.0.1:{self.port}/{path}"


@contextmanager
def hook(answer: str = "take") -> Iterator[Hook]:
    """Listens until the block ends."""
    it = Hook(answer=answer)

    class Handler(Quiet):
        def do_POST(self) -> None:
            it.got.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            if it.answer == "hang":
                it.closed.wait()
                return
            status, headers = {"refuse": (503, {}), "move": (302, {"Location": "/elsewhere"})}.get(it.answer, (200, {}))
            self.send_response(status)
            for name, value in {"Content-Length": "0" if it.answer != "drip" else "99", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            while it.answer == "drip" and not it.closed.wait(0.2):
                self.wfile.write(b".")

    with listening(Handler) as it.port:
        try:
            yield it
        finally:
            it.closed.set()
