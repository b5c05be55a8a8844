"""Users of the test's Postgres who are not its owner."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, make_url, text


@contextmanager
def logged_in(engine: Engine, kind: str) -> Iterator[str]:
    """The URL of a user to whom the owner gave the rights of this kind by name: the roles are not needed."""
    name, password = f"ada {kind} {secrets.token_hex(3)}", secrets.token_hex(8)
    with engine.begin() as conn:
        conn.execute(text(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{password}'"))
        conn.execute(text("SELECT grant_access(:name, :kind)"), {"name": name, "kind": kind})
    url = make_url(engine.url).set(drivername="postgresql", username=name, password=password)
    try:
        yield url.render_as_string(hide_password=False)
    finally:
        with engine.begin() as conn:
            conn.execute(text(f'DROP OWNED BY "{name}"'))
            conn.execute(text(f'DROP ROLE "{name}"'))
