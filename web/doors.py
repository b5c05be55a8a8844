"""What every request passes before a page sees it, and what every answer says to the browser."""

import ipaddress
import os
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from driftline.embedded.doorman import Peers
from driftline.settings import Web

BODY_BYTES = 65_536
"""The longest form is a reason of 2,000 characters."""
POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
SAID = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def host_names(web: Web) -> list[str]:
    """Names by which a browser may come: another's page that is bound to this address later (DNS rebinding) comes by its own."""
    own = ["127.0.0.1", "localhost", "[::1]", "::1"]
    if web.url:
        return [urlsplit(web.url).hostname or "", *own]
    return own


class Headed:
    """Says to the browser what a page may load, and keeps pages out of caches; refuses bodies that no form of ours has."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAID.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if scope["method"] not in ("GET", "HEAD"):
            length = Headers(scope=scope).get("content-length", "")
            if not length.isdecimal() or int(length) > BODY_BYTES:
                return await PlainTextResponse("too long", 413)(scope, receive, headed)
        await self.app(scope, receive, headed)


class OwnerOnly:
    """Closes the door on loopback to other users of this machine, as the embedded Temporal does.

    A login's cookie goes to every port of a host, so one that another user listens on could catch it; it would be of no use.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.peers, self.allowed = app, Peers(), {os.getuid(), 0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not await run_in_threadpool(self._lets_in, scope):
            return await PlainTextResponse("this page is of another user of this machine", 403)(scope, receive, send)
        await self.app(scope, receive, send)

    def _lets_in(self, scope: Scope) -> bool:
        theirs, ours = scope.get("client"), scope.get("server")
        if not theirs or not ours or not self.peers.tables or not ipaddress.ip_address(theirs[0]).is_loopback:
            return not self.peers.tables
        return self.peers.uid(tuple(theirs), tuple(ours)) in self.allowed
