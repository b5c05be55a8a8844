"""Serves the page: `python -m driftline.web --port 8244`, or `driftline web`."""

import contextlib
import socket

import uvicorn

from driftline.operations.context import Context
from driftline.web.app import create_app, served_to_owner_only


def serve(context: Context, host: str, port: int) -> None:
    """Serves the page until SIGTERM or SIGINT; pages that are being made are finished.

    Raises:
        BadInput: a setting of the login is missing.
        OSError: the port is taken.
    """
    app = create_app(context, owner_only=served_to_owner_only(host, context.settings.web.login))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # who the peer is decides whether its header is believed
            timeout_graceful_shutdown=5,
            limit_concurrency=200,
        )
        uvicorn.Server(config).run(sockets=[listening])
