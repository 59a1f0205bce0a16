"""The ledger behind `connector.ports.Ledger`: each method hands one transaction to a thread. Holds no SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy.exc import DBAPIError

from connector.core.account import Account, Around
from connector.core.approval import Agreed, Proof
from connector.core.facts import KnownEngagement
from connector.core.model import Census, JsonValue, PlannedWrite, Receipt, RecordState, Ref, Value
from connector.core.override import Override
from connector.core.places import Bar
from connector.core.reconcile import Standing
from connector.core.reviewing import PairAct
from connector.core.undo import Writer
from connector.ledger import (
    store_admin,
    store_ask,
    store_audience,
    store_backfill,
    store_census,
    store_decide,
    store_draft,
    store_explain,
    store_gap,
    store_gather,
    store_job,
    store_lease,
    store_notice,
    store_override,
    store_past,
    store_places,
    store_plan,
    store_pulse,
    store_push,
    store_request,
    store_review,
    store_undo,
    store_usual,
)
from connector.ledger.access import Tokens
from connector.ledger.engine import Database, check_place, parse_url
from connector.ledger.growing import Growing
from connector.ledger.incoming import Incoming
from connector.ledger.keyed import Keyed
from connector.ledger.paging import Paging
from connector.ledger.privacy import Privacy
from connector.ledger.tasking import Tasks
from connector.ledger.telling import Telling
from connector.ledger.upgrade import refuse_other_schema, unreachable, upgrade_connection
from connector.ports import (
    Act,
    Answered,
    Backfill,
    Brake,
    Decided,
    Draft,
    Estimate,
    Facts,
    Gap,
    Held,
    Hold,
    JobRun,
    Judge,
    Kept,
    Lease,
    Neighbourhood,
    NormalizedPage,
    Notice,
    PersonView,
    PlanInfo,
    PlanRow,
    ProbeAnswer,
    Pulse,
    Range,
    Request,
    Reread,
    Review,
    ReviewAnswer,
    ReviewPair,
    RunInfo,
    StageStep,
    StoryLine,
    VersionInfo,
)


def open_ledger(url: str, *, create: bool = True) -> SqlLedger:
    """Open the ledger at this database URL, its schema created or upgraded first.

    `sqlite:///file.db` or `postgresql+psycopg://...`. With `create=False` there must be a ledger already. Raises
    FixConfig for a bad URL, a database that cannot be reached or written, or a schema newer than this code.
    """
    parsed = parse_url(url)
    check_place(parsed, create=create)
    database = Database(parsed, refuse_other_schema)
    try:
        with database.write_engine.begin() as connection:
            upgrade_connection(connection, create=create)
    except DBAPIError as error:
        database.write_engine.dispose()
        raise unreachable(parsed.render_as_string(hide_password=True), error) from error
    except Exception:
        database.write_engine.dispose()
        raise
    return SqlLedger(database)


class SqlLedger(Telling, Tokens, Incoming, Keyed, Paging, Growing, Privacy, Tasks):
    """The only memory, on SQLite or PostgreSQL. See `connector.ports.Ledger` for every promise."""

    def __init__(self, database: Database) -> None:
        self._db = database
        # Due marks as `neighbourhood` met them, until `keep_decisions` has answered them.
        self._seen: store_decide.Marks = {}

    async def close(self) -> None:
        """Let what is under way end, then give threads and connections back. Twice is harmless."""
        await self._db.close()

    # runs

    async def start_run(self, kind: str, crms: Sequence[str], at: datetime, *, asked_by: str = "") -> int:
        """A new run; its number."""
        return await self._db.write(store_admin.start_run, kind, crms, at, asked_by=asked_by)

    async def finish_run(
        self, run: int, status: str, document: Mapping[str, JsonValue], at: datetime
    ) -> None:
        """Its end and the document that was printed."""
        await self._db.write(store_admin.finish_run, run, status, document, at)

    async def runs(self, limit: int = 20) -> list[RunInfo]:
        """The latest runs, newest first."""
        return await self._db.read(store_admin.runs, limit)

    async def run(self, run: int) -> RunInfo | None:
        """One run."""
        return await self._db.read(store_admin.run, run)

    async def gaps(self) -> list[Gap]:
        """Times that were lost when the ledger was restored from a backup, the oldest first."""
        return await self._db.read(store_gap.gaps)

    # leases

    async def acquire(self, name: str, holder: str, at: datetime) -> Lease:
        """Take or take over (expired) a lease, epoch + 1. Raises LeaseBusy while another holder is alive."""
        return await self._db.write(store_lease.acquire, name, holder, at)

    async def renew(self, lease: Lease, at: datetime) -> Lease:
        """Extend by 45 s. Raises LeaseBusy when the epoch has moved on."""
        return await self._db.write(store_lease.renew, lease, at)

    async def release(self, lease: Lease) -> None:
        """Give it back at once; harmless when it was lost meanwhile."""
        await self._db.write(store_lease.release, lease)

    async def holder(self, name: str, at: datetime) -> str | None:
        """Who holds this lease and is alive."""
        return await self._db.read(store_lease.holder, name, at)

    # backfills

    async def ask_backfill(
        self,
        crm: str,
        object: str,
        within: Range,
        yes: bool,
        estimates: Mapping[str, Estimate],
        at: datetime,
        *,
        preflight: Mapping[str, JsonValue] | None = None,
        asked_by: str = "",
    ) -> Backfill:
        """A new backfill, queued, with the run that will work on it."""
        return await self._db.write(
            store_backfill.ask, crm, object, within, yes, estimates, at, preflight, asked_by
        )

    async def backfill(self, run: int) -> Backfill | None:
        """The backfill that this run worked on."""
        return await self._db.read(store_backfill.backfill, run)

    async def unfinished_backfills(self, crm: str | None = None) -> list[Backfill]:
        """Those that somebody may go on with, the oldest first."""
        return await self._db.read(store_backfill.unfinished, crm)

    async def begin_backfill(self, backfill: int, lease: Lease, at: datetime) -> Backfill:
        """An attempt begins."""
        return await self._db.write(store_backfill.begin, backfill, lease, at)

    async def end_stream(self, backfill: int, stream: str, lease: Lease, at: datetime) -> None:
        """The stream's range was read to its end."""
        await self._db.write(store_backfill.end_stream, backfill, stream, lease, at)

    async def settle_backfill(self, backfill: int, status: str, reason: str, at: datetime) -> None:
        """How an attempt ended."""
        await self._db.write(store_backfill.settle, backfill, status, reason, at)

    async def wish_backfill(self, backfill: int, wish: str, at: datetime) -> Backfill:
        """`pause`, `cancel` or `resume` from outside."""
        return await self._db.write(store_backfill.wish, backfill, wish, at)

    async def outcomes(self, run: int, crm: str) -> Mapping[str, int]:
        """The records that a run planned or held back, each once, by how they stand now."""
        return await self._db.read(store_backfill.outcomes, run, crm)

    # work that commands leave to the sidecar

    async def ask_request(
        self, kind: str, crms: Sequence[str], arguments: Mapping[str, JsonValue], asked_by: str, at: datetime
    ) -> Request:
        """A new request, queued."""
        return await self._db.write(store_request.ask, kind, crms, arguments, asked_by, at)

    async def request(self, number: int) -> Request | None:
        """One request, as it stands now."""
        return await self._db.read(store_request.request, number)

    async def open_requests(self) -> list[Request]:
        """Those that nobody has answered, the oldest first."""
        return await self._db.read(store_request.open_requests)

    async def take_request(self, number: int, lease: Lease, at: datetime) -> Request | None:
        """Work on it begins, under its lease."""
        return await self._db.write(store_request.take, number, lease, at)

    async def tell_request(self, number: int, line: str, lease: Lease, at: datetime) -> None:
        """How far it is, for whoever follows it."""
        await self._db.write(store_request.tell, number, line, lease, at)

    async def settle_request(
        self, number: int, status: str, answer: Mapping[str, JsonValue], lease: Lease, at: datetime
    ) -> None:
        """What came of it."""
        await self._db.write(store_request.settle, number, status, answer, lease, at)

    async def withdraw_request(self, number: int, at: datetime) -> bool:
        """Nobody is to take it up any more."""
        return await self._db.write(store_request.withdraw, number, at)

    async def pulse(self, at: datetime) -> Pulse:
        """How many are due at this moment, and since when."""
        return await self._db.read(store_pulse.pulse, at)

    async def schema(self) -> tuple[str, str]:
        """The schema of the database, and the one that this program knows."""
        return await self._db.read(store_pulse.schema)

    # work by the clock

    async def jobs(self) -> Mapping[str, JobRun]:
        """When each job was begun and done last, by name."""
        return await self._db.read(store_job.jobs)

    async def begin_job(self, name: str, lease: Lease, at: datetime) -> None:
        """A try begins, under its lease."""
        await self._db.write(store_job.begin, name, lease, at)

    async def end_job(self, name: str, failed: str, lease: Lease, at: datetime) -> None:
        """It was done to its end, or `failed` says why not."""
        await self._db.write(store_job.end, name, failed, lease, at)

    # configuration

    async def bind(self, crm: str, account: str, at: datetime) -> None:
        """Remember the account this ledger belongs to; FixConfig when it was another."""
        await self._db.write(store_admin.bind, crm, account, at)

    async def adopt_files(
        self,
        files: Mapping[str, str],
        at: datetime,
        *,
        reread: Reread | None = None,
        author: str = "",
        note: str = "",
    ) -> int:
        """The definition now in force; a new version, all people due, when it differs from the last."""
        return await self._db.write(
            store_admin.adopt_files, files, at, reread=reread, author=author, note=note
        )

    async def files(self, version: int | None = None) -> Mapping[str, str]:
        """The texts of a version of the definition, by name; the one in force unless told."""
        return await self._db.read(store_admin.files, version)

    async def version(self) -> int | None:
        """The number of the definition in force; None before the first."""
        return await self._db.read(store_admin.version)

    async def bound(self, crm: str) -> str | None:
        """The account of this CRM that the ledger belongs to; None before the first run."""
        return await self._db.read(store_admin.bound, crm)

    async def keep_draft(
        self,
        files: Mapping[str, str],
        base: int,
        author: str,
        note: str,
        at: datetime,
        *,
        brings_back: int | None = None,
    ) -> Draft:
        """The open draft of these files; a new one where there is none. `brings_back`: whose files they are again."""
        return await self._db.write(
            store_draft.keep_draft, files, base, author, note, at, brings_back=brings_back
        )

    async def drafts(self, *, number: int | None = None, status: str | None = None) -> list[Draft]:
        """The newest first."""
        return await self._db.read(store_draft.drafts, number=number, status=status)

    async def approve_draft(self, number: int, agreed: Agreed) -> Draft:
        """Add one side's word. StopRun where the draft is not open (any more), or that side has spoken."""
        return await self._db.write(store_draft.approve_draft, number, agreed)

    async def settle_draft(
        self, number: int, status: str, by: str, at: datetime, *, version: int | None = None
    ) -> None:
        """How an open draft ended: published (as a version) or discarded. StopRun where it is not open any more."""
        await self._db.write(store_draft.settle_draft, number, status, by, at, version=version)

    async def overtake(self, files: Mapping[str, str], base: int, by: str, at: datetime) -> None:
        """This edit does not put itself in force any more. One that waits for somebody's approval goes on waiting."""
        await self._db.write(store_draft.overtake, files, base, by, at)

    async def history(self, limit: int = 50) -> list[VersionInfo]:
        """The versions of the definition, the newest first."""
        return await self._db.read(store_draft.history, limit)

    async def sign(
        self,
        version: int,
        author: str,
        note: str,
        agreed: Sequence[Agreed] = (),
        brings_back: int | None = None,
    ) -> None:
        """Who put a version in force, why, and who had agreed."""
        await self._db.write(store_draft.sign, version, author, note, agreed, brings_back)

    async def adopt_targets(self, crm: str, targets: Sequence[str], at: datetime) -> bool:
        """Remember which targets can be written to; True, and everybody due, when some are new."""
        return await self._db.write(store_admin.adopt_targets, crm, targets, at)

    async def learn(self, crm: str, answers: Sequence[ProbeAnswer], at: datetime) -> None:
        """Keep what probes found out about this CRM's account."""
        await self._db.write(store_admin.learn, crm, answers, at)

    async def learned(self, crm: str) -> list[tuple[ProbeAnswer, datetime]]:
        """What probes found out about this CRM's account, and when."""
        return await self._db.read(store_admin.learned, crm)

    async def load_sealed(self, crm: str) -> str | None:
        """The sealed refresh token of a CRM."""
        return await self._db.read(store_admin.load_sealed, crm)

    async def save_sealed(self, crm: str, sealed: str, at: datetime) -> None:
        """Replace it. Whoever calls has sealed it."""
        await self._db.write(store_admin.save_sealed, crm, sealed, at)

    # gather

    async def cursor(self, crm: str, stream: str) -> Mapping[str, JsonValue] | None:
        """The stream's watermark; None before its first page."""
        return await self._db.read(store_gather.cursor, crm, stream)

    async def readings(self, refs: Sequence[Ref]) -> Mapping[tuple[Ref, str], float]:
        """The last readings of these records' counters."""
        return await self._db.read(store_gather.readings, refs)

    async def in_bands(self, crm: str, bands: Sequence[int], limit: int) -> list[Ref]:
        """Live person records of this CRM by their person's band, highest score first."""
        return await self._db.read(store_ask.in_bands, crm, bands, limit)

    async def keep_segments(
        self, crm: str, segments: Mapping[tuple[str, str, str], frozenset[str]], lease: Lease, at: datetime
    ) -> None:
        """Who is on the lists by which a CRM says something above the rules."""
        await self._db.write(store_override.keep_segments, crm, segments, lease, at, self.box)

    async def absent(self, crm: str, stream: str, census: Census) -> list[str]:
        """Ids known in the census's state and range that it did not meet."""
        return await self._db.read(store_census.absent, crm, stream, census)

    async def standing(self, crm: str, object: str, within: Range) -> int:
        """How many records of an object are not deleted and were last changed in this range."""
        return await self._db.read(store_census.standing, crm, object, within)

    async def newest(self, crm: str, object: str) -> datetime | None:
        """The latest change of any record of an object, as far as it was told."""
        return await self._db.read(store_census.newest, crm, object)

    async def stamps(self, refs: Sequence[Ref]) -> Mapping[Ref, datetime]:
        """When these records were last changed, as their CRM last told."""
        return await self._db.read(store_census.stamps, refs)

    async def keep(self, page: NormalizedPage, lease: Lease, run: int, at: datetime) -> Kept:
        """Rows, watermark and due marks in one commit. Only news makes people due."""
        return await self._db.write(store_gather.keep, page, lease, run, at, self.box)

    # decide

    async def due(
        self,
        crms: Sequence[str],
        at: datetime,
        limit: int,
        *,
        after: Ref | None = None,
        backfill: int | None = None,
    ) -> list[Ref]:
        """Person records that are due now, in order, after this one."""
        return await self._db.read(store_decide.due, crms, at, limit, after=after, backfill=backfill)

    async def neighbourhood(self, refs: Sequence[Ref]) -> Neighbourhood:
        """The closure over explicit ids and shared addresses, dead records included."""
        found, marks = await self._db.read(store_decide.neighbourhood, refs)
        self._seen.update(marks)
        return found

    async def facts(self, groups: Sequence[Sequence[Ref]], around: Around | None = None) -> list[Facts]:
        """Per group, in order."""
        return await self._db.read(store_decide.facts, groups, around)

    async def written(self, refs: Sequence[Ref]) -> Mapping[tuple[Ref, str], Held]:
        """What we last wrote to these records, by record and vendor field."""
        return await self._db.read(store_decide.written, refs)

    async def keep_notice(self, notice: Notice, key: str) -> None:
        """Keep what somebody is to be told; `key` makes it one thing of its kind, however often it is kept."""
        await self._db.write(store_notice.keep_one, notice, key)

    async def notices(
        self,
        person: int | None = None,
        since: datetime | None = None,
        limit: int = 100,
        *,
        run: int | None = None,
    ) -> list[Notice]:
        """What somebody is, or was, to be told, the newest first."""
        return await self._db.read(store_notice.find, person, since, limit, run)

    async def open_plan(
        self,
        run: int,
        crm: str,
        lease: Lease,
        at: datetime,
        *,
        kind: str = "sync",
        undoes: int | None = None,
    ) -> int:
        """A new open plan; older open ones end, and what they had not sent is due again."""
        return await self._db.write(store_decide.open_plan, run, crm, lease, at, kind=kind, undoes=undoes)

    async def keep_decisions(
        self,
        run: int,
        decisions: Sequence[Decided],
        plans: Mapping[str, int],
        reviews: Sequence[Review],
        clear: Sequence[Ref],
        lease: Lease,
        at: datetime,
    ) -> None:
        """Identities, scores, stages, histories and plan rows in one commit; due marks of `clear` go."""
        answered = {str(ref) for ref in (*clear, *(ref for decided in decisions for ref in decided.refs))}
        seen = {ref: self._seen[ref] for ref in answered if ref in self._seen}
        await self._db.write(
            store_decide.keep_decisions, run, decisions, plans, reviews, clear, lease, at, seen
        )
        for ref in seen:
            self._seen.pop(ref, None)

    # push

    async def plan_rows(
        self,
        plan: int,
        *,
        status: str | None = None,
        limit: int | None = None,
        after: int = 0,
    ) -> list[PlanRow]:
        """Rows of a plan by id, after this id."""
        return await self._db.read(store_push.plan_rows, plan, status=status, limit=limit, after=after)

    async def plans(self, limit: int = 20, *, at: datetime | None = None) -> list[PlanInfo]:
        """The latest plans, newest first; with `at`, open ones older than 24 h by then are told as expired."""
        return await self._db.read(store_plan.plans, limit, at=at)

    async def plan(self, plan: int, *, at: datetime | None = None) -> PlanInfo | None:
        """One plan, told as `plans` tells it."""
        return await self._db.read(store_plan.plan, plan, at=at)

    async def open_plans(self, *, at: datetime | None = None) -> list[PlanInfo]:
        """The open ones, at most one a CRM."""
        return await self._db.read(store_plan.open_plans, at=at)

    async def retire_plans(
        self, crms: Sequence[str], lease: Lease, at: datetime, *, anew: bool = False
    ) -> None:
        """End the open plans that a new run replaces whatever it finds."""
        await self._db.write(store_plan.retire, crms, lease, at, anew=anew)

    async def carry_approval(self, plan: int, lease: Lease, at: datetime) -> bool:
        """An approval of the same content holds for this plan too."""
        return await self._db.write(store_plan.carry_approval, plan, lease, at)

    async def ever_applied(self, crm: str) -> bool:
        """Whether any plan of this CRM has been sent, whole or in part."""
        return await self._db.read(store_plan.ever_applied, crm)

    async def hold_plan(self, plan: int, held: str, lease: Lease, at: datetime) -> None:
        """Say why a plan waits for a human."""
        await self._db.write(store_plan.hold, plan, held, lease, at)

    async def tell_of_plan(self, plan: int, name: str, value: JsonValue, at: datetime) -> None:
        """Keep something worth telling about a plan as a whole."""
        await self._db.write(store_plan.tell, plan, name, value, at)

    async def approve_plan(
        self, plan: int, by: str, note: str, at: datetime, *, proof: Proof = Proof.CLAIMED
    ) -> None:
        """A human approves of an open plan."""
        await self._db.write(store_plan.approve, plan, by, note, at, proof)

    # what a plan is held against

    async def people_in_scope(self, crm: str, audience: str | None = None) -> int:
        """People with a live record in this CRM that is in scope; of an audience alone, where one is named."""
        if audience is None:
            return await self._db.read(store_usual.people_in_scope, crm)
        return await self._db.read(store_audience.people_in_scope, crm, audience)

    async def live_records(self, crm: str, objects: Sequence[str]) -> int:
        """Live records of these objects of a CRM."""
        return await self._db.read(store_usual.live_records, crm, objects)

    async def finished_syncs(self, crm: str, limit: int) -> list[RunInfo]:
        """The latest runs that read this CRM by its watermarks and succeeded, newest first."""
        return await self._db.read(store_usual.finished_syncs, crm, limit)

    async def sent_by_backfill(self, backfill: int) -> Mapping[str, int]:
        """Of how many people a backfill has sent writes so far, in all its attempts, by `PlanRow.kind`."""
        return await self._db.read(store_usual.sent_by_backfill, backfill)

    async def person_fields(self, people: Sequence[int]) -> Mapping[int, Mapping[str, Value]]:
        """What these people are, as settled at their last decision."""
        return await self._db.read(store_usual.person_fields, people)

    # undo

    async def plans_of(self, run: int) -> list[PlanInfo]:
        """The plans of a run, oldest first."""
        return await self._db.read(store_undo.plans_of, run)

    async def written_rows(
        self, run: int, crm: str, limit: int, *, after: Ref | None = None
    ) -> list[PlanRow]:
        """What a run wrote to the next so many records of a CRM."""
        return await self._db.read(store_undo.written_rows, run, crm, limit, after=after)

    async def writers(self, rows: Sequence[int]) -> Mapping[int, Writer]:
        """Whose writes these plan rows are."""
        return await self._db.read(store_undo.writers, rows)

    async def keep_undo(
        self, plan: int, rows: Sequence[tuple[int, PlannedWrite]], lease: Lease, at: datetime
    ) -> None:
        """Add rows to a plan of kind `undo`."""
        await self._db.write(store_undo.keep_undo, plan, rows, lease, at)

    # the brake, and fields that are left alone

    async def brakes(self) -> Mapping[str, Brake]:
        """The CRMs to which nothing is pushed now."""
        return await self._db.read(store_plan.brakes)

    async def set_brake(self, crm: str, on: bool, by: str, why: str, at: datetime) -> None:
        """`stop` or `start`; twice is harmless."""
        await self._db.write(store_plan.set_brake, crm, on, by, why, at)

    async def holds(self, refs: Sequence[Ref] | None = None, *, kind: str | None = None) -> list[Hold]:
        """The holds on these records (None: on all), in order."""
        return await self._db.read(store_plan.holds, refs, kind=kind)

    async def keep_holds(self, holds: Sequence[Hold], at: datetime) -> None:
        """Add or replace, by record, field and kind."""
        await self._db.write(store_decide.keep_holds, holds, at)

    async def release_holds(self, holds: Sequence[Hold], by: str, at: datetime) -> None:
        """Leave these fields alone no longer; their records are due."""
        await self._db.write(store_plan.release_holds, holds, by, at)

    # what is under way

    async def sending(self, crm: str) -> list[PlanRow]:
        """Rows that were under way when a process died."""
        return await self._db.read(store_push.sending, crm)

    async def mark_sending(
        self,
        rows: Sequence[PlanRow],
        aside: Sequence[tuple[PlanRow, str]],
        lease: Lease,
        at: datetime,
        *,
        ended: Mapping[Ref, tuple[RecordState, Ref | None]] | None = None,
    ) -> None:
        """Before a batch leaves: `rows` become sending, `aside` set aside, `ended` records are targets no more."""
        await self._db.write(store_push.mark_sending, rows, aside, lease, at, ended or {})

    async def keep_job(self, rows: Sequence[PlanRow], job: str, lease: Lease) -> None:
        """The vendor's job that carries these rows, before they are uploaded."""
        await self._db.write(store_push.keep_job, rows, job, lease)

    async def companies(self, refs: Sequence[Ref]) -> Mapping[Ref, str]:
        """The company of these person records, where they have one."""
        return await self._db.read(store_push.companies, refs)

    async def receive(
        self, rows: Sequence[PlanRow], receipts: Sequence[Receipt], lease: Lease, at: datetime
    ) -> None:
        """Receipts, last written values, refusals and redirected records in one commit."""
        await self._db.write(store_push.receive, rows, receipts, lease, at)

    async def correct(
        self, stands: Mapping[Ref, Mapping[str, JsonValue]], lease: Lease, at: datetime
    ) -> None:
        """What stands in fields of these records, other than their receipts say."""
        await self._db.write(store_push.correct, stands, lease, at)

    async def wait(self, plan: int, reason: str, lease: Lease, at: datetime) -> int:
        """All still planned rows of a plan become waiting. Returns how many."""
        return await self._db.write(store_push.wait, plan, reason, lease, at)

    async def close_plan(self, plan: int, status: str, lease: Lease, at: datetime, *, by: str = "") -> None:
        """End a plan: applied, empty, superseded, discarded or expired."""
        await self._db.write(store_push.close_plan, plan, status, lease, at, by=by)

    # the audit trail

    async def note(
        self, subject: str, act: str, by: str, detail: Mapping[str, JsonValue], at: datetime
    ) -> None:
        """Add an act to the audit trail."""
        await self._db.write(store_admin.note, subject, act, by, detail, at)

    async def acts(self, subject: str) -> list[Act]:
        """What the audit trail says of something, oldest first."""
        return await self._db.read(store_admin.acts, subject)

    # questions

    async def find(self, who: str) -> list[int]:
        """Person ids by e-mail address, record id, `crm:object:id` or `person:ID`."""
        return await self._db.read(store_ask.find, who)

    async def person(self, person: int) -> PersonView | None:
        """A person as the last decision left them."""
        return await self._db.read(store_ask.person, person)

    async def planned_values(
        self, plan: int, limit: int, *, after: int = 0
    ) -> Mapping[int, Sequence[tuple[Ref, Mapping[str, JsonValue]]]]:
        """The people to whom a plan writes, by person id after this one, and what vendors say of them."""
        return await self._db.read(store_plan.planned_values, plan, limit, after=after)

    async def standings(self, crm: str, limit: int, *, after: str = "") -> list[Standing]:
        """Live person records of a CRM beside the score of their person, by ref, after this one."""
        return await self._db.read(store_ask.standings, crm, limit, after=after)

    async def names(self, people: Sequence[int]) -> Mapping[int, Mapping[str, Value]]:
        """The fields of these people as the last decision left them, by person id."""
        return await self._db.read(store_ask.names, people)

    async def story(self, person: int, judge: Judge | None = None) -> list[StoryLine]:
        """What happened to a person, oldest first; with `judge`, also what was not counted, and why."""
        return await self._db.read(store_ask.story, person, judge)

    async def stage_steps(self, person: int) -> list[StageStep]:
        """A person's own steps, oldest first, each with the state that it went on from."""
        return await self._db.read(store_explain.stage_steps, person)

    async def erased(self, refs: Sequence[Ref], emails: Sequence[str]) -> list[KnownEngagement]:
        """Their engagement that its CRM has deleted; `known_at` is when we learned of that."""
        return await self._db.read(store_explain.erased, refs, emails)

    async def account_then(self, account: Account, person: int, at: datetime, known_at: datetime) -> Account:
        """This account with who was engaged in it and who else was MQL at `at`, by what was known at `known_at`."""
        return await self._db.read(store_past.account_then, account, person, at, known_at)

    async def pair_acts(self, refs: Sequence[Ref]) -> list[PairAct]:
        """What humans did to pairs in which one of these records is, in order; what was taken back too."""
        return await self._db.read(store_explain.pair_acts, refs)

    async def version_at(self, at: datetime) -> int | None:
        """The version of the definition in force at this moment; None before the first."""
        return await self._db.read(store_explain.version_at, at)

    async def people(
        self,
        *,
        stage: str | None = None,
        status: str | None = None,
        audience: str | None = None,
        sort: str = "score",
        after: tuple[float, int] | None = None,
        limit: int = 50,
    ) -> list[PersonView]:
        """By `sort`, highest first."""
        return await self._db.read(
            store_audience.people,
            stage=stage, status=status, audience=audience, sort=sort, after=after, limit=limit,
        )  # fmt: skip

    async def audiences(self, people: Sequence[int]) -> Mapping[int, str]:
        """Who of these people is in an audience, and in which."""
        return await self._db.read(store_audience.audiences, people)

    async def audience_sizes(self) -> Mapping[str, int]:
        """How many people are in each audience now; under the empty name those in none."""
        return await self._db.read(store_audience.audience_sizes)

    async def mqls_by_audience(self) -> Mapping[str, int]:
        """How many MQLs are in each audience now; under the empty name those in none."""
        return await self._db.read(store_audience.mqls_by_audience)

    async def records_about(self, audience: str, refs: Sequence[Ref]) -> set[Ref]:
        """Those of these person records that are somebody's in this audience; empty: in none."""
        return await self._db.read(store_audience.records_about, audience, refs)

    async def plans_about(self, audience: str, plans: Sequence[int]) -> set[int]:
        """Those of these plans that hold a record of somebody in this audience."""
        return await self._db.read(store_audience.plans_about, audience, plans)

    async def members(self, limit: int, *, after: int = 0) -> list[tuple[int, tuple[Ref, ...]]]:
        """The next so many people who have records, by id, with their records in order."""
        return await self._db.read(store_ask.members, limit, after=after)

    # places among the best

    async def entered_mql(self, audiences: Collection[str], since: datetime) -> int:
        """How many of these audiences became MQL after this moment; who was taken back since does not count."""
        return await self._db.read(store_places.entered, audiences, since)

    async def waiting(self, contest: str) -> list[tuple[int, float]]:
        """Who waits for a place in this contest: (person, score)."""
        return await self._db.read(store_places.waiting, contest)

    async def in_the_running(self, audiences: Collection[str]) -> int:
        """How many people of these audiences are not disqualified."""
        return await self._db.read(store_places.in_the_running, audiences)

    async def score_of_rank(self, audiences: Collection[str], rank: int) -> float | None:
        """The score at this place among them, from 1; None where there are not so many."""
        return await self._db.read(store_places.score_of_rank, audiences, rank)

    async def take_up(self, people: Sequence[int], lease: Lease, at: datetime) -> None:
        """All records of these people are due."""
        await self._db.write(store_places.take_up, people, lease, at)

    async def keep_bars(self, bars: Sequence[Bar], run: int, lease: Lease) -> None:
        """Add the relative bars that a run found."""
        await self._db.write(store_places.keep_bars, bars, run, lease)

    async def bars(self) -> list[Bar]:
        """The newest relative bar of each contest, by name."""
        return await self._db.read(store_places.bars)

    async def stage_counts(self) -> Mapping[str, int]:
        """How many people stand in each stage now."""
        return await self._db.read(store_ask.stage_counts)

    # pairs that a human looks at

    async def reviews(self, *, answered: bool = False) -> list[Review]:
        """The pairs that wait for a human, or those that humans have answered."""
        return await self._db.read(store_review.reviews, answered=answered)

    async def review_pairs(self, *, answered: bool = False) -> list[ReviewPair]:
        """The same beside their evidence, by number."""
        return await self._db.read(store_review.pairs, answered=answered)

    async def review(self, a: Ref, b: Ref) -> Review | None:
        """This pair."""
        return await self._db.read(store_review.review_of, a, b)

    async def review_numbered(self, number: int) -> Review | None:
        """The pair of this number."""
        return await self._db.read(store_review.numbered, number)

    async def knows_person_record(self, ref: Ref) -> bool:
        """Whether this is a person's record that was read."""
        return await self._db.read(store_review.knows, ref)

    async def answer_review(
        self,
        a: Ref,
        b: Ref,
        answer: str,
        at: datetime,
        *,
        author: str = "",
        note: str = "",
        told: Sequence[str] = (),
    ) -> Answered:
        """A human's `join` or `split`; both records become due."""
        return await self._db.write(
            store_review.answer_review, a, b, answer, at, author=author, note=note, told=told
        )

    async def answer_reviews(
        self, answers: Sequence[ReviewAnswer], at: datetime, *, author: str = ""
    ) -> list[Answered]:
        """Many answers, all of them or none."""
        return await self._db.write(store_review.answer_reviews, answers, at, author=author)

    async def undo_review(
        self, a: Ref, b: Ref, at: datetime, *, author: str = "", note: str = ""
    ) -> Answered:
        """The last answer is taken back; both records become due."""
        return await self._db.write(store_review.undo_review, a, b, at, author=author, note=note)

    async def add_overrides(
        self, words: Sequence[Override], at: datetime, *, again: bool = True
    ) -> list[Override]:
        """Keep what a human says above the rules; whom it concerns is due. `again=False`: only what is new."""
        return await self._db.write(store_override.add, words, at, again=again, box=self.box)

    async def end_overrides(self, ids: Sequence[int], by: str, at: datetime) -> list[Override]:
        """These hold no longer; whom they concern is due."""
        return await self._db.write(store_override.end, ids, by, at)

    async def overrides(self, *, ended: bool = False) -> list[Override]:
        """What humans say above the rules, newest first."""
        return await self._db.read(store_override.listed, ended=ended)

    async def overrides_about(self, audience: str, words: Sequence[Override]) -> list[Override]:
        """Those of these words that may concern somebody in this audience; empty: in none."""
        return await self._db.read(store_override.about, audience, words)

    async def overrides_by_id(self, ids: Collection[int]) -> Mapping[int, Override]:
        """These overrides, ended ones too."""
        return await self._db.read(store_override.by_id, ids)

    async def overridden(self, people: Collection[int]) -> Mapping[int, int]:
        """The override in force at the last decision, by person, of those of these people who have one."""
        return await self._db.read(store_override.overridden, people)

    async def overrides_of(self, refs: Sequence[Ref]) -> tuple[Override, ...]:
        """All that was ever said of the person with these records, oldest first."""
        return await self._db.read(store_override.of_refs, refs)

    async def named(self, names: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
        """The (scope, record) that each of these names may mean."""
        return await self._db.read(store_override.named, names)

    async def concerned(self, words: Sequence[Override]) -> int:
        """How many person records these words may concern."""
        return await self._db.read(store_override.concerned, words)

    async def in_quarantine(self, crm: str, limit: int = 100) -> list[tuple[str, str, str]]:
        """Rows that could not be read as records: (object, id, why)."""
        return await self._db.read(store_ask.in_quarantine, crm, limit)
