"""Who comes in, as whom, and what they may do."""

import os
import pwd
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from driftline.contracts import BadInput
from driftline.embedded import tokens
from driftline.settings import Settings, Web
from driftline.web.app import GUARDED
from driftline.web.login import within
from driftline.web.people import person
from tests.web.conftest import REVIEW

Site = Callable[..., AbstractContextManager[TestClient]]
PROXY = {"login": "proxy", "proxies": ("127.0.0.1", "10.1.0.0/16")}


def filled_in(route: Route) -> str:
    known = {"review": REVIEW, "channel": "default", "version": "3", "name": "wider"}
    return re.sub(r"{(\w+)[^}]*}", lambda found: known[found[1]], route.path)


@pytest.mark.parametrize("route", GUARDED, ids=lambda route: f"{sorted(route.methods)[0]} {route.path}")
def test_no_page_is_shown_to_whoever_has_not_logged_in(site: Site, route: Route) -> None:
    with site() as client:
        place = filled_in(route)
        if "POST" in (route.methods or ()):
            answer = client.post(place, data={"csrf": "", "decision": "approve"}, follow_redirects=False)
            assert answer.status_code == 403
        else:
            answer = client.get(place, follow_redirects=False)
            assert (answer.status_code, answer.headers["location"].startswith("/login?next=")) == (303, True)
        assert "RAG refresh" not in answer.text


def test_a_link_is_good_once_and_leads_where_one_wanted_to_go(site: Site, tmp_path: Path) -> None:
    with site() as client:
        assert client.get(f"/reviews/{REVIEW}").url.path == "/login"
        token = tokens.issue(tmp_path)
        assert client.get("/login", params={"token": token, "next": f"/reviews/{REVIEW}"}).url.path == f"/reviews/{REVIEW}"
        client.cookies.clear()
        again = client.get("/login", params={"token": token})
        assert again.status_code == 403
        assert "was used" in again.text
        assert client.get("/login", params={"token": "guess"}).status_code == 403
    assert list((tmp_path / "web").iterdir()) == []


def test_whoever_came_by_the_link_of_a_message_gets_there_after_the_login(site: Site, tmp_path: Path) -> None:
    """A terminal away: `driftline web open` knows nothing of where the browser was."""
    with site() as client:
        assert "driftline web open" in client.get(f"/reviews/{REVIEW}?interest=meat").text
        inside = client.get("/login", params={"token": tokens.issue(tmp_path)})
        assert (inside.status_code, inside.url.path, inside.url.query) == (200, f"/reviews/{REVIEW}", b"interest=meat")


def test_a_link_of_before_the_clock_was_set_back_is_none(tmp_path: Path) -> None:
    token = tokens.issue(tmp_path)
    (file,) = (tmp_path / "web").iterdir()
    os.utime(file, (time.time() + 3600,) * 2)
    assert tokens.redeem(tmp_path, token) is None


def test_a_link_that_is_too_old_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tokens.issue(tmp_path)
    monkeypatch.setattr(tokens, "SECONDS", -1.0)
    assert tokens.redeem(tmp_path, token) is None


def test_a_link_names_the_owner_of_the_process_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER"):
        monkeypatch.setenv(name, "somebody-else")
    assert tokens.redeem(tmp_path, tokens.issue(tmp_path)) == pwd.getpwuid(os.geteuid()).pw_name


def test_nobody_but_the_owner_reads_the_tokens(tmp_path: Path) -> None:
    token = tokens.issue(tmp_path)
    (file,) = (tmp_path / "web").iterdir()
    assert (file.stat().st_mode & 0o077, (tmp_path / "web").stat().st_mode & 0o077) == (0, 0)
    assert token not in file.name + file.read_text()


def test_a_session_ends_with_the_log_out(owner: TestClient) -> None:
    form = owner.get("/").text.partition('name="csrf" value="')[2].partition('"')[0]
    assert owner.post("/logout", data={"csrf": form}).url.path == "/login"
    assert owner.get("/", follow_redirects=False).status_code == 303


def test_a_cookie_is_closed_to_scripts_and_other_sites(site: Site) -> None:
    with site() as client:
        plain = client.get("/login").headers["set-cookie"].lower()
        assert all(word in plain for word in ("httponly", "samesite=lax"))
    with site(url="https://driftline.example.com") as client:
        safe = client.get("/login", headers={"host": "driftline.example.com"}).headers["set-cookie"]
        assert safe.startswith("__Host-driftline=")
        assert "secure" in safe.lower()


