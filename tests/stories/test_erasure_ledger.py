"""Every place where the ledger may hold something of a person, erased; and everything that might bring them back."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert, select

from connector.app.erasing import undisturbed
from connector.app.erasure_key import key_box
from connector.app.settings import Settings
from connector.core.crm_task import CrmTask
from connector.core.hints import Hint
from connector.core.model import Outcome, Quarantined, Ref
from connector.core.override import NEVER, Override
from connector.core.routing import Way
from connector.core.tracking import APP, STREAM, Call
from connector.errors import FixConfig, LeaseBusy
from connector.ledger import SqlLedger, open_ledger
from connector.ledger.personal import DECLARED, Erase
from connector.ledger.tables_erased import ERASED, ERASURE_KEY
from connector.ports import Hold, Notice, Review
from tests.databases import ledger_url
from tests.stories.ledger_words import (
    ACME,
    ADA,
    BOB,
    DAY,
    LEAD,
    MINUTE,
    NOON,
    Desk,
    a_stage,
    a_write,
    click,
    contact,
    deal,
    decided,
)
from tests.stories.test_erasure import cells, erased

MAIL, SHARED, OLD = "ada@byron.example", "office@byron.example", "ada@old.example"
NAMES = {"first_name": "Augusta", "last_name": "Lovelace", "phone": "+44 20 7946 0958",
         "email_domain": "byron.example"}  # fmt: skip
SECOND = Ref("hubspot", "contact", "5")
TRACES = (
    MAIL,
    OLD,
    "hubspot:contact:1",
    "salesforce:lead:00q1",
    "7946 0958",
    "visitor-7",
    "secret",
)
NAMESAKE = "augusta lovelace"  # who agreed to the definition, and stays
EVERYTHING = {name for name, declared in DECLARED.items() if declared.erase is not Erase.KEEP}


@pytest.fixture
async def ledger(sqlite_url):
    opened = open_ledger(sqlite_url)
    yield opened
    await opened.close()


@pytest.fixture
def desk(ledger):
    return Desk(ledger)


def adas(ref: Ref = ADA, *mails: str, **values):
    """A record of hers."""
    return contact(ref, fields={**NAMES, "email": MAIL}, emails=mails or (MAIL, SHARED), **values)


def call(number: str, *keys: str, email: str | None = None, url: str = "/secret") -> Call:
    """Something done in the application."""
    done = click(number, type="docs_viewed", url=url)
    return Call(number, "track", NOON, keys, email, event=replace(done, crm=APP, stream=STREAM))


async def a_full_life(desk: Desk) -> tuple[int, int]:
    """Of Ada, something in every table that knows people; beside her Bob. Returns her number, and a plan of hers."""
    ledger, at = desk.ledger, desk.at
    desk.run = await ledger.start_run("sync", ["hubspot"], at)
    await desk.keep(adas(ADA, OLD, company=ACME), contact(BOB, emails=(SHARED, "bob@byron.example")))
    desk.at += MINUTE
    await desk.keep(adas(ADA, at=desk.at), stream="again")
    await desk.keep(adas(LEAD, MAIL, same_as=(ADA,)), crm="salesforce", stream="Lead")
    await desk.keep(
        stream="events",
        engagement=(
            click("e1", about=ADA, name="secret"),
            click("e2", email=MAIL),
            click("e3", email=SHARED),
        ),
        readings={(ADA, "visits"): 7.0},
        opportunities=(deal(ADA, BOB),),
        quarantined=(Quarantined("hubspot", "contact", "1", "secret"),),
    )
    await ledger.keep_tracked(
        [call("m1", "anonymous:visitor-7"), call("m2", "user:visitor-7", email=MAIL)], [], at
    )
    await ledger.keep_tracked([call("m3", "anonymous:visitor-7", "user:visitor-7")], [], at)
    await ledger.keep_hints([Hint(ADA)], at)
    await desk.decide(decided(BOB))
    notice = Notice("mql", "owner", "secret", at)
    await desk.decide(
        decided(ADA, LEAD, fields=NAMES, stage=a_stage("mql", change=True), notices=(notice,)),
        reviews=[Review(ADA, BOB, "secret")],
        clear=(),
    )
    [(number, _)] = await ledger.unrouted(10)
    await ledger.route_notices({number: [Way("sales", "")]}, await desk.lease("telling"), at)
    person = await desk.person_of(ADA)
    task = CrmTask(1, ADA, "80001", f"MQL: secret {MAIL} [MQL 1]", "secret", None)
    await ledger.ask_task(task, person, await desk.lease("tasks"), at)
    plan = (await desk.plan(a_write(ADA, secret="before"), a_write(BOB, mql_score=1)))[0].plan
    await desk.send([row for row in await ledger.plan_rows(plan) if row.ref == ADA])
    await desk.receive(await ledger.sending("hubspot"), Outcome.REJECTED, reason="secret")
    await desk.send(rows := await desk.plan(a_write(ADA, mql_score=7)))
    await desk.receive(rows, Outcome.WRITTEN)
    await ledger.keep_holds([Hold(ADA, "mql_score", "undone", "secret", desk.run, at, "secret")], at)
    await ledger.add_overrides([Override(0, NEVER, "person", MAIL, "Grace", "secret", at)], at)
    await ledger.answer_review(ADA, BOB, "split", at, author="Grace", note="secret")
    agreed = "agreed_by: {marketing: Augusta Lovelace}"
    files = {"criteria.yaml": f"examples: [{{person: {MAIL}}}]\n{agreed}", "hubspot.yaml": "of nobody"}
    await ledger.adopt_files(files, at)
    await ledger.keep_draft({**files, "more.yaml": ""}, 1, "Grace", f"for {MAIL}", at)
    await ledger.set_brake("hubspot", True, "Grace", f"because of {MAIL}", at)
    await ledger.finish_run(desk.run, "succeeded", {"example": str(ADA), "counts": {"read": 2}}, at)
    await ledger.ask_request("sync", ["hubspot"], {"for": MAIL}, "Grace", at)
    return person, plan


async def test_whatever_the_ledger_holds_of_somebody_is_shown_and_then_gone(desk, ledger, sqlite_url):
    person, _plan = await a_full_life(desk)
    assert len(await ledger.due_deliveries(desk.at, 10)) == 1
    before = {each.id: each.counts for each in await ledger.plans()}
    held = (await ledger.export_person(MAIL, desk.at))["held"]

    done = await erased(
        ledger, desk.at, f"person:{person}", reason=f"{MAIL} has asked, says Augusta Lovelace"
    )

    missing = {"spell", "backfill", "draft_approval", "job", "told", "idempotency_key", "refusal", "plan"}
    assert held.keys() <= EVERYTHING
    assert EVERYTHING - set(held) - missing == set()
    assert cells(sqlite_url, *TRACES) == []
    assert {each.partition(":")[0] for each in cells(sqlite_url, NAMESAKE)} == {
        "file_version.files",
        "draft.files",
    }
    assert {each.id: each.counts for each in await ledger.plans()} == before
    assert (await ledger.run(desk.run)).document["counts"] == {"read": 2}
    assert done.named_in == ("criteria.yaml",)
    assert done.shared == 1
    assert sorted(done.still_there) == [ADA, LEAD]
    (act,) = await ledger.acts(f"erasure:{done.number}")
    assert (act.by, act.detail["reason"]) == ("Grace", "erased-1@erased.invalid has asked, says erased")
    assert await ledger.find("bob@byron.example") != []
    (facts,) = await ledger.facts([[BOB]])
    assert [each.engagement.key for each in facts.engagement] == ["e3"]  # the address is his, too
    assert [str(ref) for each in facts.opportunities for ref in each.people] == ["erased:person:1", str(BOB)]
    assert await ledger.due_deliveries(desk.at, 10) == []
    assert await ledger.waiting_deliveries() == {}
    assert await ledger.written_rows(desk.run, "hubspot", 10) == []


async def test_no_byte_of_them_stays_in_the_file_of_sqlite_or_its_log(desk, ledger, sqlite_url):
    await a_full_life(desk)
    folder = Path(sqlite_url.removeprefix("sqlite:///")).parent

    def mentions() -> int:
        return sum(file.read_bytes().count(MAIL.encode()) for file in folder.glob("ledger.db*"))

    assert mentions() > 0
    await erased(ledger, desk.at, MAIL)
    assert mentions() == 0


async def test_who_is_not_decided_yet_is_found_too_and_nobody_is_nobody(desk, ledger, sqlite_url):
    await desk.keep(adas())
    assert await ledger.export_person("nobody@byron.example", desk.at) is None
    assert await erased(ledger, desk.at, "hubspot:contact:9") is None
    assert (await erased(ledger, desk.at, MAIL)).rows["record"] == 1
    assert cells(sqlite_url, MAIL) == []
    await ledger.keep_tracked([call("m1", "user:visitor-7", email=OLD)], [], desk.at)
    assert (await erased(ledger, desk.at, OLD)).rows["visitor"] == 1
    assert cells(sqlite_url, OLD, "visitor-7") == []


async def test_what_comes_in_of_an_erased_person_is_left_out_and_counted(desk, ledger, sqlite_url):
    await a_full_life(desk)
    await erased(ledger, desk.at, MAIL)
    other, bobs = Ref("hubspot", "contact", "33"), Ref("hubspot", "contact", "2")
    desk.at += DAY
    kept = await desk.keep(
        adas(ADA, "new@byron.example", at=desk.at),  # her record
        adas(other, MAIL, at=desk.at),  # a record that has her address
        contact(Ref("hubspot", "contact", "34"), same_as=(LEAD,), at=desk.at),  # one that names hers
        contact(bobs, fields={"first_name": "Bob"}, same_as=(ADA,), emails=(SHARED,), at=desk.at),
        stream="events",
        engagement=(click("e8", about=ADA), click("e9", email=MAIL), click("e7", email=SHARED)),
        readings={(ADA, "visits"): 9.0},
        opportunities=(deal(ADA, BOB, at=desk.at, is_won=True),),
        quarantined=(Quarantined("hubspot", "contact", "1", "secret"),),
    )
    assert kept.erased == 3 + 2 + 1
    assert {ref.id for ref in kept.erased_refs} == {"1", "33", "34"}
    again = await desk.keep(adas(other, "third@byron.example", at=desk.at), stream="events")
    assert again.erased == 1  # known by its own id from then on
    assert await ledger.standing("hubspot", "contact", within=no_range()) == 1 + 3
    told = await ledger.keep_tracked(
        [call("m5", "user:visitor-7"), call("m6", "user:x", email=MAIL), call("m7", "user:bob", url="/")],
        [],
        desk.at,
    )
    assert (told.stored, told.erased) == (1, 2)
    assert await ledger.keep_hints([Hint(ADA), Hint(BOB)], desk.at) == 1
    lease = await desk.lease("pull")
    segments = {("contact", "List", NEVER): frozenset({"1", "2"})}
    await ledger.keep_segments("hubspot", segments, lease, desk.at)
    assert [word.target for word in await ledger.overrides()] == [str(BOB)]
    with pytest.raises(FixConfig, match="was erased"):
        await ledger.add_overrides([Override(0, NEVER, "person", MAIL, "Grace", "No.", desk.at)], desk.at)
    assert cells(sqlite_url, *TRACES, "new@byron.example", "contact:33", "contact:34") == []
    (facts,) = await ledger.facts([[BOB]])
    assert facts.records[0].fields["first_name"] == "Bob"
    assert facts.records[0].same_as == ()

    assert await ledger.allow_person("salesforce:Lead:00Q1", by="Grace", reason="came back", at=desk.at) == 1
    assert (await desk.keep(adas(ADA, at=desk.at), stream="events")).erased == 0
    assert await ledger.allow_person(MAIL, by="Grace", reason="twice", at=desk.at) == 0


def no_range():
    """All of an object."""
    from connector.ports import Range

    return Range()


async def test_after_the_restore_of_an_older_backup_the_erasures_are_run_again(
    desk, ledger, sqlite_url, tmp_path
):
    await a_full_life(desk)
    backup = tmp_path / "backup"
    backup.mkdir()
    copied = ledger_url("sqlite", backup)
    engine, old = create_engine(sqlite_url), create_engine(copied)
    with engine.connect() as source, old.begin() as target:
        for table in ERASED.metadata.sorted_tables:
            rows = [row._asdict() for row in source.execute(select(table))]
            if rows and table.name != "lease":
                target.execute(insert(table), rows)
    await erased(ledger, desk.at, MAIL)
    with engine.connect() as source, old.begin() as target:
        for table in (ERASED, ERASURE_KEY):
            target.execute(insert(table), [row._asdict() for row in source.execute(select(table))])
    engine.dispose(), old.dispose()
    assert cells(copied, *TRACES) != []

    restored = open_ledger(copied)
    done = await restored.erase_again(desk.at)
    again = await restored.erase_again(desk.at)
    await restored.close()

    assert len(done) == 1
    assert done[0].rows["record"] == 2
    assert again == []
    assert cells(copied, *TRACES) == []


def boxed(url: str, secret: str | None) -> SqlLedger:
    """The ledger as a process with this CONNECTOR_SECRET_KEY opens it."""
    opened = open_ledger(url)
    opened.box = key_box(Settings(secret_key=secret))
    return opened


async def test_the_key_of_the_hashes_is_sealed_and_without_it_nothing_is_taken_in(sqlite_url):
    one, other = secrets.token_hex(20), secrets.token_hex(20)
    bare, sealed, wrong = boxed(sqlite_url, None), boxed(sqlite_url, one), boxed(sqlite_url, other)
    desk = Desk(bare)
    await desk.keep(adas(), contact(BOB, emails=("bob@byron.example",)))
    await erased(bare, NOON, MAIL)
    assert (await desk.keep(adas())).erased == 1

    await erased(sealed, NOON, "bob@byron.example")  # from now on sealed

    assert (await Desk(sealed).keep(adas())).erased == 1
    for ledger in (bare, wrong):
        with pytest.raises(FixConfig, match="CONNECTOR_SECRET_KEY"):
            await Desk(ledger).keep(adas())

    with pytest.raises(FixConfig, match="CONNECTOR_SECRET_KEY"):
        await wrong.reseal_erasures(wrong.box, wrong.box, by="Grace", at=NOON)
    assert await wrong.reseal_erasures(wrong.box, sealed.box, by="Grace", at=NOON) == 1
    assert (await Desk(wrong).keep(adas())).erased == 1
    with pytest.raises(FixConfig):
        await Desk(sealed).keep(adas())
    assert await sealed.forget_erasures(by="Grace", at=NOON) > 0
    assert (await Desk(sealed).keep(adas())).erased == 0
    for each in (bare, sealed, wrong):
        await each.close()


async def test_an_erasure_waits_for_who_decides_or_pushes_and_takes_no_lease_meanwhile(desk, ledger):
    class Waits:
        """A clock on which the other is done after some seconds; it sees that we hold nothing while we wait."""

        seconds, held = 0, None

        def now(self):
            return NOON

        async def sleep(self, span):
            self.seconds += 1
            assert await ledger.holder("decide", NOON) is None
            if self.seconds == 3:
                await ledger.release(pushing)

    pushing = await ledger.acquire("push:salesforce", "somebody", NOON)
    clock = Waits()
    async with undisturbed(ledger, clock) as leases:
        assert [lease.name for lease in leases] == ["decide", "push:hubspot", "push:salesforce"]
        assert clock.seconds == 3
        await ledger.acquire("decide", leases[0].holder, NOON)  # as if it had been lost
        with pytest.raises(LeaseBusy):
            await ledger.erase_person(MAIL, by="Grace", reason="asked", leases=leases, at=NOON)


async def test_rows_of_an_open_plan_are_set_aside_and_what_is_under_way_is_unknown(desk, ledger):
    await desk.keep(adas(), adas(SECOND, OLD), contact(BOB))
    rows = await desk.plan(a_write(ADA, mql_score=1), a_write(SECOND, mql_score=1), a_write(BOB, mql_score=1))
    await desk.send([row for row in rows if row.ref == SECOND])
    for who in (ADA, SECOND):
        await erased(ledger, desk.at, str(who))
    fates = sorted((row.status, row.reason, row.ref == BOB) for row in await ledger.plan_rows(rows[0].plan))
    assert fates == [("planned", "", True), ("set_aside", "erased", False), ("unknown", "erased", False)]
    assert await ledger.sending("hubspot") == []
