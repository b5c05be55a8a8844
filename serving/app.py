"""The HTTP application of one process. A request sees one state of all channels: that of the moment in which it begins."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic, perf_counter

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from driftline import embedded
from driftline.operations import artifacts
from driftline.serving import metrics, openapi, tables
from driftline.serving.answers import RequestError, Router, answer, describe, find
from driftline.serving.channels import Channels
from driftline.serving.messages import Ask, Body, NextInterests, Problem
from driftline.settings import Settings

MAX_BYTES = 16 * 2**20
MAX_WAIT = 60
AT_ONCE, ITEMS_AT_ONCE = 200, 16
"""Requests of a batch that are answered before others get their turn; of those that ask for items."""

log = logging.getLogger(__name__)
_decode = msgspec.json.Decoder(Body).decode
_encode = msgspec.json.Encoder().encode


class Api:
    """The endpoints of one process, and the channels that they answer from."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._router = Router(settings.serving.channels, settings.serving.salt, settings.channel)
        self._moved = asyncio.Event()
        self._channels: Channels

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()

        def changed() -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._wake)

        home, poll = self._settings.home, self._settings.serving.poll.total_seconds()
        files = artifacts.reader(self._settings) if self._settings.serving.items else None
        self._channels = await asyncio.to_thread(Channels, home, self._postgres_url, changed, poll_seconds=poll, files=files)
        yield
        await asyncio.to_thread(self._channels.close)

    async def next(self, request: Request) -> Response:
        served, stale_since = self._channels.served, self._channels.stale_since
        body = _decode(await _body(request))
        if isinstance(body, Ask):
            (one,) = answers = answer(served, self._router, [body], stale_since)
            _count(answers)
            return _json(one)
        answers = []
        at_once = ITEMS_AT_ONCE if any(ask.recommend for ask in body) else AT_ONCE
        for first in range(0, len(body), at_once):
            answers += answer(served, self._router, body[first : first + at_once], stale_since, first)
            await asyncio.sleep(0)
        _count(answers)
        return _json(answers)

    async def interest(self, request: Request) -> Response:
        given = request.path_params
        ask = Ask(interests=[given["c1"], given["c2"]], channel=given["channel"])
        answers = answer(self._channels.served, self._router, [ask], self._channels.stale_since)
        _count(answers)
        return _json(answers[0])

    async def channels(self, _request: Request) -> Response:
        return _json([describe(one, self._channels.stale_since) for one in self._channels.served.values()])

    async def table(self, request: Request) -> Response:
        """The whole table, when it is another than the caller has; waits for that if asked to."""
        channel, format_ = request.path_params["channel"], request.path_params["format"]
        if format_ not in tables.FORMATS:
            raise RequestError(404, f"there is no format {format_!r}: {' or '.join(tables.FORMATS)}")
        wait, had = _wait(request), request.headers.get("if-none-match", "")
        end = monotonic() + wait
        while True:
            moved, one = self._moved, find(self._channels.served, channel)
            etag = f'"{one.etag}.{format_}"'
            headers = {"etag": etag, "cache-control": "no-cache", "driftline-version": str(one.pointer.version)}
            if etag not in had and had != "*":
                data = await asyncio.to_thread(tables.FORMATS[format_], one)
                return Response(data, headers=headers, media_type=tables.MEDIA_TYPES[format_])
            try:
                await asyncio.wait_for(moved.wait(), end - monotonic())
            except TimeoutError:
                return Response(status_code=304, headers=headers)

    async def healthz(self, _request: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    async def readyz(self, _request: Request) -> Response:
        wanted = [name for name, weight in self._settings.serving.channels.items() if weight > 0] or [self._settings.channel]
        for channel in wanted:
            try:
                find(self._channels.served, channel)
            except RequestError as refused:
                raise RequestError(503, str(refused)) from None
        since = self._channels.stale_since
        age = f", but not confirmed since {since:%Y-%m-%d %H:%M:%S} UTC" if since else ""
        return Response(f"ok{age}\n", media_type="text/plain")

    async def metrics(self, _request: Request) -> Response:
        return Response(await asyncio.to_thread(metrics.exposed), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(self, _request: Request) -> Response:
        return Response(openapi.document(), media_type="application/json")

    def _postgres_url(self) -> str:
        return self._settings.postgres_url or embedded.status(self._settings.home).postgres_url

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


def make(settings: Settings | None = None) -> ASGIApp:
    """The application of this process."""
    api = Api(settings or Settings())
    pair = "/v1/channels/{channel}/interest/{c1:int}/{c2:int}"
    routes = [
        Route("/v1/next", api.next, methods=["POST"]),
        Route("/v1/channels", api.channels),
        Route(pair, api.interest),
        Route("/v1/channels/{channel}/table.{format}", api.table),
        Route("/healthz", api.healthz),
        Route("/readyz", api.readyz),
        Route("/metrics", api.metrics),
        Route("/openapi.json", api.openapi),
    ]
    refused = {RequestError: _refused, msgspec.DecodeError: _malformed, HTTPException: _http, Exception: _fault}
    return _measured(Starlette(routes=routes, lifespan=api.lifespan, exception_handlers=refused))


def _measured(app: ASGIApp) -> ASGIApp:
    """Counts and times every request by its endpoint."""

    async def measured(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        began, status = perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, noting)
        finally:
            endpoint = getattr(scope.get("endpoint"), "__name__", "none")
            metrics.SECONDS.labels(endpoint).observe(perf_counter() - began)
            metrics.REQUESTS.labels(endpoint, status).inc()

    return measured


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BYTES:
            raise RequestError(413, f"the body has more than {MAX_BYTES:,} bytes: send smaller batches")
        parts.append(part)
    return b"".join(parts)


def _wait(request: Request) -> int:
    given = request.query_params.get("wait", "0")
    if not (given.isascii() and given.isdigit() and int(given) <= MAX_WAIT):
        raise RequestError(422, f"wait is a whole number of seconds, 0 to {MAX_WAIT}")
    return int(given)


def _count(answers: Sequence[NextInterests]) -> None:
    how = Counter((one.channel, found.how) for one in answers for found in one.next)
    for (channel, name), number in how.items():
        metrics.ANSWERS.labels(channel, name).inc(number)
    for one in answers:
        if one.unknown_items:
            metrics.UNKNOWN_ITEMS.labels(one.channel).inc(one.unknown_items)


def _json(value: object, status: int = 200) -> Response:
    return Response(_encode(value), status, media_type="application/json")


def _problem(status: int, sentence: str) -> Response:
    return _json(Problem(sentence), status)


def _refused(_request: Request, error: Exception) -> Response:
    return _problem(error.status if isinstance(error, RequestError) else 500, str(error))


def _malformed(_request: Request, error: Exception) -> Response:
    if isinstance(error, msgspec.ValidationError):
        return _problem(422, str(error))
    return _problem(400, f"the body is not JSON: {error}")


def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = {404: "there is no such address: see /openapi.json", 405: "this address takes another method: see /openapi.json"}
    return _problem(error.status_code, said.get(error.status_code, error.detail))


def _fault(_request: Request, error: Exception) -> Response:
    log.error("request failed", exc_info=error)
    return _problem(500, "this is a fault of the server: its log has the cause")
