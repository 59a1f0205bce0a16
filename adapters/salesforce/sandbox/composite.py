"""Several requests in one: `/composite` with references between them, and `/composite/batch`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from adapters.salesforce.sandbox.org import Org
from adapters.salesforce.sandbox.wire import Call, Refused, Reply, split_url

Json = Any
Dispatch = Callable[[Org, Call], Reply]

MAX_REQUESTS = 25
MAX_QUERIES = 5
_REFERENCE = re.compile(r"@\{([A-Za-z]\w*)\.([^}]+)\}")


def composite(org: Org, call: Call, dispatch: Dispatch) -> Reply:
    """`POST /composite`: at most 25, of which at most 5 queries or collections; one API call in all.

    With `allOrNone` a failure stops the rest, which read PROCESSING_HALTED; what was written before it stays, so
    this sandbox refuses `allOrNone` for requests that write more than once.
    """
    asked = _requests(call, "compositeRequest")
    heavy = [
        each for each in asked if re.search(r"/(query|queryAll|composite/sobjects)\b", str(each.get("url")))
    ]
    if len(asked) > MAX_REQUESTS or len(heavy) > MAX_QUERIES:
        raise Refused(
            400, "LIMIT_EXCEEDED", f"At most {MAX_REQUESTS} subrequests, {MAX_QUERIES} of them queries"
        )
    all_or_none = bool(call.body.get("allOrNone"))
    if all_or_none and sum(each.get("method") != "GET" for each in asked) > 1:
        raise Refused(
            400, "INVALID_INPUT", "This sandbox cannot roll back a composite request of several writes"
        )
    answers: dict[str, Json] = {}
    out: list[Json] = []
    halted = False
    for each in asked:
        name = str(each.get("referenceId", ""))
        if halted:
            reply = Refused(
                400,
                "PROCESSING_HALTED",
                "The transaction was rolled back since another operation in the same transaction failed.",
            ).reply
        else:
            reply = _one(org, call, each, answers, dispatch)
            halted = all_or_none and reply.status >= 400
        answers[name] = reply.body
        headers = dict(reply.headers)
        out.append(
            {"body": reply.body, "httpHeaders": headers, "httpStatusCode": reply.status, "referenceId": name}
        )
    return Reply(200, {"compositeResponse": out})


def batch(org: Org, call: Call, dispatch: Dispatch) -> Reply:
    """`POST /composite/batch`: at most 25 independent requests, each of which counts against the allowance."""
    asked = _requests(call, "batchRequests")
    if len(asked) > MAX_REQUESTS:
        raise Refused(400, "LIMIT_EXCEEDED", f"At most {MAX_REQUESTS} subrequests")
    results: list[Json] = []
    halted = False
    for place, each in enumerate(asked):
        if halted:
            body = [{"errorCode": "BATCH_PROCESSING_HALTED", "message": "Batch processing halted"}]
            results.append({"statusCode": 412, "result": body})
            continue
        if place:  # the first is counted as the request itself
            org.spend()
        url = "/services/data/" + str(each.get("url", "")).removeprefix("/services/data/").lstrip("/")
        reply = _one(org, call, {**each, "url": url, "body": each.get("richInput")}, {}, dispatch)
        results.append({"statusCode": reply.status, "result": reply.body})
        halted = bool(call.body.get("haltOnError")) and reply.status >= 400
    failed = any(each["statusCode"] >= 400 for each in results)
    return Reply(200, {"hasErrors": failed, "results": results})


def _requests(call: Call, key: str) -> list[dict[str, Json]]:
    found = call.body.get(key) if isinstance(call.body, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Refused(400, "JSON_PARSER_ERROR", f"The request body must be an object with a list {key}")
    return found


def _one(
    org: Org, outer: Call, asked: Mapping[str, Json], answers: Mapping[str, Json], dispatch: Dispatch
) -> Reply:
    url = _resolved(str(asked.get("url", "")), answers)
    parts, query = split_url(url)
    if len(parts) < 4 or parts[:2] != ("services", "data"):
        return Refused(400, "INVALID_INPUT", f"The url {url} is no resource of this API").reply
    headers = {
        **{name: value for name, value in outer.headers.items() if name.startswith("sforce-")},
        **{str(name).lower(): str(value) for name, value in (asked.get("httpHeaders") or {}).items()},
    }
    body = _resolved(asked.get("body"), answers)
    call = Call(
        str(asked.get("method", "GET")).upper(),
        parts[3:],
        parts[2].lstrip("v"),
        query,
        headers,
        body,
        outer.admin,
    )
    try:
        return dispatch(org, call)
    except Refused as refused:
        return refused.reply


def _resolved(value: Json, answers: Mapping[str, Json]) -> Json:
    """Replace `@{reference.path}` in texts by what an earlier answer holds there."""
    if isinstance(value, dict):
        return {name: _resolved(each, answers) for name, each in value.items()}
    if isinstance(value, list):
        return [_resolved(each, answers) for each in value]
    if not isinstance(value, str):
        return value

    def held(match: re.Match[str]) -> str:
        found: Json = answers.get(match[1])
        for step in re.findall(r"[A-Za-z_]\w*|\d+", match[2]):
            if isinstance(found, list) and step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            elif isinstance(found, dict) and step in found:
                found = found[step]
            else:
                message = f"Invalid reference specified. No value for {match[2]} found in {match[1]}"
                raise Refused(400, "PROCESSING_HALTED", message)
        return str(found)

    return _REFERENCE.sub(held, value)
