"""To whom a new MQL is handed, until when sales should have touched it, whom to remind, when it is taken back. Pure: it
is given what is known and says what follows; it writes no owner anywhere.

A *spell* is one time as MQL. Its deadlines are set when it begins (or is first met), so that another definition moves
nobody's deadline into the past.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo

from connector.core.model import Answer, CompanyRecord, Engagement, MqlStatus, PersonRecord, Ref, StageState
from connector.core.worktime import WorkTime

TOUCH = "touch"
"""The attribute of an engagement by which sales has touched somebody; set by a mapping's `touch`."""

RECORD, ACCOUNT, QUEUE, POOL, BDR, NOBODY = "record", "account", "queue", "pool", "bdr", "nobody"
"""How a spell found whom it is handed to."""

NOT_READY = "not_ready"
"""How a spell ended of whom sales said: not ready. The next one goes to a BDR first."""

FIRST_LOAD, BACKFILL, NEW_DEFINITION, BEFORE = "first load", "backfill", "new definition", "known before"
FOUND = "found after a restore"
"""Why nobody is told of a spell person by person."""


@dataclass(frozen=True, slots=True)
class Handoff:
    """What the criteria say under `handoff`. Spans of `sla`, `remind` and `escalate` are working time; `take_back` is
    of the calendar. `pool` and `bdr` are addresses, taken in turn; `queue` is one address for all."""

    sla: timedelta | None = None
    remind: timedelta | None = None
    escalate: timedelta | None = None
    take_back: timedelta | None = None
    work: WorkTime = field(default_factory=WorkTime)
    pool: tuple[str, ...] = ()
    bdr: tuple[str, ...] = ()
    queue: str = ""
    task: bool = False  # one in the CRM for each spell, for its owner

    def in_zone(self, zone: tzinfo) -> Handoff:
        """The same, its hours in this zone."""
        return replace(self, work=replace(self.work, zone=zone))


@dataclass(frozen=True, slots=True)
class CrmUser:
    """Somebody (or a queue) who may own records in a CRM. `manager` is the id of another, where the CRM has it."""

    crm: str
    id: str
    name: str = ""
    email: str = ""
    active: bool = True
    manager: str = ""
    queue: bool = False


Users = Mapping[str, CrmUser]
"""By id. Ids of different CRMs never look alike."""


@dataclass(frozen=True, slots=True)
class Spell:
    """One time as MQL, from `since`. All moments are aware UTC.

    `owner`: the CRM's id of the user or queue, or an address of a pool; empty: nobody. `quiet`: why nobody is told of
    it person by person. `ended`: accepted, rejected, recycled, not_ready, taken_back, disqualified or left.
    """

    since: datetime
    audience: str = ""
    source: str = ""
    via: str = NOBODY
    owner: str = ""
    quiet: str = ""
    due_at: datetime | None = None
    remind_at: datetime | None = None
    escalate_at: datetime | None = None
    take_back_at: datetime | None = None
    touched_at: datetime | None = None
    touch: str = ""
    reminded_at: datetime | None = None
    escalated_at: datetime | None = None
    ended_at: datetime | None = None
    ended: str = ""
    run: int | None = None

    @property
    def untouched(self) -> bool:
        """Whether sales still has to do something."""
        return self.touched_at is None and self.ended_at is None


@dataclass(frozen=True, slots=True)
class Reminder:
    """Somebody is to be told that this spell is untouched: `owner` or `manager`. `to` is as `Spell.owner`; empty:
    nobody is known to be told."""

    whom: str
    to: str


@dataclass(slots=True)
class Pools:
    """Who of the pools was last given somebody, by address: the higher, the later. Grows as people are given."""

    last: dict[str, int] = field(default_factory=dict)

    def next_of(self, members: Sequence[str]) -> str:
        """The one who has waited longest; of those who never had anybody, the first named."""
        found = min(members, key=lambda each: self.last.get(each, -1))
        self.last[found] = max(self.last.values(), default=0) + 1
        return found


# ------------------------------------------------------------------------------------------------------- touches


@dataclass(frozen=True, slots=True)
class Touch:
    """Sales did something about somebody: what, and when."""

    at: datetime
    what: str


def touches(
    engagement: Iterable[Engagement], answers: Iterable[tuple[Answer, bool]], at: datetime
) -> list[Touch]:
    """All that is known up to `at`, in order. Of an answer the flag says whether its status counts as a touch; one that
    accepts or rejects always does."""
    found = [
        Touch(each.occurred_at, each.type if each.type != "other" else each.stream)
        for each in engagement
        if each.attributes.get(TOUCH) is True and each.occurred_at <= at
    ]
    found += [
        Touch(answer.at, f"lead status {answer.status}")
        for answer, counts in answers
        if (counts or answer.kind in ("accepted", "rejected")) and answer.at <= at
    ]
    return sorted(found, key=lambda each: (each.at, each.what))


