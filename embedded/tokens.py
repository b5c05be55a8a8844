"""One-time links into the page: whoever can read the home can make one, and one login can use it.

A token is a file's name in the home, hashed, so that neither a listing nor a backup of the folder has it.
"""

import hashlib
import json
import secrets
import time
from pathlib import Path

from driftline.embedded.login import login
from driftline.embedded.state import open_private

SECONDS = 600.0
"""How long a link is good."""


def issue(home: Path) -> str:
    """A token for the login of the operating system that this process has."""
    folder = home.resolve() / "web"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in folder.iterdir():
        if not _good(old):
            old.unlink(missing_ok=True)
    token = secrets.token_urlsafe(32)
    with open_private(folder / _name(token)) as file:
        json.dump({"name": login() or "owner"}, file)
    return token


def redeem(home: Path, token: str) -> str | None:
    """Whose token it is, once; None if it was used, is too old, or never was one."""
    file = home.resolve() / "web" / _name(token)
    try:
        fresh = _good(file)
        name = json.loads(file.read_text())["name"]
        file.unlink()  # of two at once only one gets here
    except FileNotFoundError:
        return None
    return str(name) if fresh else None


def _good(file: Path) -> bool:
    """Whether a token is neither older than `SECONDS` nor of the future: the clock may have been set back."""
    return abs(time.time() - file.stat().st_mtime) <= SECONDS


def _name(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
