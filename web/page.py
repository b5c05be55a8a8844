"""How a page is made: one template each, every text escaped, and nothing in it that a browser would obey."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from driftline.operations import reviews
from driftline.operations.text import seen
from driftline.report.marks import code
from driftline.web import plots, words

HERE = Path(__file__).parent
NAVIGATION = {
    "/": "Waiting",
    "/channels": "Channels",
    "/tables": "Tables",
    "/experiments": "Experiments",
    "/updates": "Updates",
    "/runs": "Runs",
    "/explore": "Explore",
}


def _finalize(value: Any) -> Any:
    """Writes out control characters and marks of direction, also of what is not escaped because it needs none."""
    return seen(value) if isinstance(value, str) and not isinstance(value, Markup) else value


environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_finalize,
)
environment.filters |= {"code": lambda text: code(seen(text)), **words.FILTERS}
environment.globals |= {"plots": plots, "navigation": NAVIGATION}


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page inside the frame of all pages."""
    who = getattr(request.state, "person", None)
    frame: Mapping[str, Any] = {
        "person": who,
        "path": request.url.path,
        "csrf": request.session.get("csrf", ""),
        "waiting": len(reviews.waiting(request.app.state.context)) if who and who.may("viewer") else 0,
        "login": request.app.state.context.settings.web.login,
        "said": request.session.pop("said", None),
        "now": words.now(),
    }
    return HTMLResponse(environment.get_template(template).render({**frame, **values}), status)


def load() -> None:
    """Compile every template before somebody waits for it."""
    for name in environment.list_templates():
        environment.get_template(name)


def say(request: Request, status: int, title: str, text: str) -> HTMLResponse:
    """A page with one message."""
    return render(request, "message.html", status, title=title, text=text)


def fragment(template: str, **values: Any) -> str:
    """A part of a page, to be put into one that is open."""
    return environment.get_template(template).render({"now": words.now(), **values})


def is_async(endpoint: Any) -> bool:
    return inspect.iscoroutinefunction(endpoint)