def first_touch(spell: Spell, known: Sequence[Touch]) -> Spell:
    """The spell with its first touch; one that was known stays, even where its event is gone by now."""
    first = next((each for each in known if each.at >= spell.since), None)
    if first is None or (spell.touched_at is not None and spell.touched_at <= first.at):
        return spell
    return replace(spell, touched_at=first.at, touch=first.what)


# -------------------------------------------------------------------------------------------------------- owners


def owner_of(
    records: Sequence[PersonRecord],
    companies: Mapping[Ref, CompanyRecord],
    told: str,
    users: Users,
) -> tuple[str, str]:
    """Whom a person belongs to by the CRMs: how that was found, and the id. `told`: the owner as settled among records,
    asked first. A user who is inactive owns nothing here; a queue is only told of where nobody else is found."""
    of_records = [told, *(str(record.fields.get("owner") or "") for record in records)]
    of_accounts = [
        str(companies[record.company].fields.get("account.owner") or "")
        for record in records
        if record.company is not None and record.company in companies
    ]
    for via, ids in ((RECORD, of_records), (ACCOUNT, of_accounts)):
        found = next((each for each in ids if each and _looks_after(each, users)), "")
        if found:
            return via, found
    queue = next((each for each in of_records if each in users and users[each].queue), "")
    return (QUEUE, queue) if queue else (NOBODY, "")


def _looks_after(id: str, users: Users) -> bool:
    """Whether this is a user who is active. Of whom the CRM did not tell that is believed."""
    user = users.get(id)
    return user is None or (user.active and not user.queue)


def route(
    handoff: Handoff | None, owned: tuple[str, str], before: Spell | None, pools: Pools, *, bdr: bool
) -> tuple[str, str]:
    """To whom a spell goes. `before`: the same spell as it stood; who was given it from a pool keeps it until somebody
    owns the record. `bdr`: sales has said *not ready* the last time, so a BDR sees it first."""
    settings = handoff or Handoff()
    if before is not None and before.via == BDR:
        return before.via, before.owner
    if bdr and before is None and settings.bdr:
        return BDR, pools.next_of(settings.bdr)
    if owned[0] in (RECORD, ACCOUNT):
        return owned
    if before is not None and before.via == POOL and before.owner in settings.pool:
        return before.via, before.owner
    if settings.pool:
        return POOL, pools.next_of(settings.pool)
    if owned[0] == QUEUE:
        return owned
    return (QUEUE, settings.queue) if settings.queue else (NOBODY, "")


def manager_of(owner: str, users: Users) -> str:
    """The id of the active manager of an owner; empty where the CRM names none."""
    found = users.get(users[owner].manager) if owner in users else None
    return found.id if found is not None and found.active else ""


# --------------------------------------------------------------------------------------------------------- spells


@dataclass(frozen=True, slots=True)
class Around:
    """What a decision knows beside the stage. `quiet` as in `Spell`; `whole`: no stream failed, so that what is not
    known has not happened."""

    at: datetime
    handoff: Handoff | None
    owned: tuple[str, str]
    known: Sequence[Touch]
    users: Users
    audience: str = ""
    source: str = ""
    quiet: str = ""
    whole: bool = True
    run: int | None = None


@dataclass(frozen=True, slots=True)
class Followed:
    """What became of the spells of a person: those to keep (the last is the present one), whom to remind, and when time
    alone asks for another look."""

    keep: tuple[Spell, ...] = ()
    reminders: tuple[Reminder, ...] = ()
    look_again_at: datetime | None = None
    began: bool = False


def take_back_at(spell: Spell | None, state: StageState | None, handoff: Handoff | None, known: Sequence[Touch]) -> (
    datetime | None
):  # fmt: skip
    """When the present spell is taken back for want of a touch; None: never, or there is no such spell."""
    if spell is None or state is None or handoff is None or handoff.take_back is None:
        return None
    if state.stage != "mql" or state.mql_since != spell.since:
        return None
    return spell.take_back_at if first_touch(spell, known).touched_at is None else None


