"""The OpenAPI document at `/openapi.json`, and its pages at `/docs` with packaged assets: nothing from outside.

Every operation gets its answers that are problems from here, by its path, so that none can be left out. The document
says what there is and nothing of what is kept, so it needs no token.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles

from connector.app.api.problems import MEDIA, Problem

ASSETS = "/docs/assets"
SHOWN = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png")
METHODS = ("get", "put", "post", "delete", "patch")
PROBLEMS = {
    400: "The request cannot be read",
    401: "No token, or one that is not known, revoked or expired",
    403: "The token has a lesser role; or, without an admin token, the request is not this host's own",
    404: "There is no such thing",
    405: "Not by this method",
    409: "Not as things stand now",
    413: "Too much at once",
    415: "Not in this format",
    422: "Something in it cannot be used",
    429: "Too many at once: send it again later",
    502: "A CRM did not say what became of it",
    503: "Not now: send it again later",
}
IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A new one for each thing that you want, the same one when you send it again: it is done once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x21-\x7e]+$"},
}
REPLAYED = {
    "description": "`true`: it was done before under this key, and this is the answer of then",
    "schema": {"type": "string", "enum": ["true"]},
}
LOCATION = {
    "description": "Where to follow it, or to find it",
    "schema": {"type": "string", "format": "uri-reference"},
}
DESCRIPTION = """One definition of a Marketing Qualified Lead, kept true in HubSpot and in Salesforce.

Times are UTC (ISO 8601). Errors are problem+json (RFC 9457) with the next step."""


def install(app: FastAPI) -> None:
    """Adds the document and its pages."""
    page = _page()
    script = "".join(re.findall(r"<script>(.*?)</script>", page, re.DOTALL))
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; connect-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline';"
        f" script-src 'self' 'sha256-{allowed}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    folder = Path(fastapi_offline.__file__).parent / "static"

    @app.get("/openapi.json", include_in_schema=False)
    async def described() -> dict[str, Any]:
        return _document(app)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(
            page, headers={"content-security-policy": policy, "referrer-policy": "no-referrer"}
        )

    app.mount(ASSETS, StaticFiles(directory=folder), name="assets")


def _page() -> str:
    script, style, icon = (f"{ASSETS}/{name}" for name in SHOWN)
    answer = get_swagger_ui_html(
        openapi_url="/openapi.json", title="connector: the API", swagger_js_url=script, swagger_css_url=style,
        swagger_favicon_url=icon, swagger_ui_parameters={"validatorUrl": None},
    )  # fmt: skip
    return bytes(answer.body).decode()


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        found = get_openapi(title="connector", version="v1", description=DESCRIPTION, routes=app.routes)
        schemas = found.setdefault("components", {}).setdefault("schemas", {})
        described = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= described.pop("$defs", {}) | {"Problem": described}
        for path, methods in found["paths"].items():
            for method in METHODS & methods.keys():
                _tell_problems(methods[method])
                if method != "get" and path.startswith("/api/"):
                    _tell_keys(methods[method])
        for left in ("HTTPValidationError", "ValidationError"):
            schemas.pop(left, None)
        app.openapi_schema = found
    return app.openapi_schema


def _tell_keys(operation: dict[str, Any]) -> None:
    operation.setdefault("parameters", []).append(IDEMPOTENCY)
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            answer.setdefault("headers", {})["Idempotency-Replayed"] = REPLAYED
        if status in ("201", "202"):
            answer["headers"]["Location"] = LOCATION


def _tell_problems(operation: dict[str, Any]) -> None:
    content = {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answers = operation["responses"]
    for status, what in PROBLEMS.items():
        if str(status) not in answers or status == 422:  # the framework tells its own
            answers[str(status)] = {"description": what, "content": content}
