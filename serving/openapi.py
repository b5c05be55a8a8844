"""The OpenAPI document, made of the types that requests are read into and answers are written from."""

from functools import cache
from typing import Any

import msgspec

from driftline.serving.messages import MAX_REQUESTS, Ask, Channel, NextInterests, Problem

EXAMPLE_ASK = {"items": ["sku-17", "sku-4", "sku-42"], "user": "u-1", "top": 2}
EXAMPLE_ITEMS = {"items": ["sku-17", "sku-4", "sku-42"], "recommend": 5, "exclude": ["sku-8"]}
EXAMPLE_ANSWER = {
    "channel": "default",
    "version": 12,
    "cluster_set": 3,
    "nominal": "2026-11-26T00:00:00Z",
    "published": "2026-11-26T03:41:07Z",
    "age_seconds": 5400.0,
    "approved": True,
    "stale_since": None,
    "pair": [4, 9],
    "next": [
        {"interest": 7, "name": "juices, yogurt, apples", "how": "pair", "score": None},
        {"interest": 2, "name": "candy, seasonal, supplies", "how": "backed_off", "score": None},
    ],
    "novel": True,
    "unknown_items": 1,
}
EXAMPLE_CHANNEL = {
    "channel": "default",
    "version": 12,
    "kind": "rag",
    "cluster_set": 3,
    "interests": 761,
    "items": 1000000,
    "nominal": "2026-11-26T00:00:00Z",
    "published": "2026-11-26T03:41:07Z",
    "age_seconds": 5400.0,
    "approved": True,
    "stale_since": None,
}
CHANNEL = {"name": "channel", "in": "path", "required": True, "schema": {"type": "string"}, "example": "default"}
TEXT = {"text/plain": {"schema": {"type": "string"}, "example": "ok\n"}}
BYTES = {"schema": {"type": "string", "contentEncoding": "binary"}}


@cache
def document() -> bytes:
    """JSON."""
    _, schemas = msgspec.json.schema_components(
        [Ask, NextInterests, Channel, Problem], ref_template="#/components/schemas/{name}"
    )
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Driftline", "version": "1", "description": "The next novel interests of a user."},
            "paths": _paths(),
            "components": {"schemas": schemas},
        }
    )


def _paths() -> dict[str, Any]:
    ask, answer = _ref("Ask"), _ref("NextInterests")
    batch = {"type": "array", "items": ask, "maxItems": MAX_REQUESTS}
    interest = [CHANNEL, *(_parameter(name, "path", "An interest; c2 is the newest", 4) for name in ("c1", "c2"))]
    table = [
        CHANNEL,
        _parameter("wait", "query", "With If-None-Match: seconds to wait for another table, up to 60", 30, required=False),
        {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}, "example": '"12-4f0c…8d.npy"'},
    ]
    one_or_many = {"oneOf": [answer, {"type": "array", "items": answer}]}
    examples = {
        "one": {"value": EXAMPLE_ASK},
        "items": {"value": EXAMPLE_ITEMS},
        "batch": {"value": [EXAMPLE_ASK, {"interests": [4, 9], "channel": "treatment"}]},
    }
    asked = {"required": True, "content": {"application/json": {"schema": {"oneOf": [ask, batch]}, "examples": examples}}}
    returned = {"one": {"value": EXAMPLE_ANSWER}, "batch": {"value": [EXAMPLE_ANSWER]}}
    return {
        "/v1/next": {
            "post": {
                "summary": "The next novel interests of a user, or of thousands",
                "requestBody": asked,
                "responses": {
                    "200": _json("In the order of the requests", one_or_many, returned),
                    **_problems("400 404 409 413 422 503"),
                },
            }
        },
        "/v1/channels/{channel}/interest/{c1}/{c2}": _get(
            "The next novel interest after c1 and then c2",
            {"200": _json("The answer", answer, {"one": {"value": EXAMPLE_ANSWER}}), **_problems("404 422 503")},
            interest,
        ),
        "/v1/channels": _get(
            "What each channel serves",
            {"200": _json("All", {"type": "array", "items": _ref("Channel")}, {"all": {"value": [EXAMPLE_CHANNEL]}})},
        ),
        "/v1/channels/{channel}/table.npy": _get(
            "The whole table as a NumPy array: row c1, column c2, −1 where they are the same",
            {
                "200": {"description": "It", "content": {"application/octet-stream": BYTES}},
                "304": {"description": "You have it"},
                **_problems("404 422 503"),
            },
            table,
        ),
        "/v1/channels/{channel}/table.arrow": _get(
            "The whole table as an Arrow IPC stream: c1, c2, c_next",
            {
                "200": {"description": "It", "content": {"application/vnd.apache.arrow.stream": BYTES}},
                "304": {"description": "You have it"},
                **_problems("404 422 503"),
            },
            table,
        ),
        "/healthz": _get("Whether the process lives", {"200": {"description": "It does", "content": TEXT}}),
        "/readyz": _get(
            "Whether every channel that is wanted is there to serve",
            {"200": {"description": "It is; and whether Postgres confirms it", "content": TEXT}, **_problems("503")},
        ),
        "/metrics": _get("Prometheus", {"200": {"description": "Of all processes", "content": TEXT}}),
    }


def _get(summary: str, responses: dict[str, Any], parameters: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"get": {"summary": summary, "parameters": parameters or [], "responses": responses}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(description: str, schema: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema, "examples": examples}}}


def _problems(statuses: str) -> dict[str, Any]:
    content = {"application/json": {"schema": _ref("Problem")}}
    meaning = {
        "400": "Not JSON",
        "404": "Nothing is published on that channel",
        "409": "Another cluster set is served",
        "413": "Too many bytes",
        "422": "Not what is asked for",
        "503": "Nothing is published yet",
    }
    return {status: {"description": meaning[status], "content": content} for status in statuses.split()}


def _parameter(name: str, where: str, description: str, example: int, *, required: bool = True) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 0}
    return {"name": name, "in": where, "required": required, "description": description, "schema": schema, "example": example}
