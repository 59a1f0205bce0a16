"""The port to the only memory: what may be asked of it and kept there, and what each call promises."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol

from connector.core.account import Around
from connector.core.approval import Proof
from connector.core.facts import Facts, Held, Hold
from connector.core.handoff import CrmUser
from connector.core.model import (
    Census,
    JsonValue,
    PlannedWrite,
    Receipt,
    RecordState,
    Ref,
    Value,
)
from connector.core.places import Bar
from connector.core.reconcile import Standing
from connector.core.undo import Writer
from connector.ports.access import Token
from connector.ports.crm import Estimate, Range
from connector.ports.memory import (
    Answered,
    Backfill,
    Brake,
    Decided,
    Gap,
    Judge,
    Kept,
    Lease,
    Neighbourhood,
    NormalizedPage,
    Notice,
    PersonView,
    PlanInfo,
    PlanRow,
    Request,
    Reread,
    Review,
    RunInfo,
    StoryLine,
)


class Ledger(Protocol):
    """The only memory. Every method is one transaction; every writing one checks the epoch of its lease.

    `at` is the moment by the caller's clock: the ledger has none of its own.
    """

    # runs
    async def start_run(self, kind: str, crms: Sequence[str], at: datetime, *, asked_by: str = "") -> int: ...
    async def finish_run(
        self, run: int, status: str, document: Mapping[str, JsonValue], at: datetime
    ) -> None: ...
    async def runs(self, limit: int = 20) -> list[RunInfo]: ...
    async def run(self, run: int) -> RunInfo | None: ...
    async def gaps(self) -> Sequence[Gap]:
        """Times that were lost when the ledger was restored from a backup, the oldest first."""
        ...

    # leases
    async def acquire(self, name: str, holder: str, at: datetime) -> Lease:
        """Take or take over (expired) a lease, epoch + 1. Raises LeaseBusy while another holder is alive."""
        ...

    async def renew(self, lease: Lease, at: datetime) -> Lease:
        """Extend by 45 s. Raises LeaseBusy when the epoch has moved on."""
        ...

    async def release(self, lease: Lease) -> None: ...

    async def holder(self, name: str, at: datetime) -> str | None:
        """Who holds this lease and is alive; None where nobody is."""
        ...

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
        """A new one, queued, for these streams in this order, with a run that waits for it. Its plans are told to be
        asked for by the same."""
        ...

    async def backfill(self, run: int) -> Backfill | None:
        """The backfill that this run worked on."""
        ...

    async def unfinished_backfills(self, crm: str | None = None) -> list[Backfill]:
        """Those that somebody may go on with, the oldest first."""
        ...

    async def begin_backfill(self, backfill: int, lease: Lease, at: datetime) -> Backfill:
        """An attempt begins; its run is `run` of what is returned. StopRun when it has ended."""
        ...

    async def end_stream(self, backfill: int, stream: str, lease: Lease, at: datetime) -> None:
        """The stream's range was read to its end."""
        ...

    async def settle_backfill(self, backfill: int, status: str, reason: str, at: datetime) -> None:
        """How an attempt ended. Ended for good, what is still held for it becomes due for every run."""
        ...

    async def wish_backfill(self, backfill: int, wish: str, at: datetime) -> Backfill:
        """`pause`, `cancel` or `resume`: at once without a runner, else at its next page. StopRun when it has ended."""
        ...

    async def outcomes(self, run: int, crm: str) -> Mapping[str, int]:
        """The records that a run planned or held back, each once, by how they stand now."""
        ...

    # work that commands leave to the sidecar
    async def ask_request(
        self, kind: str, crms: Sequence[str], arguments: Mapping[str, JsonValue], asked_by: str, at: datetime
    ) -> Request:
        """A new one, queued."""
        ...

    async def request(self, number: int) -> Request | None: ...

    async def open_requests(self) -> list[Request]:
        """Those that nobody has answered, the oldest first."""
        ...

    async def take_request(self, number: int, lease: Lease, at: datetime) -> Request | None:
        """Work on it begins, under its lease (`request_lease`). None where it was answered or withdrawn meanwhile."""
        ...

    async def tell_request(self, number: int, line: str, lease: Lease, at: datetime) -> None:
        """How far it is, for whoever follows it."""
        ...

    async def settle_request(
        self, number: int, status: str, answer: Mapping[str, JsonValue], lease: Lease, at: datetime
    ) -> None:
        """What came of it: `done` or `failed`; `queued`: left to whoever comes next. Its lease ends with it."""
        ...

    async def withdraw_request(self, number: int, at: datetime) -> bool:
        """Nobody is to take it up any more. False where somebody is at it, or has answered it."""
        ...

    # who may ask
    async def make_token(
        self,
        name: str,
        role: str,
        hash: str,
        by: str,
        at: datetime,
        *,
        expires_at: datetime,
        service: bool = False,
    ) -> Token:
        """A new token, known by its SHA-256 in hexadecimal; the audit trail says who made it. FixConfig where somebody
        of this name (`same_name`) has a live one: a name is one person, or one program."""
        ...

    async def tokens(self) -> list[Token]:
        """All that were ever made, revoked and expired ones too, the newest first."""
        ...

    async def token_of(self, hash: str) -> Token | None:
        """The token of this SHA-256, whatever its state; None where none was ever made."""
        ...

    async def revoke_token(self, number: int, by: str, at: datetime) -> Token:
        """It counts no more. StopRun where there is none of this number, or it is revoked already."""
        ...

    async def used_token(self, number: int, day: date) -> None:
        """It was used on this UTC day; a write only where that is later than the last one known."""
        ...

    # configuration
    async def bind(self, crm: str, account: str, at: datetime) -> None:
        """Remember the account this ledger belongs to; FixConfig when it was another."""
        ...

    async def adopt_files(
        self, files: Mapping[str, str], at: datetime, *, reread: Reread | None = None
    ) -> int:
        """The definition (name -> text) now in force. A new version, all people due, when it differs from the
        last; the streams named by `reread` then begin anew (without it, or where another version is in force than it
        speaks of: all of every CRM whose mapping has another text). Returns the version number."""
        ...

    async def version(self) -> int | None:
        """The number of the definition in force; None before the first."""
        ...

    async def files(self, version: int | None = None) -> Mapping[str, str]:
        """The texts of a version of the definition, by name; the one in force unless told."""
        ...

    async def adopt_targets(self, crm: str, targets: Sequence[str], at: datetime) -> bool:
        """Remember which targets (`Object.field`) can be written to. True when some are new since the last time: then
        everybody of this CRM is due, and no before-image read earlier is trusted."""
        ...

    # gather
    async def cursor(self, crm: str, stream: str) -> Mapping[str, JsonValue] | None: ...

    async def readings(self, refs: Sequence[Ref]) -> Mapping[tuple[Ref, str], float]:
        """The last readings of these records' counters."""
        ...

    async def in_bands(self, crm: str, bands: Sequence[int], limit: int) -> list[Ref]:
        """Live person records of this CRM whose person stood in one of these bands at the last decision, highest score
        first."""
        ...

    async def keep_segments(
        self, crm: str, segments: Mapping[tuple[str, str, str], frozenset[str]], lease: Lease, at: datetime
    ) -> None:
        """Who is on the lists by which a CRM says something above the rules, by object, list and kind of override.
        Whoever came or went is due; what lists said that are not among these has ended."""
        ...

    async def absent(self, crm: str, stream: str, census: Census) -> list[str]:
        """Ids (keys, of engagement) known in the census's state and range that it did not meet, in order."""
        ...

    async def standing(self, crm: str, object: str, within: Range) -> int:
        """How many records of an object are not deleted (nor merged away) and were last changed in this range; those
        in quarantine count too, whatever the range."""
        ...

    async def newest(self, crm: str, object: str) -> datetime | None:
        """The latest change of any record of an object, as far as it was told; None where there is none."""
        ...

    async def stamps(self, refs: Sequence[Ref]) -> Mapping[Ref, datetime]:
        """When these records were last changed, as their CRM last told; unknown ones are left out. One in quarantine
        was changed when it was last met."""
        ...

    async def hints(self, crm: str, object: str, limit: int) -> list[tuple[Ref, datetime]]:
        """Records of an object that the CRM itself says have changed, and when it last said so; the oldest first."""
        ...

    async def heed(self, read: Sequence[tuple[Ref, datetime]], lease: Lease | None = None) -> None:
        """They were read again; one that was named once more meanwhile stays."""
        ...

    async def keep(self, page: NormalizedPage, lease: Lease, run: int, at: datetime) -> Kept:
        """Rows, watermark and due marks in one commit. Only news makes people due (core/echo.py).

        A page of a backfill keeps its cursor there, and its due marks are held for that backfill alone.
        """
        ...

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
        """Person records that are due now, in order, after this one: marked ones whose time has come, people whose
        `look_again_at` has passed, and (once per UTC day) those whose score decays.

        `backfill`: those alone that are held for this backfill, which no other run takes up.
        """
        ...

    async def neighbourhood(self, refs: Sequence[Ref]) -> Neighbourhood:
        """The closure over explicit ids and shared addresses, dead records included."""
        ...

    async def facts(self, groups: Sequence[Sequence[Ref]], around: Around | None = None) -> list[Facts]:
        """Per group, in order. Engagement comes by record id and by address, oldest first, deleted left out. `around`:
        with the account around each, where it is asked for."""
        ...

    async def pools(self) -> Mapping[str, int]:
        """Who of the pools was last handed an MQL, by address: the higher, the later."""
        ...

    async def users(self) -> list[CrmUser]:
        """Who may own records, as CRMs have told so far."""
        ...

    async def users_read_at(self, crm: str) -> datetime | None:
        """When a CRM last told that; None: never."""
        ...

    async def keep_users(self, crm: str, users: Sequence[CrmUser], at: datetime) -> None:
        """All of a CRM, in place of those known so far; who is not among them is not active."""
        ...

    async def notices(
        self,
        person: int | None = None,
        since: datetime | None = None,
        limit: int = 100,
        *,
        run: int | None = None,
    ) -> list[Notice]:
        """What somebody is, or was, to be told: of this person, made since then, by this run; the newest first."""
        ...

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
        """A new open plan. An older open one is superseded: its unsent rows' people become due again; one that is to
        take a run back stays open beside any but another such. It carries the version of the definition in force,
        and who asked for the run."""
        ...

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
        ...

    # push
    async def written(self, refs: Sequence[Ref]) -> Mapping[tuple[Ref, str], Held]:
        """What we last wrote to these records, by record and vendor field."""
        ...

    async def plan_rows(
        self,
        plan: int,
        *,
        status: str | None = None,
        limit: int | None = None,
        after: int = 0,
    ) -> list[PlanRow]: ...

    async def plans(self, limit: int = 20) -> list[PlanInfo]: ...

    async def plan(self, plan: int) -> PlanInfo | None: ...

    async def open_plans(self, *, at: datetime | None = None) -> list[PlanInfo]:
        """The open ones, at most one a CRM; with `at`, without those that have expired by then."""
        ...

    async def retire_plans(
        self, crms: Sequence[str], lease: Lease, at: datetime, *, anew: bool = False
    ) -> None:
        """Open plans that a new run replaces whatever it finds: expired ones, and those that wait for no human. With
        `anew` those too. Their unsent records are due again. One that is being sent right now stays."""
        ...

    async def carry_approval(self, plan: int, lease: Lease, at: datetime) -> bool:
        """The approval of the plan that this one superseded holds for this one too, where both hold the same records,
        fields and values. Whether it does."""
        ...

    async def planned_values(
        self, plan: int, limit: int, *, after: int = 0
    ) -> Mapping[int, Sequence[tuple[Ref, Mapping[str, JsonValue]]]]:
        """The people to whom a plan writes, by person id after this one: of each live record, in whatever CRM, the
        vendor's own values."""
        ...

    async def standings(self, crm: str, limit: int, *, after: str = "") -> list[Standing]:
        """Live person records of a CRM beside their person's score at the last decision, by ref, after this one."""
        ...

    async def ever_applied(self, crm: str) -> bool:
        """Whether any plan of this CRM has been sent, whole or in part."""
        ...

    async def hold_plan(self, plan: int, held: str, lease: Lease, at: datetime) -> None:
        """Say why a plan waits for a human; empty: it need not any more."""
        ...

    async def tell_of_plan(self, plan: int, name: str, value: JsonValue, at: datetime) -> None:
        """Keep something worth telling about a plan as a whole in its `summary`."""
        ...

    async def approve_plan(
        self, plan: int, by: str, note: str, at: datetime, *, proof: Proof = Proof.CLAIMED
    ) -> None:
        """A human approves of an open plan as it stands; `proof`: how they are known. StopRun when it is not open (any
        more)."""
        ...

    # what a plan is held against
    async def people_in_scope(self, crm: str, audience: str | None = None) -> int:
        """People with a live record in this CRM that is in scope; of an audience alone, where one is named (empty: of
        those in none)."""
        ...

    async def live_records(self, crm: str, objects: Sequence[str]) -> int:
        """Live records of these objects of a CRM."""
        ...

    async def finished_syncs(self, crm: str, limit: int) -> list[RunInfo]:
        """The latest runs that read this CRM by its watermarks and succeeded, newest first."""
        ...

    async def sent_by_backfill(self, backfill: int) -> Mapping[str, int]:
        """Of how many people a backfill has sent writes so far, in all its attempts, by `PlanRow.kind`."""
        ...

    async def person_fields(self, people: Sequence[int]) -> Mapping[int, Mapping[str, Value]]:
        """What these people are, as settled at their last decision."""
        ...

    # undo
    async def plans_of(self, run: int) -> list[PlanInfo]:
        """The plans of a run, oldest first."""
        ...

    async def written_rows(
        self, run: int, crm: str, limit: int, *, after: Ref | None = None
    ) -> list[PlanRow]:
        """What a run wrote to the next so many records of a CRM after this one, by record, oldest first."""
        ...

    async def writers(self, rows: Sequence[int]) -> Mapping[int, Writer]:
        """Whose writes these plan rows are; those that are not kept any more are left out."""
        ...

    async def keep_undo(
        self, plan: int, rows: Sequence[tuple[int, PlannedWrite]], lease: Lease, at: datetime
    ) -> None:
        """Add rows to a plan of kind `undo`: (person, what goes back or is left as it stands)."""
        ...

    # the brake, and fields that are left alone
    async def brakes(self) -> Mapping[str, Brake]:
        """The CRMs to which nothing is pushed now."""
        ...

    async def set_brake(self, crm: str, on: bool, by: str, why: str, at: datetime) -> None:
        """`stop` or `start`; twice is harmless."""
        ...

    async def holds(self, refs: Sequence[Ref] | None = None, *, kind: str | None = None) -> list[Hold]:
        """The holds on these records (None: on all), in order."""
        ...

    async def keep_holds(self, holds: Sequence[Hold], at: datetime) -> None:
        """Add or replace, by record, field and kind."""
        ...

    async def release_holds(self, holds: Sequence[Hold], by: str, at: datetime) -> None:
        """Leave these fields alone no longer; their records are due."""
        ...

    async def sending(self, crm: str) -> list[PlanRow]:
        """Rows that were under way when a process died, or whose answer never came: to be read back first."""
        ...

    async def mark_sending(
        self,
        rows: Sequence[PlanRow],
        aside: Sequence[tuple[PlanRow, str]],
        lease: Lease,
        at: datetime,
        *,
        ended: Mapping[Ref, tuple[RecordState, Ref | None]] | None = None,
    ) -> None:
        """Before a batch leaves: `rows` (with fresh before-images) become sending, `aside` become set_aside.

        `ended`: records that the fresh look found gone, merged or converted, and where they went; they are no
        targets from now on, whether or not a pull ever tells.
        """
        ...

    async def keep_job(self, rows: Sequence[PlanRow], job: str, lease: Lease) -> None:
        """The vendor's job that carries these sending rows, before they are uploaded: whoever finds them under way
        asks that job first."""
        ...

    async def companies(self, refs: Sequence[Ref]) -> Mapping[Ref, str]:
        """Which company these person records belong to; those without one are left out."""
        ...

    async def receive(
        self, rows: Sequence[PlanRow], receipts: Sequence[Receipt], lease: Lease, at: datetime
    ) -> None:
        """Receipts, last written values, refusals (due again after 24 h) and redirected records in one commit.

        Of an undo: the fields are held, and the undone run's steps of people's stages are taken back with it.
        """
        ...

    async def correct(
        self, stands: Mapping[Ref, Mapping[str, JsonValue]], lease: Lease, at: datetime
    ) -> None:
        """What stands in fields of these records, other than their receipts say: they are due. What we last wrote stays
        what we last wrote."""
        ...

    async def wait(self, plan: int, reason: str, lease: Lease, at: datetime) -> int:
        """All rows of a plan that were not sent wait, with the reason. Returns how many."""
        ...

    async def close_plan(
        self, plan: int, status: str, lease: Lease, at: datetime, *, by: str = ""
    ) -> None: ...

    # questions
    async def find(self, who: str) -> list[int]:
        """Person ids by e-mail address, record id, `crm:object:id` or `person:ID`."""
        ...

    async def person(self, person: int) -> PersonView | None: ...

    async def story(self, person: int, judge: Judge | None = None) -> list[StoryLine]:
        """What happened to a person, oldest first; with `judge`, also what was not counted, and why."""
        ...

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
        """By `sort` (score, fit or engagement), highest first, then by id. All that is given must hold; an empty
        audience means those in none. `after`: the number and the id of the last one seen."""
        ...

    async def audiences(self, people: Sequence[int]) -> Mapping[int, str]:
        """Who of these people is in an audience, and in which, by the last decision."""
        ...

    async def mqls_by_audience(self) -> Mapping[str, int]:
        """How many MQLs are in each audience now; under the empty name those in none."""
        ...

    async def members(self, limit: int, *, after: int = 0) -> list[tuple[int, tuple[Ref, ...]]]:
        """The next so many people who have records, by id, with their records in order."""
        ...

    # places among the best
    async def entered_mql(self, audiences: Collection[str], since: datetime) -> int:
        """How many of these audiences became MQL after this moment; who was taken back since does not count."""
        ...

    async def waiting(self, contest: str) -> list[tuple[int, float]]:
        """Who waits for a place in this contest: (person, score)."""
        ...

    async def in_the_running(self, audiences: Collection[str]) -> int:
        """How many people of these audiences are not disqualified."""
        ...

    async def score_of_rank(self, audiences: Collection[str], rank: int) -> float | None:
        """The score at this place among them, from 1; None where there are not so many."""
        ...

    async def take_up(self, people: Sequence[int], lease: Lease, at: datetime) -> None:
        """All records of these people are due."""
        ...

    async def keep_bars(self, bars: Sequence[Bar], run: int, lease: Lease) -> None:
        """Add the relative bars that a run found."""
        ...

    async def bars(self) -> list[Bar]:
        """The newest relative bar of each contest, by name."""
        ...

    async def stage_counts(self) -> Mapping[str, int]:
        """How many people stand in each stage now."""
        ...

    # pairs that a human looks at
    async def reviews(self, *, answered: bool = False) -> list[Review]:
        """The pairs that wait for a human, in order; or those that humans have answered."""
        ...

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
        """A human's `join` or `split` of two records, whether or not anybody asked; both become due. It stands until it
        is taken back. StopRun for a record that is not known."""
        ...

    async def undo_review(
        self, a: Ref, b: Ref, at: datetime, *, author: str = "", note: str = ""
    ) -> Answered:
        """The last answer is taken back: what stood before it stands again. StopRun where there is none."""
        ...
