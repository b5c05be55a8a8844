"""A small OpenID Connect provider on loopback: discovery, keys, codes that are good once, PKCE, and signed tokens."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.loopback import Quiet, listening

CLIENT, SECRET = "driftline-page", "client-s3cret"


@dataclass
class Provider:
    """
    Attributes:
        claims: what the next token says, beside the usual; None removes one.
        forge: signs the next token with a key of somebody else.
        document: what the discovery document says instead.
    """

    address: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    forge: bool = False
    document: dict[str, Any] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "k1", "alg": "RS256", "use": "sig"}))
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def described(self) -> dict[str, Any]:
        return {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token",
            "jwks_uri": f"{self.address}/keys",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            **self.document,
        }

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser goes next: back, with a code."""
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, given: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """For a code and the secret; None refuses."""
        asked = self.codes.pop(given.get("code", ""), None)
        client = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        if asked is None or client != f"{CLIENT}:{SECRET}" or given.get("redirect_uri") != asked["redirect_uri"]:
            return None
        challenge = (
            base64.urlsafe_b64encode(hashlib.sha256(given.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
        )
        if challenge != asked["code_challenge"]:
            return None
        now = int(time.time())
        said = {"iss": self.address, "sub": "42", "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        said |= {"email": "ada@shop.example", "email_verified": True, "groups": ["ml"]} | self.claims
        said = {name: value for name, value in said.items() if value is not None}
        key = RSAKey.generate_key(2048, {"kid": "k1"}) if self.forge else self.key
        signed = jwt.encode({"alg": "RS256", "kid": "k1"}, said, key)
        return {"access_token": secrets.token_urlsafe(8), "token_type": "Bearer", "expires_in": 300, "id_token": signed}


@contextmanager
def running() -> Iterator[Provider]:
    provider = Provider()

    class Handler(Quiet):
        def do_GET(self) -> None:
            place, asked = urlsplit(self.path), {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
            if place.path == "/.well-known/openid-configuration":
                self.say(200, provider.described())
            elif place.path == "/keys":
                self.say(200, {"keys": [provider.key.as_dict(private=False)]})
            elif place.path == "/authorize":
                self.send_response(302)
                self.send_header("Location", provider.authorize(asked))
                self.end_headers()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            made = provider.token({k: v[0] for k, v in parse_qs(body).items()}, self.headers.get("Authorization", ""))
            self.say(200, made) if made else self.say(400, {"error": "invalid_grant"})

        def say(self, status: int, body: Any) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

    with listening(Handler) as port:
        provider.address = f"http://127.0.0.1:{port}"
        yield provider
