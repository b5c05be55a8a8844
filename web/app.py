"""The application: which page is where, and who may see it."""

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from driftline.contracts import BadInput
from driftline.operations import reviews
from driftline.operations.context import Context, Unreachable
from driftline.web import login, page
from driftline.web.doors import Headed, OwnerOnly, host_names
from driftline.web.guard import guarded
from driftline.web.pages import channels, experiments, explore, review, runs, tables, updates, waiting

WARM_SECONDS = 60.0


def create_app(context: Context, *, owner_only: bool = False) -> Starlette:
    """Builds the page's application: its middleware and its routes.

    Args:
        owner_only: turn other users of this machine away, whatever they bring.

    Raises:
        BadInput: a setting of the login is missing.
    """
    web = context.settings.web
    secure = web.url.startswith("https://")
    middleware = [
        Middleware(Headed),
        Middleware(TrustedHostMiddleware, allowed_hosts=host_names(web), www_redirect=False),
        *([Middleware(OwnerOnly)] if owner_only else []),
        Middleware(
            SessionMiddleware,
            secret_key=web.session_secret or secrets.token_urlsafe(32),
            session_cookie="__Host-driftline" if secure else "driftline",
            max_age=int(web.session.total_seconds()),
            same_site="lax",
            https_only=secure,
        ),
    ]
    app = Starlette(
        routes=ROUTES,
        middleware=middleware,
        lifespan=_lifespan,
        exception_handlers={BadInput: _not_found, HTTPException: _http, Unreachable: _unreachable, Exception: _fault},
    )
    app.state.context = context
    if web.login == "oidc":
        app.state.oauth = login.register(web)
    if web.login == "proxy" and not web.proxies:
        raise BadInput("web.login = 'proxy' needs the addresses of the proxies in web.proxies")
    return app


OPEN: list[BaseRoute] = [
    Route("/login", login.login),
    Route("/login/oidc", login.begin),
    Route("/login/callback", login.callback),
    Route("/health", lambda request: PlainTextResponse("ok")),
    Mount("/static", StaticFiles(directory=page.HERE / "static")),
]
"""For whoever comes."""
GUARDED: list[BaseRoute] = [
    Route("/", guarded(waiting.index)),
    Route("/reviews/{review}", guarded(review.show)),
    Route("/reviews/{review}", guarded(review.decide, "reviewer"), methods=["POST"]),
    Route("/channels", guarded(channels.index)),
    Route("/channels/{channel:path}/rollback", guarded(channels.ask, "operator")),
    Route("/channels/{channel:path}/rollback", guarded(channels.roll_back, "operator"), methods=["POST"]),
    Route("/tables", guarded(tables.index)),
    Route("/tables/{version:int}", guarded(tables.show)),
    Route("/tables/{version:int}/revoke", guarded(tables.ask_revoke, "reviewer")),
    Route("/tables/{version:int}/revoke", guarded(tables.revoke, "reviewer"), methods=["POST"]),
    Route("/changes", guarded(tables.changes)),
    Route("/changes.csv", guarded(tables.changes_csv)),
    Route("/experiments", guarded(experiments.index)),
    Route("/experiments/{name}", guarded(experiments.show)),
    Route("/updates", guarded(updates.index)),
    Route("/runs", guarded(runs.index)),
    Route("/runs/events", guarded(runs.events)),
    Route("/explore", guarded(explore.index)),
    Route("/logout", guarded(login.logout), methods=["POST"]),
]
ROUTES = [*OPEN, *GUARDED]


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    context: Context = app.state.context
    await asyncio.to_thread(lambda: context.engine)
    await asyncio.to_thread(page.load)
    keeping = asyncio.create_task(_keep_warm(context))
    yield
    keeping.cancel()


async def _keep_warm(context: Context) -> None:
    """Read what the open reviews compare before somebody asks: of 761 clusters it takes a second the first time."""
    while True:
        try:
            await asyncio.to_thread(_warm, context)
        except Exception:  # the page will say what is wrong
            logging.getLogger(__name__).warning("the tables of open reviews could not be read", exc_info=True)
        await asyncio.sleep(WARM_SECONDS)


def _warm(context: Context) -> None:
    for open_review in reviews.waiting(context):
        review.changes_of(context, open_review)


def _not_found(request: Request, error: Exception) -> Response:
    return page.say(request, 404, "There is no such thing", str(error))


def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return page.say(request, status, "There is no such page" if status == 404 else "This cannot be done", f"HTTP {status}")


def _unreachable(request: Request, error: Exception) -> Response:
    return page.say(request, 503, "A server does not answer", str(error))


def _fault(request: Request, error: Exception) -> Response:
    """What happened is in the log, and not on the page: it may quote an address or a password."""
    return PlainTextResponse("something went wrong; the log of the page has it", 500)


def served_to_owner_only(host: str, login_by: str) -> bool:
    """Whether the kernel can and should say whose a connection is."""
    return login_by == "token" and host in ("127.0.0.1", "localhost", "::1") and os.path.exists("/proc/self/net/tcp")
