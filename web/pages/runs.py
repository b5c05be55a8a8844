"""What runs, how far it is, and how it ended; live while the page is open."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from driftline.operations import runs
from driftline.operations.context import Context
from driftline.operations.runs import ListedRun
from driftline.web.guard import context
from driftline.web.page import fragment, render

SHOWN = 25
EVERY_SECONDS = 1.5
STREAM_SECONDS = 600
"""Then the browser asks again, and whether it still may is looked at anew."""


async def index(request: Request) -> Response:
    """The newest runs."""
    shown = await _shown(context(request))
    return await asyncio.to_thread(lambda: render(request, "runs.html", **shown))


async def events(request: Request) -> Response:
    """The same as server-sent events: each is the list, made anew, when it has changed."""
    stream = _events(request)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _events(request: Request) -> AsyncIterator[str]:
    before = ""
    for _ in range(int(STREAM_SECONDS / EVERY_SECONDS)):
        if await request.is_disconnected():
            return
        made = fragment("runs_list.html", **await _shown(context(request)))
        if made != before:
            before = made
            yield f"data: {json.dumps(made)}\n\n"
        else:
            yield ": still here\n\n"
        await asyncio.sleep(EVERY_SECONDS)


async def _shown(found: Context) -> dict[str, Any]:
    listed: list[ListedRun] = await runs.overview(found, SHOWN)
    addressed = found.addressed
    return {"runs": listed, "temporal_ui": addressed.temporal_ui, "namespace": addressed.temporal_namespace}
