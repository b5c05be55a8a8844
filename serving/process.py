"""One process of the server. Whoever imports this has imported all that it will need: its parent does, and forks it."""

from collections.abc import Callable
from socket import socket

import uvicorn.lifespan.on  # as the next one, found by its name when a process begins
import uvicorn.loops.uvloop  # noqa: F401
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from driftline.serving.app import make
from driftline.settings import Serving, Settings

DRAIN_SECONDS = 3
"""Requests get so long to end after SIGTERM; then waiting ones are cut off, and ask again elsewhere."""


def listen(asked: Serving) -> socket:
    """Where the processes will listen, which the log says."""
    return _config(asked).bind_socket()


def serve(asked: Serving, sock: socket, alive: Callable[[], None]) -> None:
    """Answer until SIGTERM. The settings are read again, for what is not said by `asked`."""

    async def tell() -> None:
        alive()

    config = _config(asked)
    config.callback_notify, config.timeout_notify = tell, 1
    Server(config).run([sock])


def _config(asked: Serving) -> Config:
    return Config(
        lambda: make(Settings()),
        factory=True,
        host=asked.host,
        port=asked.port,
        loop="uvloop",
        http=HttpToolsProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