def test_a_session_of_another_secret_is_none(site: Site, tmp_path: Path) -> None:
    with site(session_secret="one") as client:
        client.get("/login", params={"token": tokens.issue(tmp_path)})
        cookie = client.cookies["driftline"]
    with site(session_secret="two") as client:
        client.cookies.set("driftline", cookie)
        assert client.get("/", follow_redirects=False).status_code == 303


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "169.254.0.1", ""])
def test_a_page_under_another_name_is_turned_away(owner: TestClient, host: str) -> None:
    """DNS rebinding: a page of others, once its name is bound to this machine."""
    answer = owner.get("/", headers={"host": host})
    assert answer.status_code == 400
    assert "RAG refresh" not in answer.text


# --- a proxy -----------------------------------------------------------------------------------------------------------


def test_the_name_is_the_proxys_and_only_named_proxies_are_believed(site: Site) -> None:
    named = {**PROXY, "viewers": ("ada",)}
    with site(**named) as client:
        seen = client.get("/", headers={"x-forwarded-user": "ada"})
        assert seen.status_code == 200
        assert "<b>ada</b> viewer" in seen.text
        assert client.get("/").status_code == 403
        twice = client.get("/", headers=[("x-forwarded-user", "ada"), ("x-forwarded-user", "eve")])
        assert twice.status_code == 403
        assert client.get("/", headers={"x-forwarded-user": "a\x7fda"}).status_code == 403
    with site(**named, peer="10.1.2.3") as client:
        assert client.get("/", headers={"x-forwarded-user": "ada"}).status_code == 200
    with site(**named, peer="10.2.2.3") as client:
        bypassed = client.get("/", headers={"x-forwarded-user": "ada"})
        assert bypassed.status_code == 403
        assert "come through the proxy" in bypassed.text


def test_a_proxy_has_to_be_named(site: Site) -> None:
    with pytest.raises(BadInput, match=r"web\.proxies"), site(login="proxy"):
        pass


def test_whoever_is_named_nowhere_sees_nothing(site: Site) -> None:
    with site(**PROXY, viewers=("ada", "@data")) as client:
        stranger = client.get("/", headers={"x-forwarded-user": "eve"})
        assert (stranger.status_code, "eve is not among web.viewers" in stranger.text) == (403, True)
        assert "RAG refresh" not in stranger.text
        assert client.get("/", headers={"x-forwarded-user": "eve", "x-forwarded-groups": "x, data"}).status_code == 200
        assert client.get("/", headers={"x-forwarded-user": "@data"}).status_code == 403


# --- roles -------------------------------------------------------------------------------------------------------------


def test_the_highest_role_counts() -> None:
    web = Web(viewers=("*",), reviewers=("@ml", "ada"), operators=("ben",))
    roles = {name: person(name, groups, "oidc", web).role for name, groups in
             (("eve", ()), ("ada", ()), ("cem", ("ml",)), ("ben", ("ml",)), ("@ml", ()))}  # fmt: skip
    assert roles == {"eve": "viewer", "ada": "reviewer", "cem": "reviewer", "ben": "operator", "@ml": "viewer"}
    assert person("eve", (), "oidc", Web()).role is None
    assert person("eve", (), "login", Web()).role == "operator"


@pytest.mark.parametrize(
    ("wanted", "leads"),
    [
        ("/reviews/1?a=b", "/reviews/1?a=b"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("", "/"),
        ("/a\nb", "/"),
    ],
)
def test_a_login_leads_to_no_other_site(wanted: str, leads: str) -> None:
    assert within(wanted) == leads


def test_a_secret_in_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "driftline.toml").write_text('[web]\nclient_secret = "s3cret"\n')
    with pytest.raises(ValueError, match="DRIFTLINE_WEB__CLIENT_SECRET") as refused:
        Settings()
    assert "s3cret" not in str(refused.value)
    (tmp_path / "driftline.toml").write_text("[web]\nport = 9000\n")
    monkeypatch.setenv("DRIFTLINE_WEB__CLIENT_SECRET", "s3cret")
    found: Any = Settings()
    assert (found.web.port, found.web.client_secret, "s3cret" in repr(found)) == (9000, "s3cret", False)
