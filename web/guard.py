"""Who is asking, whether they may, and whether they mean it: the way to every page but the login."""

import hmac
import ipaddress
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from driftline.contracts import KnownBy, Name
from driftline.operations.context import Context
from driftline.settings import Web
from driftline.web import page
from driftline.web.people import Person, Role, person

Page = Callable[[Request], Response | Awaitable[Response]]
GROUPS = 200
"""Of one person, that a login remembers: a cookie has little room."""

_name = TypeAdapter[str](Name)


class UnknownPerson(ValueError):
    """The request's sender cannot be authenticated; the message says why."""


def asking(request: Request) -> Person | None:
    """Authenticates a request: its person, or None if they have not logged in.

    Raises:
        UnknownPerson: a proxy was bypassed, or says no name.
    """
    web = context(request).settings.web
    if web.login == "proxy":
        return _proxied(request, web)
    session = request.session
    known_by: KnownBy = "login" if web.login == "token" else "oidc"
    if "name" not in session or session.get("known_by") != known_by:
        return None
    return person(session["name"], session.get("groups", ()), known_by, web)


def context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


def log_in(request: Request, name: str, groups: tuple[str, ...], known_by: KnownBy) -> None:
    """Begin a session, a new one: what a browser brought along is forgotten.

    Raises:
        UnknownPerson: the name is not one bounded line of printable text.
    """
    request.session.clear()
    request.session.update(name=checked(name), groups=groups[:GROUPS], known_by=known_by, csrf=secrets.token_urlsafe(24))


def checked(name: str) -> str:
    try:
        return _name.validate_python(name)
    except ValidationError:
        raise UnknownPerson("the name of this login is empty, longer than 200 characters or not printable") from None


def guarded(endpoint: Page, role: Role = "viewer") -> Page:
    """A page for those who have logged in and have this role; of a form also that it is one of ours."""

    async def answer(request: Request) -> Response:
        try:
            who = asking(request)
        except UnknownPerson as refused:
            return page.say(request, 403, "You cannot come in", str(refused))
        if who is None:
            if request.method != "GET":
                return page.say(request, 403, "You are not logged in", "Your login has ended. Log in, then look again.")
            wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?next={quote(wanted)}", 303)
        request.state.person = who
        request.session.setdefault("csrf", secrets.token_urlsafe(24))
        if not who.may(role):
            return page.say(request, 403, "You may not do this", _lacking(who, role))
        if request.method == "POST":
            form = await request.form(max_files=0, max_fields=20)
            request.state.form = {name: value for name, value in form.items() if isinstance(value, str)}
            if forged(request):
                return page.say(request, 403, "Nothing was done", "The form is not of this login. Look again, then decide.")
        return await _call(endpoint, request)

    return answer


def forged(request: Request) -> bool:
    """Whether a form was not made by this page for this login."""
    origin = request.headers.get("origin")
    elsewhere = request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    web = context(request).settings.web
    ours = {str(request.base_url).rstrip("/"), web.url.rstrip("/")}
    if elsewhere or (origin is not None and origin not in ours):
        return True
    given, held = str(request.state.form.get("csrf", "")), str(request.session.get("csrf", ""))
    return not held or not hmac.compare_digest(given.encode(), held.encode())


async def _call(endpoint: Page, request: Request) -> Response:
    if page.is_async(endpoint):
        found: Response = await endpoint(request)  # type: ignore[misc]
        return found
    return await run_in_threadpool(endpoint, request)  # type: ignore[arg-type]


def _proxied(request: Request, web: Web) -> Person:
    peer = request.client.host if request.client else ""
    if not any(_within(peer, entry) for entry in web.proxies):
        raise UnknownPerson("come through the proxy that logs people in: this address is not one of web.proxies")
    names = request.headers.getlist(web.user_header)
    if len(names) != 1:
        raise UnknownPerson(f"the proxy has to send {web.user_header} once")
    groups = [group.strip() for value in request.headers.getlist(web.groups_header) for group in value.split(",")]
    return person(checked(names[0]), [group for group in groups if group], "proxy", web)


def _within(peer: str, entry: str) -> bool:
    try:
        return ipaddress.ip_address(peer) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _lacking(who: Person, role: Role) -> str:
    setting = {"viewer": "web.viewers", "reviewer": "web.reviewers", "operator": "web.operators"}[role]
    return f"{who.name} is not among {setting} or those who may do more. Whoever runs Driftline can change that."
