"""OpenID Connect against a real, small provider: who comes in, and which tokens are none."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from starlette.testclient import TestClient

from driftline.contracts import BadInput
from driftline.embedded import tokens
from tests.web.conftest import REVIEW
from tests.web.provider import CLIENT, SECRET, Provider, running

Site = Callable[..., AbstractContextManager[TestClient]]
HERE = "http://127.0.0.1:8244"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running() as found:
        yield found


def settings(provider: Provider, **more: Any) -> dict[str, Any]:
    known = {"login": "oidc", "issuer": provider.address, "client_id": CLIENT, "client_secret": SECRET, "url": HERE}
    return {**known, "viewers": ("@ml",), **more}


def walk(client: TestClient, place: str = "/") -> Any:
    """As a browser: to the page, on to the provider, and back."""
    asked = client.get(place, follow_redirects=False)
    while asked.status_code in (302, 303, 307) and asked.headers["location"].startswith("/"):
        asked = client.get(asked.headers["location"], follow_redirects=False)
    assert asked.status_code == 302, asked.text
    back = httpx2.get(asked.headers["location"], follow_redirects=False).headers["location"]
    return client.get(back.removeprefix(HERE))


def test_whoever_the_provider_knows_comes_in_and_where_they_wanted_to(site: Site, provider: Provider) -> None:
    with site(**settings(provider)) as client:
        answer = walk(client, f"/reviews/{REVIEW}?interest=meat")
        assert (answer.status_code, answer.url.path, answer.url.query) == (200, f"/reviews/{REVIEW}", b"interest=meat")
        assert "<b>ada@shop.example</b> viewer" in answer.text
        assert SECRET not in answer.text


def test_what_is_asked_of_the_provider(site: Site, provider: Provider) -> None:
    with site(**settings(provider)) as client:
        there = client.get("/login/oidc", follow_redirects=False).headers["location"]
        asked = parse_qs(urlsplit(there).query)
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["redirect_uri"] == [f"{HERE}/login/callback"]
        assert all(len(asked[name][0]) >= 20 for name in ("state", "nonce"))


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iss": "https://other.example"}, "iss"),
        ({"aud": "somebody-else"}, "aud"),
        ({"aud": "somebody-else", "azp": CLIENT}, "aud"),
        ({"aud": [CLIENT, "somebody-else"], "azp": "somebody-else"}, "azp"),
        ({"exp": 1_700_000_000}, "expired"),
        ({"nonce": "of another login"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"email_verified": False}, "has not verified"),
        ({"email_verified": None}, "has not verified"),
        ({"email": None}, "says no email"),
        ({"email": ["ada@shop.example"]}, "says no email"),
        ({"email": "a\u202eda"}, "not printable"),
    ],
    ids=str,
)
def test_a_token_that_is_not_for_this_login_is_none(site: Site, provider: Provider, claims: dict[str, Any], said: str) -> None:
    provider.claims = claims
    with site(**settings(provider, viewers=("*",))) as client:
        answer = walk(client)
        assert (answer.status_code, said in answer.text) == (403, True), answer.text
        assert client.get("/", follow_redirects=False).status_code == 303


def test_a_token_of_another_key_is_none(site: Site, provider: Provider) -> None:
    provider.forge = True
    with site(**settings(provider)) as client:
        assert walk(client).status_code == 403


def test_a_provider_that_says_it_is_another_is_none(site: Site, provider: Provider) -> None:
    provider.document = {"issuer": "https://other.example"}
    provider.claims = {"iss": "https://other.example"}
    with site(**settings(provider)) as client:
        assert walk(client).status_code == 403


def test_a_code_of_another_browser_is_none(site: Site, provider: Provider) -> None:
    """Somebody sends a victim the end of a login of their own (login CSRF)."""
    with site(**settings(provider)) as client:
        there = client.get("/login/oidc", follow_redirects=False).headers["location"]
        back = httpx2.get(there, follow_redirects=False).headers["location"].removeprefix(HERE)
        client.cookies.clear()
        assert client.get(back).status_code == 403
        assert client.get("/login/callback?error=access_denied&error_description=<b>no").status_code == 403


def test_whoever_is_named_nowhere_sees_nothing(site: Site, provider: Provider) -> None:
    provider.claims = {"groups": ["sales"]}
    with site(**settings(provider)) as client:
        answer = walk(client)
        assert (answer.status_code, "is not among web.viewers" in answer.text) == (403, True)
        assert "RAG refresh" not in answer.text


@pytest.mark.parametrize("missing", ["issuer", "client_id", "client_secret", "url"])
def test_what_is_missing_is_named(site: Site, provider: Provider, missing: str) -> None:
    with pytest.raises(BadInput, match=f"(?i){missing}"), site(**settings(provider, **{missing: ""})):
        pass


def test_a_session_of_another_kind_of_login_is_none(site: Site, provider: Provider, tmp_path: Path) -> None:
    """With the same secret: whoever came by the owner's link is nobody to the provider, and its viewers are no owners."""
    ways: dict[str, dict[str, Any]] = {"token": {}, "oidc": settings(provider, viewers=("*",))}
    cookies = {}
    for way, about in ways.items():
        with site(**about, session_secret="one") as client:
            inside = walk(client) if way == "oidc" else client.get("/login", params={"token": tokens.issue(tmp_path)})
            assert inside.status_code == 200
            cookies[way] = client.cookies["driftline"]
    for held, asked in (("token", "oidc"), ("oidc", "token")):
        with site(**ways[asked], session_secret="one") as client:
            client.cookies.set("driftline", cookies[held])
            assert client.get("/", follow_redirects=False).status_code == 303
            client.cookies.set("driftline", cookies[asked])
            assert client.get("/", follow_redirects=False).status_code == 200
