"""Plain pages: `/` about the state of each CRM, the last runs and the plans that wait; `/people/NUMBER` about one
person, where links lead. No script, nothing from outside; whatever they show is escaped, and a browser is told to run
nothing even so.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from connector.app.api.guard import Reader
from connector.app.api.v1.inputs import InPath
from connector.app.api.v1.people import explained
from connector.app.explain_lines import lines_now
from connector.app.sidecar import Sidecar
from connector.app.sidecar.meters import PATIENCE
from connector.app.status import CrmState, State, state_of
from connector.errors import ConnectorError
from connector.phases.standstill import told
from connector.ports import PlanInfo, RunInfo

RUNS = 10
AGAIN = 60  # seconds, then a page that stays open is read anew
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; } .quiet { opacity: .7; } nav a { margin-right: 1rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem 1rem .4rem 0; border-bottom: 1px solid #8884; }
th { font-weight: 600; white-space: nowrap; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
td.moment { white-space: nowrap; }
.good::before { content: "\\25cf\\a0 "; color: #1a8a3c; } .bad::before { content: "\\25b2\\a0 "; color: #c62828; }
.line { white-space: pre-wrap; font-variant-numeric: tabular-nums; }
.wait::before { content: "\\25a0\\a0 "; color: #b26a00; }
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
LINKS = (
    ("/docs", "The API"),
    ("/openapi.json", "OpenAPI"),
    ("/metrics", "Metrics"),
    ("/readyz", "Readiness"),
    ("/healthz", "Health"),
)
GOOD, BAD, WAIT = "good", "bad", "wait"
_STATUS = {
    "succeeded": GOOD,
    "failed": BAD,
    "partial": BAD,
    "cancelled": WAIT,
    "running": WAIT,
    "queued": WAIT,
}


def router(side: Sidecar) -> APIRouter:
    """`/`, `/people/{number}`."""
    app = APIRouter()

    @app.get("/", include_in_schema=False)
    async def page(caller: Reader) -> HTMLResponse:
        now = side.parts.clock.now()
        try:
            async with asyncio.timeout(PATIENCE):
                return HTMLResponse(html(await state_of(side), now), headers=HEADERS)
        except (ConnectorError, TimeoutError) as error:  # whoever looks now looks because of it
            return HTMLResponse(away(str(error) or "The ledger does not answer.", now), 503, headers=HEADERS)

    @app.get("/people/{number}", include_in_schema=False)
    async def person(caller: Reader, number: InPath) -> HTMLResponse:
        now = side.parts.clock.now()
        found = await explained(side, str(number), now)
        return HTMLResponse(person_html(number, list(lines_now(found))), headers=HEADERS)

    return app


def html(state: State, now: datetime) -> str:
    """The whole page."""
    crms = ("CRM", "State", "Pushing", "Last run", "Next sync", "Served by", "Open plan")
    runs = ("Run", "What", "Status", "CRMs", "Started (UTC)", "Took", "People", "Written", "Error")
    plans = ("Plan", "CRM", "What", "Run", "Records", "Waits because", "Expires (UTC)")
    parts = [
        *(f"<p>{line}</p>" for line in _lines(state)),
        "<h2>CRMs</h2>",
        _table(crms, [_crm(each) for each in state.crms]),
        "<h2>Last runs</h2>",
        _table(runs, [_run(each) for each in state.runs[:RUNS]]) if state.runs else "<p>No run yet.</p>",
        "<h2>Open plans</h2>",
        _table(plans, [_plan(each) for each in state.plans]) if state.plans else "<p>No plan is open.</p>",
    ]
    return _first_page(parts, now)


def away(why: str, now: datetime) -> str:
    """The page while the ledger tells nothing."""
    return _first_page([f"<p>{_marked(BAD, why)}</p>"], now)


def _first_page(parts: Sequence[str], now: datetime) -> str:
    links = "".join(f'<a href="{path}">{escape(name)}</a>' for path, name in LINKS)
    head = f"<header><h1>connector</h1><p class=quiet>As of {_when(now)} UTC</p><nav>{links}</nav></header>"
    return _page("connector", [head, *parts], f'<meta http-equiv=refresh content="{AGAIN}">')


def person_html(number: int, lines: Sequence[str]) -> str:
    """The page of one person: the lines that `connector explain` prints. A line that is not indented begins a part."""
    parts = ["<header><p><a href=/>connector</a></p></header>"]
    for line in lines:
        if line.startswith(" "):
            parts.append(f"<p class=line>{escape(line[2:])}</p>")
        else:
            parts.append(f"<h2>{escape(line)}</h2>")
    return _page(f"Person {number}", parts)


def _page(title: str, parts: Iterable[str], more: str = "") -> str:
    return (
        f"<!doctype html>\n<html lang=en><head><meta charset=utf-8>{more}"
        f'<meta name=viewport content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _lines(state: State) -> Iterable[str]:
    """About the sidecar as a whole."""
    if state.stopping:
        yield _marked(WAIT, "It is stopping.")
    if state.definition is None:
        yield _marked(WAIT, "No definition is in force yet: the first sync takes the files of the folder.")
    else:
        yield _marked(GOOD, f"Version {state.definition} of the definition is in force.")
    if state.differs:
        yield _marked(WAIT, state.differs)
    if state.review:
        yield _marked(
            BAD if state.review == "overdue" else WAIT, f"The review of the definition is {state.review}."
        )
    due, oldest = state.pulse.due, state.pulse.oldest
    since = f", the oldest since {_when(oldest)} UTC" if oldest else ""
    yield escape(f"{due:,} records are due to be decided{since}.") if due else "Nobody is due to be decided."


def _crm(each: CrmState) -> Sequence[str]:
    state = {
        True: _marked(GOOD, "answers"),
        False: _marked(BAD, each.error or "away"),
        None: "not asked yet",
    }[each.ok]
    if each.ok and each.error:
        state = _marked(BAD, each.error)
    last = each.last_run
    return (
        _cell(f"<strong>{escape(each.crm)}</strong>"),
        _cell(state),
        _cell(_marked(BAD, told(each.brake)) if each.brake else _marked(GOOD, "goes on")),
        _cell(f"{last.id}, {_status(last.status)}, {_when(last.finished_at)}" if last else "none yet"),
        _cell(_when(each.next_sync) if each.next_sync else "not scheduled" if each.here else "that one tells"),
        _cell(escape(each.served_by or "nobody") + (" (here)" if each.here else "")),
        _cell(_marked(WAIT, f"{each.plan.id}: {each.plan.held or 'not sent yet'}") if each.plan else "none"),
    )  # fmt: skip


def _run(run: RunInfo) -> Sequence[str]:
    counts = run.document.get("crms") or {}
    written = sum(each.get("written", 0) for each in counts.values())
    errors = [f"{crm}: {each['error']}" for crm, each in counts.items() if each.get("error")]
    errors += [str(run.document["error"])] if run.document.get("error") else []
    took = f"{(run.finished_at - run.started_at).total_seconds():,.0f} s" if run.finished_at else "goes on"
    return (
        _cell(str(run.id)),
        _cell(escape(run.kind)),
        _cell(_status(run.status)),
        _cell(escape(", ".join(run.crms))),
        _cell(_when(run.started_at), "moment"),
        _cell(took, "number"),
        _cell(f"{run.document.get('people', 0):,}", "number"),
        _cell(f"{written:,}", "number"),
        _cell(escape("; ".join(errors))),
    )


def _plan(plan: PlanInfo) -> Sequence[str]:
    return (
        _cell(str(plan.id)),
        _cell(escape(plan.crm)),
        _cell(escape(plan.kind)),
        _cell(str(plan.run)),
        _cell(f"{sum(plan.counts.values()):,}", "number"),
        _cell(_marked(WAIT, plan.held or "not sent yet")),
        _cell(_when(plan.expires_at), "moment"),
    )


def _status(status: str) -> str:
    return _marked(_STATUS.get(status, WAIT), status)


def _marked(how: str, text: str) -> str:
    return f"<span class={how}>{escape(text)}</span>"


def _cell(html: str, kind: str = "") -> str:
    return f"<td{f' class={kind}' if kind else ''}>{html}</td>"


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(row)}</tr>\n" for row in rows)
    return f"<div class=wide><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"


def _when(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M") if moment else "-"
