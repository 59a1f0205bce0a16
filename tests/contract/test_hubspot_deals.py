"""HubSpot's deals over real HTTP: whose they are, how a change of one is found, and a token that may not see them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from connector.core.model import RecordState, Ref
from connector.core.normalize import normalize_opportunity
from connector.errors import FixConfig
from connector.ports import Range
from tests.contract.hubspot_account import FIELDS, HOUR, MAPPING, engaged

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
NO_DEALS = {"HUBSPOT_ACCESS_TOKEN": "pat-eu1-sandbox-no-deals"}
SCOPE = "crm.objects.deals.read"


async def told(account):
    """The last state of every deal that came."""
    return {r.ref.id: r async for page in account.pages("deals") for r in page.records}


async def quiet(account):
    for _ in range(2):
        await told(account)
        account.clock.advance(2 * HOUR)


def companies(account, many):
    return [str(id_) for id_ in account.sandbox.sandbox.store.tables["companies"].live[:many]]


def made(account, stage="contractsent", **links):
    return account.sandbox.create("deals", {"dealname": "Ours", "dealstage": stage, **links})


def company(id_):
    return Ref("hubspot", "company", id_)


@pytest.mark.parametrize("version", ["2026-03", "v3"])
async def test_a_deal_is_open_won_or_lost_whatever_its_pipeline_calls_that_and_belongs_to_its_primary_company(
    version,
):
    async with engaged({"HUBSPOT_API_VERSION": version}, people=40) as account:
        first, second = companies(account, 2)
        ((contact, _),) = account.people()
        seeded = {deal.id: deal for deal in account.population.hubspot_deals}
        stages = {
            "contractsent": (False, False), "closedwon": (True, True), "closedlost": (True, False),
            "98110002": (False, False), "98110003": (True, True), "98110004": (True, False),
        }  # fmt: skip
        # The primary company is the one named first, and not the one with the lower id, by which they come.
        ours = {
            stage: made(account, stage, companies=[second, first], contacts=[contact]) for stage in stages
        }
        alone = made(account, contacts=[contact])

        records = await told(account)

        deals = {id_: normalize_opportunity(record, MAPPING) for id_, record in records.items()}
        assert deals.keys() == {*seeded, *ours.values(), alone}
        for stage, (closed, won) in stages.items():
            deal = deals[ours[stage]]
            assert (deal.is_closed, deal.is_won, deal.company, deal.people) == (
                closed,
                won,
                company(second),
                (),
            )
            assert (deal.closed_at is not None) == closed
        assert (deals[alone].company, deals[alone].people) == (None, (Ref("hubspot", "contact", contact),))
        for id_, deal in seeded.items():
            said = "won" if deals[id_].is_won else "lost" if deals[id_].is_closed else "open"
            home = account.population.companies[deal.company].hubspot_id
            assert (said, deals[id_].company) == (deal.stage, company(home) if home else None)


async def test_a_deal_that_changes_is_found_in_the_next_window_for_three_calls():
    async with engaged(people=20) as account:
        (one,) = companies(account, 1)
        deal = made(account, companies=[one])
        await quiet(account)
        before = account.adapter.calls()
        assert await told(account) == {}
        assert account.adapter.calls() - before == 1

        closed = account.sandbox.edit("deal", deal, {"dealstage": "closedlost"})["updatedAt"]
        account.clock.advance(5 * MINUTE)
        before = account.adapter.calls()
        records = await told(account)

        assert account.adapter.calls() - before == 3  # search, read, company
        lost = normalize_opportunity(records[deal], MAPPING)
        assert (lost.is_closed, lost.is_won, lost.company) == (True, False, company(one))
        assert lost.closed_at == datetime.fromisoformat(closed)


@pytest.mark.parametrize("links_touch", [False, True])
async def test_a_deal_moved_to_another_company_is_found_even_if_nothing_says_it_changed(links_touch):
    async with engaged(people=20, links_touch=links_touch) as account:
        one, other = companies(account, 2)
        deal = made(account, companies=[one])
        await quiet(account)
        account.sandbox.act("deal", deal, "associate", companies=[other])
        account.clock.advance(5 * MINUTE)
        soon = await told(account)
        account.clock.advance(7 * DAY)
        within_a_week = await told(account)

    assert (deal in soon) == links_touch
    assert within_a_week[deal].company == company(other)


async def test_an_archived_deal_is_found_within_a_day_a_restored_one_with_its_company_an_erased_one_in_a_week():
    async with engaged(people=20) as account:
        (one,) = companies(account, 1)
        deal = made(account, companies=[one])
        await quiet(account)
        account.sandbox.act("deal", deal, "archive")
        account.clock.advance(DAY)
        archived = await told(account)
        account.sandbox.act("deal", deal, "restore")
        account.clock.advance(5 * MINUTE)
        restored = await told(account)

        account.sandbox.act("deal", deal, "gdpr_delete")
        account.clock.advance(7 * DAY)
        census = [page.census async for page in account.pages("deals") if page.census]
        assert {each.object for each in census} == {"deal"}  # a ledger that knows more asks for it by id
        assert not any(deal in each.alive for each in census)
        assert await account.adapter.read([Ref("hubspot", "deal", deal)], FIELDS) == {}

    assert (archived[deal].kind, archived[deal].state) == ("opportunity", RecordState.ARCHIVED)
    assert (restored[deal].state, restored[deal].company) == (RecordState.LIVE, company(one))


@pytest.mark.parametrize("keeps", [False, True])
async def test_deals_that_were_merged_away_end_with_the_pull_that_brings_the_survivor(keeps):
    async with engaged(people=20, merge_keeps_primary=keeps) as account:
        one, other = companies(account, 2)
        deal, twin = made(account, companies=[one]), made(account, companies=[other])
        await quiet(account)
        survivor = account.sandbox.act("deal", deal, "merge", other=twin)["id"]
        account.clock.advance(5 * MINUTE)
        records = await told(account)
        read = await account.adapter.read(
            [Ref("hubspot", "deal", twin), Ref("hubspot", "deal", survivor)], FIELDS
        )

    ended = {twin} if keeps else {twin, deal}
    assert {id_ for id_, record in records.items() if record.state is RecordState.MERGED} == ended
    assert {records[id_].moved_to.id for id_ in ended} == {survivor}
    assert (records[survivor].state, records[survivor].company) == (RecordState.LIVE, company(one))
    assert [(each.state, each.company) for each in read.values()] == [
        (RecordState.MERGED, None), (RecordState.LIVE, company(one)),
    ]  # fmt: skip


async def test_a_token_that_never_saw_deals_is_told_so_each_time_for_one_call_and_the_stream_is_no_failure():
    async with engaged(NO_DEALS, people=20) as account:
        before = account.adapter.calls()
        for _ in range(2):
            (page,) = [page async for page in account.pages("deals")]
            assert SCOPE in page.note
        assert account.adapter.calls() - before <= 3  # the first asks for the time
        assert await account.adapter.schema("deal") == {}
        assert (await account.adapter.estimate("deals", Range())).rows == 0
        (page,) = [page async for page in account.adapter.backfill("deals", Range(), None, FIELDS)]
        assert SCOPE in page.note
        findings = [each for each in await account.adapter.inspect(MAPPING) if SCOPE in each.what]
        assert [(each.level, each.where) for each in findings] == [("warning", "scopes")]


async def test_deals_that_can_no_longer_be_seen_fail_the_stream_and_so_does_not_what_they_are_made_of():
    async with engaged(people=20) as account:
        refusal = {"category": "MISSING_SCOPES", "errors": [{"context": {"requiredGranularScopes": [SCOPE]}}]}
        account.sandbox.faults.add(path="*/objects/*/deals", status=403, json=refusal, skip=1)
        with pytest.raises(FixConfig, match="deals"):  # half of them were seen
            await told(account)
        await told(account)
        account.sandbox.faults.add(path="*/properties/*deals*", status=403, json=refusal, times=None)
        assert (
            await account.adapter.schema("deal") == {}
        )  # told by no document: the properties may need a scope more
        await told(account)
        account.sandbox.faults.add(path="*/objects/*deals*", status=403, json=refusal, times=None)
        with pytest.raises(FixConfig, match="deals"):
            await told(account)


async def test_a_deal_that_says_nothing_of_being_closed_is_set_apart_and_passes_for_no_open_one():
    async with engaged(people=20) as account:
        deal = made(account)
        account.sandbox._ask(
            lambda: account.sandbox.sandbox.store.tables["deals"].set_quietly(
                account.sandbox.sandbox.store.tables["deals"].get(deal),
                dict.fromkeys(("hs_is_closed", "hs_is_closed_won", "hs_is_closed_lost"), ""),
            )
        )
        pages = [page async for page in account.pages("deals")]

    assert [(bad.id, bad.why) for page in pages for bad in page.quarantined] == [
        (deal, "it does not say whether it is closed")
    ]
    assert deal not in {record.ref.id for page in pages for record in page.records}
