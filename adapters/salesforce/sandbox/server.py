"""The org's HTTP front: tokens, sessions, allowance, and which resource answers which path."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.salesforce.sandbox import bulk, composite, permissions, reading, record_types, tooling, writing
from adapters.salesforce.sandbox.ids import full_id
from adapters.salesforce.sandbox.org import USERNAME, Org
from adapters.salesforce.sandbox.schema import API_VERSIONS, release_label
from adapters.salesforce.sandbox.store import API_USER
from adapters.salesforce.sandbox.wire import (
    DAILY_LIMIT,
    EXPIRED,
    JWT_EXPIRED,
    NOT_FOUND,
    Call,
    Refused,
    Reply,
    split_url,
)
from connector.sandbox.server import count_under

Json = Any
Handler = Callable[..., Reply]

MAX_HEAD = 16_384  # bytes of URI and headers together
_DEPRECATED = 40  # versions up to this answer with a warning (Salesforce help 005321531)
_HTML_431 = "<html><head><title>Error 431</title></head><body><h1>Bad Message 431</h1></body></html>"


def routes(org: Org) -> list[Route]:
    """Everything below the instance URL."""

    async def token(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))
        base = str(request.base_url).rstrip("/")
        count_under(request, "token")
        return _answer(org.token(form, request.headers.get("authorization", ""), base))

    async def versions(request: Request) -> Response:
        listed = [
            {"label": release_label(each), "url": f"/services/data/v{each}.0", "version": f"{each}.0"}
            for each in API_VERSIONS
        ]
        return _answer(Reply(200, listed))

    async def identity(request: Request) -> Response:
        if not org.knows(request.headers.get("authorization", "")):
            return Response("Bad_OAuth_Token", 403)
        who = {"user_id": API_USER, "organization_id": org.id, "preferred_username": USERNAME}
        return _answer(Reply(200, {**who, "zoneinfo": "Europe/Berlin", "active": True}))

    async def data(request: Request) -> Response:
        return await _serve(org, request)

    methods = ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"]
    return [
        Route("/services/oauth2/token", token, methods=["POST"]),
        Route("/services/oauth2/userinfo", identity, methods=["GET", "POST"]),
        Route("/id/{org}/{user}", identity, methods=["GET"]),
        Route("/services/data", versions, methods=["GET"]),
        Route("/services/data/", versions, methods=["GET"]),
        Route("/services/data/v{version}/{rest:path}", data, methods=methods),
        Route("/services/data/v{version}", data, methods=methods),
    ]


async def _serve(org: Org, request: Request) -> Response:
    org.store.settle()
    bulk.settle(org)
    scope = request.scope
    head = len(scope["raw_path"]) + len(scope["query_string"])
    if org.options.uri_limit is not None and head > org.options.uri_limit:
        return Response("<html><h1>414 Request-URI Too Large</h1></html>", 414, media_type="text/html")
    head += sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    if head > MAX_HEAD:
        return Response(_HTML_431, 431, media_type="text/html")
    count_under(request, "data")
    try:
        call = _admit(org, request, await request.body())
        reply = dispatch(org if call.admin else permissions.as_seen(org), call)
    except Refused as refused:
        reply = refused.reply
    headers = dict(reply.headers)
    if reply.status != 204:
        headers["Sforce-Limit-Info"] = org.usage()
    version = request.path_params["version"].split(".")[0]
    if version.isdigit() and int(version) <= _DEPRECATED:
        headers["Warning"] = (
            f'299 - "This API is deprecated and will be removed by Summer \'28: v{version}.0"'
        )
    return _answer(Reply(reply.status, reply.body, headers))


def _admit(org: Org, request: Request, raw: bytes) -> Call:
    """The call behind a request that may pass: known session, known version, allowance left, readable body."""
    if not org.knows(request.headers.get("authorization", "")):
        raise _refusal(401, JWT_EXPIRED if org.options.jwt_tokens else EXPIRED)
    version = request.path_params["version"]
    number = re.fullmatch(r"(\d+)\.0", version)
    if number is None or int(number[1]) > API_VERSIONS[-1]:
        raise NOT_FOUND
    if int(number[1]) < API_VERSIONS[0]:
        raise Refused(410, "UNSUPPORTED_API_VERSION", f"API version {version} is retired")
    if not org.spend():
        raise _refusal(403, DAILY_LIMIT)
    if request.headers.get("content-encoding", "") == "gzip" and raw:
        raw = gzip.decompress(raw)
    body: Json = None
    if raw and request.headers.get("content-type", "").startswith("text/csv"):
        body = raw
    elif raw:
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError as wrong:
            raise Refused(400, "JSON_PARSER_ERROR", str(wrong)) from None
    parts, _ = split_url(request.scope["raw_path"].decode("latin-1"))
    return Call(
        "GET" if request.method == "HEAD" else request.method,
        parts[3:],
        version,
        dict(request.query_params),
        dict(request.headers),
        body,
        org.is_admin(request.headers.get("authorization", "")),
    )


def _refusal(status: int, body: list[dict[str, str]]) -> Refused:
    return Refused(status, body[0]["errorCode"], body[0]["message"])


def _answer(reply: Reply) -> Response:
    if reply.status == 204:
        return Response(None, 204, dict(reply.headers))
    if isinstance(reply.body, bytes):  # CSV, whose encoding goes without saying
        return Response(reply.body, reply.status, {"content-type": "text/csv", **reply.headers})
    raw = orjson.dumps(reply.body)
    return Response(raw, reply.status, dict(reply.headers), media_type="application/json;charset=UTF-8")


# ------------------------------------------------------------ which resource answers which path


def dispatch(org: Org, call: Call) -> Reply:
    """Answer one call. Raises Refused where the whole call is refused."""
    parts = call.parts
    match parts[:1]:
        case ():
            names = ("sobjects", "query", "queryAll", "limits", "composite", "jobs")
            return Reply(200, {name: f"/services/data/v{call.version}/{name}" for name in names})
        case ("limits",):
            return _by_method(call, {"GET": lambda: _limits(org, call)})
        case ("query",) | ("queryAll",):
            return _by_method(call, {"GET": lambda: _query(org, call)})
        case ("sobjects",):
            return _sobjects(org, call, parts[1:])
        case ("composite",):
            return _composite(org, call, parts[1:])
        case ("tooling",) if parts[1:] == ("composite",):
            return _by_method(call, {"POST": lambda: composite.composite(org, call, dispatch)})
        case ("tooling",):
            return tooling.dispatch(org, call)
        case ("ui-api",):
            return _by_method(call, {"GET": lambda: record_types.ui_api(org, call)})
        case ("jobs",):
            return bulk.dispatch(org, call, parts[1:])
    raise NOT_FOUND


def _limits(org: Org, call: Call) -> Reply:
    if call.parts == ("limits",):
        return reading.limits(org)
    if call.parts == ("limits", "recordCount"):
        return reading.record_count(org, call)
    raise NOT_FOUND


def _query(org: Org, call: Call) -> Reply:
    if len(call.parts) == 1:
        return reading.query(org, call, everything=call.parts[0] == "queryAll")
    if len(call.parts) == 2:
        return reading.query_more(org, call, call.parts[1])
    raise NOT_FOUND


def _sobjects(org: Org, call: Call, parts: tuple[str, ...]) -> Reply:
    match parts:
        case ():
            return _by_method(call, {"GET": lambda: reading.describe_all(org, call)})
        case (name,):
            return _by_method(
                call,
                {
                    "GET": lambda: reading.describe_one(org, call, name, full=False),
                    "POST": lambda: writing.create(org, call, name),
                },
            )
        case (name, "describe"):
            return _by_method(call, {"GET": lambda: reading.describe_one(org, call, name, full=True)})
        case (name, "describe", "layouts", id):
            return _by_method(call, {"GET": lambda: record_types.layout(org, call, name, id)})
        case (name, "deleted"):
            return _by_method(call, {"GET": lambda: reading.deleted(org, call, name)})
        case (name, "updated"):
            return _by_method(call, {"GET": lambda: reading.updated(org, call, name)})
        case (name, id):
            return _by_method(
                call,
                {
                    "GET": lambda: reading.row(org, call, name, id),
                    "PATCH": lambda: writing.update(org, call, name, id),
                    "DELETE": lambda: writing.delete(org, call, name, id),
                },
            )
        case (name, field, value):
            return _by_method(
                call,
                {
                    "GET": lambda: _row_by_key(org, call, name, field, value),
                    "PATCH": lambda: writing.upsert(org, call, name, field, value),
                },
            )
    raise NOT_FOUND


def _row_by_key(org: Org, call: Call, name: str, field: str, value: str) -> Reply:
    matches = writing.matching(org, reading.kind_named(org, name), field, value)
    if not matches:
        raise NOT_FOUND
    if len(matches) > 1:
        base = f"/services/data/v{call.version}/sobjects/{name}"
        return Reply(300, [f"{base}/{id}" for id in matches])
    return reading.row(org, call, name, full_id(matches[0]) or "")


def _composite(org: Org, call: Call, parts: tuple[str, ...]) -> Reply:
    match parts:
        case ():
            return _by_method(call, {"POST": lambda: composite.composite(org, call, dispatch)})
        case ("batch",):
            return _by_method(call, {"POST": lambda: composite.batch(org, call, dispatch)})
        case ("sobjects",):
            return _by_method(
                call,
                {
                    "PATCH": lambda: writing.update_many(org, call),
                    "POST": lambda: writing.create_many(org, call),
                    "DELETE": lambda: writing.delete_many(org, call),
                },
            )
        case ("sobjects", name):
            retrieve = lambda: reading.retrieve(org, call, name)  # noqa: E731 - two verbs, one act
            return _by_method(call, {"GET": retrieve, "POST": retrieve})
        case ("sobjects", name, field):
            return _by_method(call, {"PATCH": lambda: writing.upsert_many(org, call, name, field)})
    raise NOT_FOUND


def _by_method(call: Call, handlers: Mapping[str, Callable[[], Reply]]) -> Reply:
    handler = handlers.get(call.method)
    if handler is None:
        allowed = ",".join(sorted(handlers))
        message = f"HTTP Method '{call.method}' not allowed. Allowed are {allowed}"
        raise Refused(405, "METHOD_NOT_ALLOWED", message)
    return handler()
