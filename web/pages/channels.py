"""What each channel serves, every move so far, and back to an earlier table."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from driftline.contracts import BadInput
from driftline.db.channels import Conflict, NotPublishable, ServedTable
from driftline.operations import channels, tables
from driftline.web.guard import context
from driftline.web.page import render

MOVES = 50


def index(request: Request) -> Response:
    found = channels.served(context(request))
    moves = channels.history(context(request))
    return render(request, "channels.html", served=found, moves=moves[:MOVES], more=max(0, len(moves) - MOVES))


def ask(request: Request) -> Response:
    """The second of the two clicks: to which table, and why."""
    return _ask(request)


def roll_back(request: Request) -> Response:
    """Move the channel, if it still serves what was shown."""
    form, who, channel = request.state.form, request.state.person, request.path_params["channel"]
    reason = " ".join(form.get("reason", "").split())
    if not reason:
        return _ask(request, "Write why: a reason is on record with a roll-back.", reason)
    try:
        to, expected = int(form.get("to", "")), int(form.get("expected", ""))
        done = channels.roll_back(context(request), channel, to, who.name, reason=reason, expected=expected)
    except Conflict as conflict:
        return _ask(request, f"Nothing was done: {conflict}.", reason)
    except (ValueError, NotPublishable) as error:
        return _ask(request, f"Nothing was done: {error}.", reason)
    request.session["said"] = f"Channel {done.channel} serves table {done.table} again."
    return RedirectResponse("/channels", 303)


def _ask(request: Request, refused: str = "", reason: str = "") -> Response:
    name = request.path_params["channel"]
    served: ServedTable | None = next((c for c in channels.served(context(request)) if c.channel == name), None)
    if served is None:
        raise BadInput(f"nothing is published on channel {name!r}")
    before = {move.to_version for move in channels.history(context(request), name)}
    choices = [t for t in reversed(tables.list_tables(context(request))) if t.version in before and t.version != served.version]
    return render(
        request, "rollback.html", 409 if refused else 200, served=served, choices=choices, refused=refused, reason=reason
    )
