"""What waits for a person, longest first."""

from starlette.requests import Request
from starlette.responses import Response

from driftline.db.reviews import Review
from driftline.operations import reviews, tables
from driftline.web.guard import context
from driftline.web.page import render


def index(request: Request) -> Response:
    """Every open review with its clock, and the decisions of late."""
    open_reviews: list[Review] = reviews.waiting(context(request))
    about = {table.version: table for table in tables.list_tables(context(request))}
    return render(
        request,
        "waiting.html",
        open=[(review, about[review.candidate]) for review in open_reviews],
        decided=reviews.decided(context(request)),
        about=about,
    )
