"""The ways in that begin a session: a one-time link, and OpenID Connect. Each ends in one, or in a page that says why not."""

from authlib.integrations.starlette_client import OAuth, OAuthError
from joserfc.errors import JoseError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from driftline.contracts import BadInput
from driftline.embedded import tokens
from driftline.settings import Web
from driftline.web import guard, page

SIGNED = ("RS", "PS", "ES", "Ed")
"""Beginnings of the signature algorithms that only the provider can make."""


def login(request: Request) -> Response:
    """Lets in who brings a token of `driftline web open`; sends others on to the provider, or to a word on how to get in."""
    web = guard.context(request).settings.web
    if "next" in request.query_params or "next" not in request.session:
        request.session["next"] = within(request.query_params.get("next", "/"))
    if web.login == "oidc" and "next" in request.query_params:
        return RedirectResponse("/login/oidc", 303)
    if web.login == "token" and (token := request.query_params.get("token")):
        name = tokens.redeem(guard.context(request).settings.home, token)
        if name is None:
            return page.render(request, "login.html", 403, used=True, issuer="")
        return _in(request, name, (), "login")
    return page.render(request, "login.html", used=False, issuer=web.issuer)


def logout(request: Request) -> Response:
    request.session.clear()
    return RedirectResponse("/login", 303)


async def begin(request: Request) -> Response:
    """Sends a browser to the provider, with state, nonce and a PKCE challenge."""
    client = await _client(request)
    found: Response = await client.authorize_redirect(request, _callback(request))
    return found


async def callback(request: Request) -> Response:
    """Takes a browser back from the provider: its token is checked (signature, issuer, audience, times, nonce), and says who it
    is."""
    web = guard.context(request).settings.web
    client = await _client(request)
    claims = {"iss": {"essential": True, "value": web.issuer}, "aud": {"essential": True, "value": web.client_id}}
    try:
        token = await client.authorize_access_token(request, claims_options=claims)
        said = dict(token.get("userinfo") or {})
        name = _name(said, web)
        groups = said.get(web.groups_claim, ())
    except (OAuthError, JoseError, ValueError) as error:
        request.session.clear()
        return page.say(request, 403, "The login failed", str(error).strip(": "))
    return _in(request, name, tuple(str(group) for group in groups) if isinstance(groups, list) else (), "oidc")


def within(wanted: str) -> str:
    """A place on this site; whatever else is asked for is the first page."""
    inside = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if inside else "/"


def register(web: Web) -> OAuth:
    """The provider of the settings; its own document says the rest.

    Raises:
        BadInput: a setting is missing.
    """
    for setting in ("issuer", "client_id", "url"):
        if not getattr(web, setting):
            raise BadInput(f"web.login = 'oidc' needs web.{setting}")
    if not web.client_secret:
        raise BadInput("web.login = 'oidc' needs the client's secret in DRIFTLINE_WEB__CLIENT_SECRET")
    oauth = OAuth()
    oauth.register(
        "oidc",
        client_id=web.client_id,
        client_secret=web.client_secret,
        server_metadata_url=f"{web.issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid email profile", "code_challenge_method": "S256", "timeout": 10},
    )
    return oauth


async def _client(request: Request):  # type: ignore[no-untyped-def]
    client = request.app.state.oauth.create_client("oidc")
    known = await client.load_server_metadata()
    offered = known.get("id_token_signing_alg_values_supported") or ["RS256"]
    known["id_token_signing_alg_values_supported"] = [name for name in offered if name.startswith(SIGNED)]
    return client


def _callback(request: Request) -> str:
    return f"{guard.context(request).settings.web.url.rstrip('/')}/login/callback"


def _name(said: dict[str, object], web: Web) -> str:
    name = said.get(web.name_claim)
    if not isinstance(name, str):
        raise ValueError(f"the provider says no {web.name_claim} (web.name_claim)")
    if web.name_claim == "email" and said.get("email_verified") is not True:
        raise ValueError("the provider has not verified this email address")
    return guard.checked(name)


def _in(request: Request, name: str, groups: tuple[str, ...], known_by: str) -> Response:
    wanted = within(str(request.session.get("next", "/")))
    guard.log_in(request, name, groups, "oidc" if known_by == "oidc" else "login")
    return RedirectResponse(wanted, 303)
