"""The page: where it listens, and who may do what."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from driftline.contracts import STRICT


@dataclass(frozen=True, config=STRICT)
class Web:
    """The page for the people who decide (docs/web.md)."""

    host: str = "127.0.0.1"
    """Where it listens."""
    port: int = Field(default=8244, ge=0, le=65_535)
    """Its port; 0 takes a free one. `driftline up` takes another one where this one is taken."""
    url: str = ""
    """Where browsers find it, e.g. `https://driftline.example.com`; other host names are refused. Empty: only by
    the names of this machine itself."""
    login: Literal["token", "proxy", "oidc"] = "token"
    """How people are known: by a link of `driftline web open`, by a header of a proxy, or by OpenID Connect."""
    viewers: tuple[str, ...] = ()
    """Who may look: names, `@group`, or `*` for whoever can log in. The owner of a token may do everything."""
    reviewers: tuple[str, ...] = ()
    """Who may look and give verdicts."""
    operators: tuple[str, ...] = ()
    """Who may look, give verdicts and move channels."""
    two_persons: bool = False
    """Approving against a failed gate takes two people."""
    session: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(hours=12)
    """How long a login lasts."""
    proxies: tuple[str, ...] = ()
    """Proxy: addresses or networks whose header is believed, e.g. `10.0.0.7` or `10.0.0.0/28`; all others are refused."""
    user_header: str = "X-Forwarded-User"
    """Proxy: header with the name of who logged in. The proxy has to remove it from what browsers send."""
    groups_header: str = "X-Forwarded-Groups"
    """Proxy: header with that person's groups, with commas between them."""
    issuer: str = ""
    """OpenID Connect: the provider's address, below which `/.well-known/openid-configuration` is."""
    client_id: str = ""
    """OpenID Connect: what the provider calls this page."""
    client_secret: str = Field(default="", repr=False)
    """OpenID Connect: read from the environment only."""
    name_claim: str = "email"
    """OpenID Connect: the claim that is a person's name. `email` counts only where the provider has verified it."""
    groups_claim: str = "groups"
    """OpenID Connect: the claim that lists a person's groups."""
    session_secret: str = Field(default="", repr=False)
    """Signs the logins; read from the environment only. Empty: a new one at each start, so that everybody logs in again."""