def follow(
    was: Spell | None,
    before: StageState | None,
    state: StageState,
    around: Around,
    pools: Pools,
    *,
    not_ready: Callable[[datetime], bool] = lambda at: False,
) -> Followed:
    """The spells of a person after a decision. `was` is their last one; `not_ready(t)`: whether sales' answer of then
    was *not ready*."""
    if state.stage == "mql" and state.mql_since is not None:
        return _goes_on(was, before, state, state.mql_since, around, pools)
    if was is None or was.ended_at is not None:
        return Followed()
    ended = first_touch(was, around.known)
    why = _end(was, state, around.at, not_ready)
    if ended.touched_at is None and why in ("accepted", "rejected", "recycled", NOT_READY):
        told = max(was.since, min(state.answered_at or state.since or around.at, around.at))
        ended = replace(ended, touched_at=told, touch="sales' answer")
    at = min(max(state.since or around.at, was.since), around.at)
    return Followed((replace(ended, ended_at=at, ended=why),))


def _goes_on(
    was: Spell | None,
    before: StageState | None,
    state: StageState,
    since: datetime,
    around: Around,
    pools: Pools,
) -> Followed:
    same = was is not None and was.since == since
    keep: list[Spell] = []
    if was is not None and not same and was.ended_at is None:
        keep.append(replace(first_touch(was, around.known), ended_at=min(since, around.at), ended="left"))
    if was is not None and same:
        spell = was if was.ended_at is None else replace(was, ended_at=None, ended="")
    else:
        spell = _begun(before, state, since, around)
    known_bdr = was is not None and not same and was.ended == NOT_READY
    via, owner = route(around.handoff, around.owned, spell if same else None, pools, bdr=known_bdr)
    spell = first_touch(replace(spell, via=via, owner=owner), around.known)
    wanted = around.handoff.take_back if around.handoff else None
    if wanted is not None and spell.take_back_at is None and spell.untouched:
        spell = replace(spell, take_back_at=max(around.at, state.dwell_from or around.at) + wanted)
    reminders: list[Reminder] = []
    if spell.untouched and not spell.quiet and around.whole:
        if spell.remind_at is not None and spell.reminded_at is None and around.at >= spell.remind_at:
            reminders.append(Reminder("owner", owner))
            spell = replace(spell, reminded_at=around.at)
        if spell.escalate_at is not None and spell.escalated_at is None and around.at >= spell.escalate_at:
            reminders.append(Reminder("manager", manager_of(owner, around.users)))
            spell = replace(spell, escalated_at=around.at)
    changed = () if same and spell == was else (spell,)
    return Followed(
        (*keep, *changed), tuple(reminders), _next_look(spell, around, wanted is not None), began=not same
    )


def _begun(before: StageState | None, state: StageState, since: datetime, around: Around) -> Spell:
    """A spell that was not known so far. One that somebody was in already is quiet: nobody is told of it as new."""
    handoff = around.handoff
    met = before is not None and before.mql_since == since and before.stage == "mql"
    quiet = around.quiet or (BEFORE if met else "")
    spell = Spell(since, around.audience, around.source, quiet=quiet, run=around.run)
    if handoff is None or met:
        return spell
    if handoff.sla is not None:
        work, sla = handoff.work, handoff.sla
        spell = replace(
            spell,
            due_at=work.after(since, sla),
            remind_at=work.after(since, handoff.remind or sla),
            escalate_at=work.after(since, handoff.escalate or max(2 * sla, handoff.remind or sla)),
        )
    if handoff.take_back is not None:
        start = max(since, state.dwell_from or since)
        spell = replace(spell, take_back_at=start + handoff.take_back)
    return spell


def _next_look(spell: Spell, around: Around, takes_back: bool) -> datetime | None:
    if not spell.untouched:
        return None
    moments = [spell.take_back_at] if takes_back else []
    if not spell.quiet:
        moments += [spell.remind_at] if spell.reminded_at is None else []
        moments += [spell.escalate_at] if spell.escalated_at is None else []
    ahead = [max(each, around.at) for each in moments if each is not None]
    late = [each for each in ahead if each == around.at]
    if late and around.whole:
        ahead = [each for each in ahead if each > around.at]  # said already, or not ours to take back
    return min(ahead, default=None)


def _end(was: Spell, state: StageState, at: datetime, not_ready: Callable[[datetime], bool]) -> str:
    if state.status is MqlStatus.DISQUALIFIED:
        return "disqualified"
    if state.taken_back:
        return "taken_back"
    if state.status in (MqlStatus.REJECTED, MqlStatus.RECYCLED) and state.answered_at is not None:
        return NOT_READY if not_ready(state.answered_at) else state.status.value
    if state.status is MqlStatus.ACCEPTED or state.stage not in ("subscriber", "lead", "mql", "other"):
        return "accepted"
    return "left"
