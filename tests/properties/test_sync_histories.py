"""Random histories of two CRMs and a connector that fails and dies: nobody is lost, nothing is doubled.

Everything is real but the vendors: sandboxes over HTTP, the ledger, the pipeline. Each history is a seed.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector import pipeline
from connector.core.conditions import holds
from connector.core.criteria import Weights
from connector.core.model import Ref
from connector.core.normalize import count_once
from connector.core.stage_case import DEFAULT_LADDER
from connector.core.values import as_number, is_blank, same_value
from connector.core.write_plan import instant
from connector.ledger import open_ledger
from connector.phases.gate import PlanSummary
from connector.pipeline import RunResult
from connector.ports import PersonView, PlanRow
from connector.sandbox.faults import Fault
from tests.databases import ledger_url
from tests.stories.world import START, QuickClock, World, world

PEOPLE = 24  # in each CRM: enough for every kind of pair, few enough for many runs
STEPS = 18
SEEDS = range(1, 5)

CONTACTS = "/crm/objects/*/contacts"
FAULTS: tuple[tuple[str, Fault], ...] = (
    ("hubspot", Fault(path=f"{CONTACTS}/search", status=500, times=None)),
    ("hubspot", Fault(path=f"{CONTACTS}/batch/read", status=502, times=None)),
    ("hubspot", Fault(path="*", status=503, times=None)),
    ("hubspot", Fault(path="*", drop=True, times=None)),
    ("hubspot", Fault(path=f"{CONTACTS}/*", half=True, times=3)),
    ("hubspot", Fault(path="*", status=200, text="<html>Sign in</html>", times=None)),
    ("hubspot", Fault(path=f"{CONTACTS}/batch/update", drop_after=True, times=1)),
    ("hubspot", Fault(path=f"{CONTACTS}/batch/update", drop=True, times=None)),
    ("hubspot", Fault(path=f"{CONTACTS}/batch/update", drop_after=True, times=None)),
    ("hubspot", Fault(path=f"{CONTACTS}/batch/update", status=500, times=None)),
    ("hubspot", Fault(path=f"{CONTACTS}/batch/update", half=True, times=None)),
    ("hubspot", Fault(path="*forms*", status=500, times=None)),
    ("salesforce", Fault(path="*/query*FROM+Lead*", status=500, times=None)),
    ("salesforce", Fault(path="*/query*FROM+Contact*", status=503, times=None)),
    ("salesforce", Fault(path="*/query*", drop=True, times=2)),
    ("salesforce", Fault(path="*/services/data/*", status=503, times=None)),
    ("salesforce", Fault(path="*/services/data/*", drop=True, times=None)),
    ("salesforce", Fault(path="*/query*", half=True, times=3)),
    ("salesforce", Fault(path="*/services/data/*", status=200, text="<html>Maintenance</html>", times=None)),
    ("salesforce", Fault(method="PATCH", path="*/composite/sobjects*", drop_after=True, times=1)),
    ("salesforce", Fault(method="PATCH", path="*/composite/sobjects*", drop=True, times=None)),
    ("salesforce", Fault(method="PATCH", path="*/composite/sobjects*", status=500, times=None)),
    ("salesforce", Fault(method="PATCH", path="*/composite/sobjects*", half=True, times=None)),
)
# Later requests fail, earlier ones do not: the CRM goes away while a run is under way.
GOES_AWAY = tuple(
    (crm, Fault(path="*", status=503, times=None, skip=skip))
    for crm in ("hubspot", "salesforce")
    for skip in (3, 6, 9, 12, 16)
)

TITLES = ("Chief Executive Officer", "Marketing Director", "Student", "Intern", "VP Sales", "Engineer", "")
FORMS = ("Request a demo", "Newsletter", "Contact us")


class Killed(BaseException):
    """The process is no more: nothing after this line runs, no `finally` reaches the database or a CRM."""


class Life:
    """How long a process lives, in calls to the ledger and to the CRMs. Ended `hard`: nothing works any more."""

    def __init__(self, calls: int, *, hard: bool, after: bool) -> None:
        self.left = calls
        self.hard = hard
        self.after = after
        self.dead = False
        self.task: asyncio.Task[Any] | None = None

    def spent(self) -> bool:
        """Whether this call is the last."""
        if self.dead:
            raise Killed
        self.left -= 1
        if self.left:
            return False
        if not self.hard:
            assert self.task is not None
            self.task.cancel()
            return False
        self.dead = True
        if not self.after:
            raise Killed
        return True


class Mortal:
    """An adapter or a ledger in a process that dies at its n-th call, before it or after it."""

    def __init__(self, real: Any, life: Life) -> None:
        self._real = real
        self._life = life

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name == "pull":
            return lambda *told: self._pages(real(*told))
        if not asyncio.iscoroutinefunction(real):
            return real

        async def call(*told: Any, **named: Any) -> Any:
            last = self._life.spent()
            answer = await real(*told, **named)
            if last or (self._life.dead and self._life.hard):
                raise Killed
            return answer

        return call

    async def _pages(self, pages: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for page in pages:
            if self._life.spent():
                raise Killed
            yield page


class History:
    """One made-up history: what happens is drawn from a seed, what must hold is checked at the end."""

    def __init__(self, made: World, url: str, seed: int) -> None:
        self.made = made
        self.url = url
        self.dice = random.Random(seed)
        self.holders = 0
        self.told: list[str] = []
        self.first_mql: dict[int, tuple[Any, frozenset[Ref]]] = {}
        self.refused: set[str] = set()

    # ------------------------------------------------------------------------------------ the world as it is

    def contacts(self, *, live: bool = True) -> list[str]:
        rows = self.made.hubspot.sandbox.store.tables["contacts"].rows.values()
        return sorted(str(row.id) for row in rows if row.live is live and (live or row.merged_into is None))

    def rows(self, object: str, *, live: bool = True) -> list[str]:
        store = self.made.salesforce.sandbox.store
        store.settle()
        rows = store.tables[object].rows.values()
        dead = [bool(row.get("IsDeleted")) or bool(row.get("IsConverted")) for row in rows]
        return sorted(row["Id"] for row, gone in zip(rows, dead, strict=True) if gone is not live)

    def live(self) -> set[Ref]:
        return {
            *(Ref("hubspot", "contact", id) for id in self.contacts()),
            *(Ref("salesforce", name, id) for name in ("Lead", "Contact") for id in self.rows(name)),
        }

    def forms(self) -> list[Any]:
        """Those whose submissions can be read: HubSpot refuses those of comment forms."""
        forms = self.made.hubspot.sandbox.store.forms.values()
        return [form for form in forms if form.kind in ("hubspot", "captured", "flow")]

    def truth(self, ref: Ref) -> Mapping[str, Any]:
        if ref.crm == "hubspot":
            return dict(self.made.hubspot.raw("contacts", ref.id)["properties"])
        return self.made.salesforce.raw(ref.object, ref.id)

    # --------------------------------------------------------------------------------------- what people do

    def mutate(self) -> None:
        acts: list[Callable[[], str]] = [
            self.hubspot_edit, self.hubspot_edit, self.salesforce_edit, self.salesforce_edit,
            self.form, self.form, self.view, self.click, self.convert, self.convert, self.hubspot_merge,
            self.salesforce_merge, self.hubspot_bin, self.salesforce_bin, self.human_field, self.human_field,
            self.answer, self.answer, self.new_contact, self.new_lead, self.task, self.stage, self.refuse,
            self.member, self.engagement_bin, self.meeting,
        ]  # fmt: skip
        for _ in range(self.dice.randint(1, 4)):
            act = self.dice.choice(acts)
            with suppress(ValueError, LookupError, IndexError):
                self.told.append(f"{act.__name__} {act()}")

    def hubspot_edit(self) -> str:
        id = self.dice.choice(self.contacts())
        changes = self.dice.choice(
            [
                {"jobtitle": self.dice.choice(TITLES)},
                {"email": self.address()},
                {"lastname": self.dice.choice(("Ito", "Meyer", ""))},
                {"hs_email_optout": self.dice.choice(("true", "false"))},
            ]
        )
        self.made.hubspot.edit("contacts", id, changes)
        return f"{id} {changes}"

    def salesforce_edit(self) -> str:
        object = self.dice.choice(("Lead", "Contact"))
        id = self.dice.choice(self.rows(object))
        changes = self.dice.choice(
            [{"Title": self.dice.choice(TITLES)}, {"Email": self.address()}, {"LastName": "Meyer"}]
        )
        self.made.salesforce.edit(object, id, changes)
        return f"{object} {id} {changes}"

    def address(self) -> str:
        """Somebody's address, or one that nobody has."""
        if self.dice.random() < 0.6:
            ref = self.dice.choice(sorted(self.live()))
            found = self.truth(ref).get("email" if ref.crm == "hubspot" else "Email")
            if found:
                return str(found)
        return f"someone{self.dice.randint(1, 10_000)}@new.example"

    def form(self) -> str:
        form, email = self.dice.choice(sorted(form.name for form in self.forms())), self.address()
        self.made.hubspot.create("form_submissions", {"form": form, "email": email})
        return f"{form} by {email}"

    def view(self) -> str:
        id = self.dice.choice(self.contacts())
        url = "https://www.example.com/pricing"
        self.made.hubspot.act("contacts", id, "page_view", url=url, times=self.dice.randint(1, 3))
        return id

    def click(self) -> str:
        email = self.address()
        for _ in range(2):
            self.made.hubspot.create("email_events", {"type": "CLICK", "email": email})
        return email

    def task(self) -> str:
        who = self.dice.choice(self.rows("Lead") + self.rows("Contact"))
        self.made.salesforce.create("Task", {"WhoId": who, "Subject": "Call", "Status": "Completed"})
        return who

    def member(self) -> str:
        campaign = self.dice.choice(self.rows("Campaign"))
        who = self.dice.choice(self.rows("Lead") + self.rows("Contact"))
        side = "LeadId" if who.startswith("00Q") else "ContactId"
        status = self.dice.choice(("Sent", "Responded"))
        fields = {"CampaignId": campaign, side: who, "Status": status}
        return f"{self.made.salesforce.create('CampaignMember', fields)} {who} {status}"

    def engagement_bin(self) -> str:
        object = self.dice.choice(("CampaignMember", "CampaignMember", "Task", "Event"))
        id = self.dice.choice(self.rows(object))
        self.made.salesforce.act(object, id, "delete")
        return f"{object} {id}"

    def meeting(self) -> str:
        """One with several contacts, or an old one that is moved or thrown away."""
        table = self.made.hubspot.sandbox.store.tables["meetings"]
        about = self.dice.sample(self.contacts(), 2)
        if table.live and self.dice.random() < 0.6:
            id = str(self.dice.choice(sorted(table.live)))
            if self.dice.random() < 0.5:
                self.made.hubspot.act("meetings", id, "associate", contacts=about)
            else:
                self.made.hubspot.act("meetings", id, "archive")
            return f"{id} {about}"
        return self.made.hubspot.create("meetings", {"hs_meeting_title": "Tour", "contacts": about})

    def convert(self) -> str:
        id = self.dice.choice(self.rows("Lead"))
        arguments: dict[str, Any] = {}
        if self.dice.random() < 0.3:
            arguments["contact"] = self.dice.choice(self.rows("Contact"))
        if self.dice.random() < 0.3:
            arguments["opportunity"] = True
        self.made.salesforce.act("Lead", id, "convert", **arguments)
        return f"{id} {arguments}"

    def hubspot_merge(self) -> str:
        one, other = self.dice.sample(self.contacts(), 2)
        self.made.hubspot.act("contacts", one, "merge", other=other)
        return f"{other} into {one}"

    def salesforce_merge(self) -> str:
        object = self.dice.choice(("Lead", "Contact"))
        one, other = self.dice.sample(self.rows(object), 2)
        self.made.salesforce.act(object, one, "merge", into=other)
        return f"{object} {one} into {other}"

    def hubspot_bin(self) -> str:
        binned = self.contacts(live=False)
        if binned and self.dice.random() < 0.5:
            id = self.dice.choice(binned)
            self.made.hubspot.act("contacts", id, "restore")
            return f"{id} restored"
        id = self.dice.choice(self.contacts())
        self.made.hubspot.act("contacts", id, self.dice.choice(("archive", "archive", "gdpr_delete")))
        return f"{id} gone"

    def salesforce_bin(self) -> str:
        object = self.dice.choice(("Lead", "Contact"))
        binned = [
            id for id in self.rows(object, live=False) if self.made.salesforce.raw(object, id)["IsDeleted"]
        ]
        if binned and self.dice.random() < 0.5:
            id = self.dice.choice(binned)
            self.made.salesforce.act(object, id, "undelete")
            return f"{object} {id} restored"
        id = self.dice.choice(self.rows(object))
        self.made.salesforce.act(object, id, "delete")
        return f"{object} {id} gone"

    def human_field(self) -> str:
        """Somebody edits a field that is ours."""
        ref = self.dice.choice(sorted(self.live()))
        if ref.crm == "hubspot":
            changes = self.dice.choice(
                [
                    {"mql_score": "1"},
                    {"mql_status": ""},
                    {"mql_since": "2020-01-01T00:00:00Z"},
                    {"mql_band": ""},
                ]
            )
            self.made.hubspot.edit("contacts", ref.id, changes)
        else:
            changes = self.dice.choice(
                [{"MQL_Score__c": 1}, {"MQL_Status__c": None}, {"MQL_Band__c": None}, {"MQL_Grade__c": "D4"}]
            )
            self.made.salesforce.edit(ref.object, ref.id, changes)
        return f"{ref} {changes}"

    def answer(self) -> str:
        if self.dice.random() < 0.5:
            id = self.dice.choice(self.contacts())
            status = self.dice.choice(("UNQUALIFIED", "OPEN_DEAL", "BAD_TIMING", "OPEN"))
            self.made.hubspot.edit("contacts", id, {"hs_lead_status": status})
            return f"{id} {status}"
        id = self.dice.choice(self.rows("Lead"))
        status = self.dice.choice(("Closed - Not Converted", "Working - Contacted"))
        self.made.salesforce.edit("Lead", id, {"Status": status})
        return f"{id} {status}"

    def stage(self) -> str:
        if self.dice.random() < 0.5:
            id = self.dice.choice(self.contacts())
            stage = self.dice.choice(
                ("lead", "marketingqualifiedlead", "salesqualifiedlead", "customer", "other")
            )
            self.made.hubspot.edit("contacts", id, {"lifecyclestage": stage})
            return f"{id} {stage}"
        object = self.dice.choice(("Lead", "Contact"))
        id = self.dice.choice(self.rows(object))
        stage = self.dice.choice(("lead", "mql", "sql", "customer"))
        self.made.salesforce.edit(object, id, {"Lifecycle_Stage__c": stage})
        return f"{object} {id} {stage}"

    def refuse(self) -> str:
        id = self.dice.choice(self.rows("Lead"))
        code = "FIELD_CUSTOM_VALIDATION_EXCEPTION"
        self.made.salesforce.act("Lead", id, "refuse", code=code, message="Industry is missing.")
        self.refused.add(id)
        return id

    def new_contact(self) -> str:
        fields = {"email": self.address(), "jobtitle": self.dice.choice(TITLES), "lastname": "Ito"}
        return f"{self.made.hubspot.create('contacts', fields)} {fields}"

    def new_lead(self) -> str:
        fields = {"LastName": "Ito", "Company": "Example", "Email": self.address()}
        return f"{self.made.salesforce.create('Lead', fields)} {fields}"

    # ---------------------------------------------------------------------------------- what the connector does

    async def run(self, *crms: str, life: Life | None = None, **how: Any) -> RunResult | None:
        """One run by a process of its own. None: it died, or was stopped."""
        self.holders += 1
        ledger: Any = self.made.ledger
        adapters: Mapping[str, Any] = {
            crm: adapter for crm, adapter in self.made.adapters.items() if not crms or crm in crms
        }
        if life is not None:
            ledger = Mortal(ledger, life)
            adapters = {crm: Mortal(adapter, life) for crm, adapter in adapters.items()}

        async def approve(plan: PlanSummary) -> bool:
            return True

        task = asyncio.ensure_future(
            pipeline.sync(
                adapters,
                self.made.definition,
                ledger,
                self.made.clock,
                holder=f"process {self.holders}",
                approve=approve,
                **how,
            )
        )
        if life is not None:
            life.task = task
        try:
            result = await task
        except (Killed, asyncio.CancelledError):
            assert life is not None
            if life.hard:
                self.made.ledger = open_ledger(self.url)  # another process
                self.made.later(seconds=60)
            return None
        self.told.append(f"  run {result.run} {result.status}")
        for crm, counts in result.crms.items():
            assert counts.adds_up(), f"{crm}: {counts}"
            assert counts.quarantined == 0
        await self.remember()
        return result

    async def step(self) -> None:
        if self.dice.random() < 0.85:
            self.mutate()
        self.made.later(minutes=self.dice.choice((3, 5, 20, 60, 600, 1500, 6000)))
        kind = self.dice.choice(
            ("sync", "sync", "one", "plan", "kill", "kill", "cancel", "fault", "fault", "away", "redefine")
        )
        self.told.append(f"{self.made.clock.now():%m-%d %H:%M} {kind}")
        match kind:
            case "sync":
                await self.run()
            case "one":
                await self.run(self.dice.choice(("hubspot", "salesforce")))
            case "plan":
                await self.rehearse()
            case "kill" | "cancel":
                life = Life(
                    self.dice.randint(1, self.dice.choice((20, 60, 90))),
                    hard=kind == "kill",
                    after=self.dice.random() < 0.5,
                )
                self.told.append(f"  dies at {life.left}, after={life.after}")
                await self.run(life=life)
            case "fault" | "away":
                crm, fault = self.dice.choice(FAULTS if kind == "fault" else GOES_AWAY)
                self.told.append(f"  {crm} {fault}")
                self.made.running[crm].faults.add(fault)
                await self.run()
                self.made.running[crm].faults.clear()
            case "redefine":
                fit = self.dice.choice((0.3, 0.5, 0.7))
                self.made.redefine(weights=Weights(fit=fit, engagement=1 - fit))
                await self.run()

    async def rehearse(self) -> None:
        """A plan that waits, then perhaps more happens, then it is applied."""
        rehearsed = await self.run(plan_only=True)
        assert rehearsed is not None
        if self.dice.random() < 0.5:
            self.mutate()
            self.made.later(minutes=10)
        for crm, plan in rehearsed.plans.items():
            if rehearsed.crms[crm].waiting and self.dice.random() < 0.7:
                faults = [fault for each, fault in (*FAULTS, *GOES_AWAY) if each == crm]
                if self.dice.random() < 0.4:
                    self.made.running[crm].faults.add(self.dice.choice(faults))
                self.told.append(f"  applied: {await self.made.apply(crm, plan)}")
                self.made.running[crm].faults.clear()

    async def remember(self) -> None:
        """Who has ever been an MQL, and since when: that never gets lost nor later."""
        people = {view.id: view for view in await self.made.ledger.people(limit=10_000)}
        by_ref = {ref: view for view in people.values() for ref in view.refs}
        for person, (first, refs) in list(self.first_mql.items()):
            kept = [people[person]] if person in people else [by_ref[ref] for ref in refs if ref in by_ref]
            firsts = [view.state.first_mql_at for view in kept if view.state.first_mql_at is not None]
            assert firsts, f"person {person} was an MQL first at {first}; nobody knows that any more"
            assert min(firsts) <= first, f"the first MQL date of person {person} moved to {min(firsts)}"
            if person not in people:
                del self.first_mql[person]
        for view in people.values():
            if view.state.first_mql_at is not None:
                self.first_mql[view.id] = (view.state.first_mql_at, frozenset(view.refs))

    # -------------------------------------------------------------------------------------------- what must hold

    async def calm_down(self) -> None:
        """Nothing happens any more: a run now, one on the next morning, one after the weekly round over all forms
        (a submission of somebody who is no contact, or no more, shows nowhere else), one a little later."""
        clock = self.made.clock
        for running in (self.made.hubspot, self.made.salesforce):
            running.faults.clear()
        for id in sorted(self.refused):
            self.made.salesforce.act("Lead", id, "refuse", times=0)
        self.made.later(minutes=5)
        await self.run()
        for days in (1, 8):
            morning = (clock.now() + timedelta(days=days)).replace(hour=9, minute=0)
            clock.set(morning)
            await self.run()
        self.made.later(minutes=20)
        last = await self.run()
        assert last is not None
        assert last.status == "succeeded", last

    async def check(self) -> None:
        await self.calm_down()
        people = await self.made.ledger.people(limit=10_000)
        plans = [
            row
            for plan in await self.made.ledger.plans(limit=10_000)
            for row in await self.made.ledger.plan_rows(plan.id)
        ]
        self.nobody_is_lost(people)
        await self.nothing_is_doubled(people)
        self.targets_hold_the_decision(people)
        self.no_stage_was_lowered()
        self.before_images_are_true(plans)
        assert not [row for row in plans if row.status in ("sending", "planned")]
        self.nothing_was_sent_to_the_dead(plans)
        await self.one_more_run_does_nothing()

    def nobody_is_lost(self, people: list[PersonView]) -> None:
        members = Counter(ref for view in people for ref in view.refs)
        live = self.live()
        assert not live - members.keys(), "live records that belong to nobody"
        assert not {ref for ref, count in members.items() if count > 1}, "records of two people"

    async def nothing_is_doubled(self, people: list[PersonView]) -> None:
        for view in people:
            [facts] = await self.made.ledger.facts([view.refs])
            counted = count_once([known.engagement for known in facts.engagement])
            keys = Counter((each.crm, each.stream, each.key) for each in counted)
            assert max(keys.values(), default=0) <= 1
            addresses = {mail for record in facts.records for mail in record.emails}
            sent = [
                submission
                for form in self.forms()
                for submission in form.submissions
                if dict(submission[2]).get("email", "").lower() in addresses
            ]
            known = [each.engagement for each in facts.engagement]
            stored = [each for each in known if each.stream == "form_submissions"]
            assert len(stored) == len(sent), f"person {view.id}: {len(sent)} forms sent, {len(stored)} known"
            told = Counter(
                (each.crm, each.type, each.occurred_at, each.url, each.key.rsplit(":", 1)[-1])
                for each in counted
                if each.stream == "counters"
            )
            assert max(told.values(), default=0) <= 1, f"person {view.id}: a page view counted twice"

    def targets_hold_the_decision(self, people: list[PersonView]) -> None:
        live = self.live()
        for view in people:
            for ref in view.refs:
                if ref in live:
                    self.holds_the_decision(ref, view)

    def holds_the_decision(self, ref: Ref, view: PersonView) -> None:
        mapping = self.made.definition.mappings[ref.crm].objects[ref.object]
        place = {line.result: line.to for line in mapping.write}
        truth, state, score = self.truth(ref), view.state, view.score
        wanted = {
            "status": state.status.value,
            "band": score.band,
            "grade": score.grade,
            "since": instant(state.mql_since) if state.mql_since else None,
        }
        assert mapping.scope is None or not holds  # the shipped mappings write to everybody
        held = {result: truth.get(place[result]) for result in wanted}
        for result, value in wanted.items():
            assert same_value(held[result], value), (
                f"{ref} of {view.id}: {result} {held[result]!r} != {value!r}"
            )
        for result, value in (("score", score.score), ("fit", score.fit), ("engagement", score.engagement)):
            number = as_number(truth.get(place[result]))
            assert number is not None, f"{ref}: {result} is blank"
            assert abs(number - value) < 3.5, f"{ref}: {result} {number} != {value}"
        assert not is_blank(truth.get(place["reason"]))
        ours = {theirs: our for our, theirs in mapping.stage.theirs().items()}
        stage = ours.get(str(truth.get(place["stage"])), "")
        if stage in DEFAULT_LADDER and state.stage in DEFAULT_LADDER:
            assert DEFAULT_LADDER.index(stage) >= DEFAULT_LADDER.index(state.stage), f"{ref}: {stage}"

    def no_stage_was_lowered(self) -> None:
        for crm, name in (("hubspot", "lifecyclestage"), ("salesforce", "Lifecycle_Stage__c")):
            objects = self.made.definition.mappings[crm].objects
            stages = next(target.stage for target in objects.values() if target.stage)
            order = [stages.theirs()[stage] for stage in DEFAULT_LADDER]
            for write in self.made.writes(crm):
                before, after = write.fields.get(name, (None, None))
                if before in order:
                    assert after in order, write
                    assert order.index(after) >= order.index(before), write

    def nothing_was_sent_to_the_dead(self, rows: list[PlanRow]) -> None:
        """The fresh look finds them; only a CRM's own answer begins with a capital letter."""
        assert not [row for row in rows if row.status == "set_aside" and row.reason.startswith("The ")]

    def before_images_are_true(self, rows: list[PlanRow]) -> None:
        """Each receipt "written" is a write in the sandbox's log, in order, with what stood there before."""
        logs: dict[Ref, Iterator[Any]] = {}
        for crm in self.made.adapters:
            for write in self.made.writes(crm):
                logs.setdefault(Ref(crm, write.object, write.id), [])  # type: ignore[arg-type]
                logs[Ref(crm, write.object, write.id)].append(write)  # type: ignore[attr-defined]
        logs = {ref: iter(writes) for ref, writes in logs.items()}
        for row in sorted(rows, key=lambda row: row.id):
            if row.status != "written":
                continue
            said = {line.field: line for line in row.writes}
            write = next(
                (
                    write
                    for write in logs.get(row.ref, iter(()))
                    if write.fields.keys() == said.keys()
                    and all(same_value(pair[1], said[name].after) for name, pair in write.fields.items())
                ),
                None,
            )
            assert write is not None, f"{row.ref}: written by the receipt, not by the log: {row}"
            for name, (before, _) in write.fields.items():
                assert same_value(before, said[name].before), (
                    f"{row.ref}.{name} held {before!r}, the plan row {row.id} says {said[name].before!r}"
                )

    async def one_more_run_does_nothing(self) -> None:
        before = {crm: len(self.made.writes(crm)) for crm in self.made.adapters}
        self.made.later(minutes=20)
        due = await self.made.ledger.due(list(self.made.adapters), self.made.clock.now(), 100)
        quiet = await self.run()
        assert quiet is not None
        fetched = {crm: counts.fetched for crm, counts in quiet.crms.items()}
        assert quiet.people == 0, f"{quiet.people} people are due; {due} already were; {fetched}"
        assert {crm: len(self.made.writes(crm)) for crm in self.made.adapters} == before


async def unfold(url: str, seed: int, steps: int) -> None:
    async with world(url, people=PEOPLE, seed=seed, clock=QuickClock(START)) as made:
        history = History(made, url, seed)
        try:
            for _ in range(steps):
                await history.step()
            await history.check()
        except Exception:
            print(f"seed {seed}", *history.told, sep="\n")
            raise


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_happens_nobody_is_lost_and_nothing_is_doubled(tmp_path: Path, seed: int) -> None:
    await unfold(ledger_url("sqlite", tmp_path), seed, STEPS)


async def test_a_short_history_on_postgresql(tmp_path: Path) -> None:
    url = ledger_url("postgresql", tmp_path)
    await unfold(url, 100, 8)
