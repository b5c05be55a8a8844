"""Two interests: the answer now and in every version, and what users did."""

from starlette.requests import Request
from starlette.responses import Response

from driftline.operations import explore
from driftline.web.guard import context
from driftline.web.page import render


def index(request: Request) -> Response:
    """A form, and what it finds."""
    of = explore.interests(context(request))
    first, second = (request.query_params.get(name, "").strip()[:200] for name in ("first", "second"))
    c1, c2 = of.find(first), of.find(second)
    wrong = ""
    for text, cluster in ((first, c1), (second, c2)):
        if text and cluster is None and not wrong:
            wrong = f"No one interest is called “{text}”."
    if c1 is not None and c1 == c2:
        wrong, c2 = "The two interests have to differ.", None
    found = explore.explore(context(request), of, c1, c2) if c1 is not None and c2 is not None else None
    return render(request, "explore.html", of=of, first=first, second=second, found=found, wrong=wrong)
