"""The made-up population keeps its promises: sizes, determinism, mess, and behaviour that makes sense."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from connector.sandbox import words
from connector.sandbox.population import hubspot_id, make_population, salesforce_id

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def population():
    return make_population(2_000, 7, NOW)


def live(population, crm):
    return [record for record in population.records(crm) if record.state == "live"]


@pytest.mark.parametrize("people", [0, 1, 2, 10, 137])
def test_both_crms_have_exactly_as_many_live_records_as_asked_for(people):
    made = make_population(people, 3, NOW)
    assert len(live(made, "hubspot")) == people
    assert len(live(made, "salesforce")) == people


def test_the_same_seed_gives_the_same_population_and_another_seed_another():
    once, again, other = (make_population(200, seed, NOW) for seed in (5, 5, 6))
    assert once == again
    assert once.people != other.people


def test_about_seventy_percent_of_the_humans_are_in_both_crms(population):
    alive = [
        {record.crm for record in person.records if record.state == "live"} for person in population.people
    ]
    alive = [crms for crms in alive if crms]
    assert 0.66 < sum(len(crms) == 2 for crms in alive) / len(alive) < 0.74


def test_record_ids_are_unique_within_a_crm(population):
    for crm in ("hubspot", "salesforce"):
        ids = [record.id for record in population.records(crm)]
        assert len(ids) == len(set(ids))


def test_no_two_live_hubspot_contacts_share_an_address(population):
    seen = Counter(address for record in live(population, "hubspot") for address in record.emails)
    assert [address for address, times in seen.items() if times > 1] == []


def test_some_salesforce_leads_share_an_address(population):
    seen = Counter(record.emails[0].lower() for record in live(population, "salesforce") if record.emails)
    assert sum(times > 1 for times in seen.values()) >= 10


def test_dead_records_lead_to_the_living(population):
    by_id = {
        record.id: record for record in (*population.records("hubspot"), *population.records("salesforce"))
    }
    moved = [record for record in by_id.values() if record.state in ("merged", "converted")]
    assert {record.state for record in moved} == {"merged", "converted"}
    assert all(by_id[record.moved_to].state == "live" for record in moved)


def test_life_is_messy(population):
    records = [*live(population, "hubspot"), *live(population, "salesforce")]
    assert any(not record.emails for record in records)
    assert any(len(record.emails) > 1 for record in records)
    assert any(record.title == "" for record in records)
    assert any(record.last_name and not record.last_name.isascii() for record in records)
    assert any(record.last_name and record.last_name != record.last_name.strip() for record in records)
    assert len({record.country for record in records}) > 30
    assert {locale.language for _, locale in words.LOCALES} <= {record.language for record in records}


def test_engagement_lies_in_the_past_and_in_order(population):
    times = [done.occurred_at for done in population.engagements]
    assert times == sorted(times)
    assert max(times) < NOW
    assert len({done.n for done in population.engagements}) == len(times)


def test_every_engagement_hangs_on_a_record_of_its_own_crm(population):
    crm_of = {
        record.id: record.crm for crm in ("hubspot", "salesforce") for record in population.records(crm)
    }
    for done in population.engagements:
        assert done.record is None or crm_of[done.record] == done.channel.partition("_")[0]


def test_every_engagement_type_occurs(population):
    types = {
        "page_view", "content_download", "pricing_download", "app_download", "form_submission",
        "newsletter_subscription", "email_open", "email_click", "email_reply", "email_unsubscribe", "email_bounce",
        "webinar_registration", "webinar_attendance", "event_attendance", "trial_signup", "demo_signup",
        "demo_request", "contact_request", "help_request", "price_question", "call_request", "meeting_booked",
        "sales_material_request", "purchase_intent", "call", "favorite_added", "cart_added", "docs_viewed",
        "ad_click", "social_engagement", "subscription_change", "product_use", "other",
    }  # fmt: skip
    assert types - {done.type for done in population.engagements} == set()


def test_buyers_are_decision_makers_at_large_companies_who_looked_lately(population):
    buyers = [person for person in population.people if person.kind == "buyer"]
    assert 0.02 < len(buyers) / len(population.people) < 0.06
    assert {person.seniority for person in buyers} <= {"c_level", "vp", "director"}
    large = [person for person in buyers if person.company is not None]
    assert all((population.companies[person.company].employees or 0) >= 200 for person in large)
    looked = {
        done.person
        for done in population.engagements
        if done.type == "page_view" and done.occurred_at > NOW - timedelta(days=30)
    }
    in_hubspot = [person for person in buyers if any(record.crm == "hubspot" for record in person.records)]
    assert sum(person.index in looked for person in in_hubspot) > 0.6 * len(in_hubspot)


def test_machines_click_too(population):
    assert any(done.filtered for done in population.engagements if done.type == "email_click")
    assert any(done.copied for done in population.engagements)


def test_deals_are_won_lost_and_open_with_people_in_them(population):
    assert {deal.stage for deal in population.deals} == {"won", "lost", "open"}
    for deal in population.deals:
        assert deal.contacts
        assert deal.is_closed == (deal.stage != "open")
        assert (deal.closed_at > NOW) == (deal.stage == "open")


def test_hubspot_ids_are_numbers_beyond_32_bit_whose_text_order_is_wrong():
    ids = [hubspot_id(n) for n in (0, 98, 99, 100_000)]
    assert ids == sorted(ids, key=int)
    assert ids != sorted(ids)
    assert int(ids[0]) > 2**32


@pytest.mark.parametrize(
    ("short", "long"),
    [("001D000000IRFma", "001D000000IRFmaIAH"), ("001gK0000000000", "001gK0000000000QAA")],
)
def test_salesforce_ids_end_in_the_right_checksum(short, long):
    from connector.sandbox.cast import _checksum

    assert short + _checksum(short) == long


def test_salesforce_ids_differ_although_they_may_differ_by_case_alone():
    ids = [salesforce_id("00Q", n) for n in range(5_000)]
    assert len(set(ids)) == len(ids)
    assert all(len(id) == 18 for id in ids)
    assert ids == sorted(ids)
    assert len({id[:15].lower() for id in ids}) < len(ids)


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        make_population(1, 1, datetime(2026, 1, 1))  # noqa: DTZ001
