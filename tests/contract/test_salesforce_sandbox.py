"""The Salesforce sandbox, held to the truth by a client that others wrote, and by plain HTTP for the rest."""

from __future__ import annotations

import gzip
import json
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)

from adapters.salesforce.sandbox import build
from adapters.salesforce.sandbox.org import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, USERNAME
from adapters.salesforce.sandbox.wire import CONCURRENT_LIMIT
from connector.sandbox.clock import SandboxClock
from connector.sandbox.population import make_population, salesforce_id
from connector.sandbox.server import serve

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
POPULATION = make_population(400, 5, START - timedelta(hours=1))
QUIET = {"Sforce-Auto-Assign": "FALSE", "Sforce-Duplicate-Rule-Header": "allowSave=true"}


class ToSandbox(HTTPAdapter):
    """simple-salesforce always speaks https; this sends it to the sandbox."""

    def __init__(self, url):
        self.origin = urlsplit(url)
        super().__init__()

    def send(self, request, **how):
        found = urlsplit(request.url)
        request.url = found._replace(scheme=self.origin.scheme, netloc=self.origin.netloc).geturl()
        return super().send(request, **how)


class Served:
    """One org, a foreign client and a plain one."""

    def __init__(self, stack, **options):
        self.clock = SandboxClock(START)
        running = stack.enter_context(serve([build(POPULATION, self.clock, **options)]))
        self.box = running["salesforce"]
        self.url = self.box.url
        token = self.token(grant_type="client_credentials").json()["access_token"]
        self.http = stack.enter_context(httpx.Client(base_url=f"{self.url}/services/data/v66.0", timeout=10))
        self.http.headers["Authorization"] = f"Bearer {token}"

    def token(self, **form):
        given = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **form}
        return httpx.post(f"{self.url}/services/oauth2/token", data=given)

    def client(self, **login):
        session = requests.Session()
        session.mount("https://", ToSandbox(self.url))
        given = login or {"consumer_key": CLIENT_ID, "consumer_secret": CLIENT_SECRET, "domain": "acme.my"}
        return Salesforce(session=session, version="66.0", **given)

    def soql(self, text, path="/query", **more):
        return self.http.get(path, params={"q": text}, **more)

    def ids(self, source, where="", limit=200):
        found = self.soql(f"SELECT Id FROM {source} {where} LIMIT {limit}").json()
        return [row["Id"] for row in found["records"]]

    def lead(self, where="IsConverted = false"):
        return self.ids("Lead", f"WHERE {where}", 1)[0]

    def patch(self, records, headers=QUIET, **more):
        return self.http.patch("/composite/sobjects", json={"records": records, **more}, headers=headers)


@pytest.fixture
def make():
    with ExitStack() as stack:
        yield lambda **options: Served(stack, **options)


@pytest.fixture(scope="module")
def org():
    """For tests that only read."""
    with ExitStack() as stack:
        yield Served(stack)


def lead_change(id, **values):
    return {"attributes": {"type": "Lead"}, "id": id, **values}


def codes(answer):
    return [error["errorCode"] for error in answer.json()]


def statuses(answer):
    return [[error["statusCode"] for error in each["errors"]] for each in answer.json()]


# ------------------------------------------------------------------------------------------ the foreign client


def test_simple_salesforce_logs_in_and_queries_page_by_page(make):
    sf = make(page_rows=50).client()

    first = sf.query("SELECT Id, Email FROM Lead ORDER BY Id")
    second = sf.query_more(first["nextRecordsUrl"], identifier_is_url=True)

    assert len(first["records"]) == len(second["records"]) == 50
    assert first["done"] is False
    assert first["records"][-1]["Id"] < second["records"][0]["Id"]
    assert sf.query_all("SELECT Id FROM Lead")["totalSize"] == first["totalSize"]
    assert len(sf.query_all("SELECT Id FROM Lead")["records"]) == first["totalSize"]
    assert sf.api_usage["api-usage"].total == 100_000


def test_simple_salesforce_describes_the_fields_we_write(org):
    fields = {field["name"]: field for field in org.client().Lead.describe()["fields"]}

    assert fields["MQL_Score__c"]["type"] == "double"
    assert (fields["MQL_Score__c"]["precision"], fields["MQL_Score__c"]["scale"]) == (3, 0)
    assert fields["MQL_Status__c"]["restrictedPicklist"]
    assert "qualified" in [value["value"] for value in fields["MQL_Status__c"]["picklistValues"]]
    assert fields["MQL_Reason__c"]["length"] == 255
    assert fields["MQL_Since__c"]["type"] == "datetime"
    assert not fields["IsConverted"]["updateable"]
    assert fields["Lifecycle_Stage__c"]["picklistValues"][0]["value"] == "subscriber"


def test_simple_salesforce_sees_every_object_of_the_org(org):
    names = {each["name"]: each["keyPrefix"] for each in org.client().describe()["sobjects"]}
    assert {"Lead", "Contact", "Account", "Campaign", "CampaignMember", "Task", "Event"} <= set(names)
    assert {"Opportunity", "OpportunityContactRole", "User"} <= set(names)
    assert names["Lead"] == "00Q"


def test_simple_salesforce_updates_one_lead_and_reads_it_back(make):
    org = make()
    sf, id = org.client(), org.lead()

    status = sf.Lead.update(id, {"MQL_Score__c": 87, "MQL_Since__c": "2026-11-22T09:30:00Z"}, headers=QUIET)

    assert status == 204
    row = sf.Lead.get(id)
    assert row["MQL_Score__c"] == 87.0
    assert row["MQL_Since__c"] == "2026-11-22T09:30:00.000+0000"
    assert [write.fields["MQL_Score__c"] for write in org.box.log.writes("Lead", id)] == [(None, 87.0)]


def test_simple_salesforce_patches_a_collection_in_order(make):
    org = make()
    first, second = org.ids("Lead", "WHERE IsConverted = false", 2)

    answers = org.client().restful(
        "composite/sobjects",
        method="PATCH",
        json={
            "allOrNone": False,
            "records": [
                lead_change(first, MQL_Score__c=10),
                lead_change(salesforce_id("00Q", 61**4), MQL_Score__c=10),
                lead_change(second, MQL_Status__c="qualified"),
            ],
        },
    )

    assert [answer["success"] for answer in answers] == [True, False, True]
    assert "id" not in answers[1]
    assert answers[1]["errors"][0]["statusCode"] == "INVALID_CROSS_REFERENCE_KEY"
    assert org.box.raw("Lead", second)["MQL_Status__c"] == "qualified"


def test_simple_salesforce_creates_upserts_and_deletes(make):
    org = make()
    sf = org.client()

    made = sf.Lead.create({"LastName": "Doe", "Company": "Acme", "Ext_Id__c": "crm/42"}, headers=QUIET)
    again = sf.Lead.upsert("Ext_Id__c/crm%2F42", {"LastName": "Roe"}, headers=QUIET)
    found = sf.Lead.get_by_custom_id("Ext_Id__c", "crm/42")
    gone = sf.Lead.delete(made["id"])

    assert made["success"]
    assert again == 200
    assert (found["Id"], found["Name"]) == (made["id"], "Roe")
    assert gone == 204
    with pytest.raises(SalesforceResourceNotFound):
        sf.Lead.get(made["id"])


def test_simple_salesforce_reads_limits_and_replication_feeds(make):
    org = make()
    sf, id = org.client(), org.lead()
    org.box.act("Lead", id, "delete")
    org.clock.advance(timedelta(minutes=5))

    window = (START - timedelta(minutes=2), START + timedelta(minutes=4))
    deleted = sf.Lead.deleted(*window)
    updated = sf.Lead.updated(*window)

    assert [each["id"] for each in deleted["deletedRecords"]] == [id]
    assert id not in updated["ids"]
    assert sf.limits()["DailyApiRequests"]["Max"] == 100_000


def test_simple_salesforce_reads_what_stands_beside_people(make):
    """Relations of activities, field history, member statuses, person accounts, and the bin by queryAll."""
    org = make(shared_activities=True, person_accounts=4)
    sf, lead = org.client(), org.lead()
    org.box.edit("Lead", lead, {"Status": "Working - Contacted"})
    org.box.edit("Lead", lead, {"Status": "Closed - Not Converted"})
    org.box.act("Lead", lead, "delete")

    relations = sf.query_all("SELECT TaskId, RelationId, Relation.Type FROM TaskWhoRelation")["records"]
    history = sf.query(f"SELECT Field, NewValue, CreatedDate FROM LeadHistory WHERE LeadId = '{lead}'")
    responses = sf.query("SELECT CampaignId, Label FROM CampaignMemberStatus WHERE HasResponded = true")
    persons = sf.query("SELECT Id, PersonContactId, PersonEmail FROM Account WHERE IsPersonAccount = true")
    binned = list(sf.query_all_iter("SELECT Id FROM Lead WHERE IsDeleted = true", include_deleted=True))
    contact = sf.Contact.describe()

    assert {each["Relation"]["Type"] for each in relations} == {"Lead", "Contact"}
    assert [each["NewValue"] for each in history["records"]][-1] == "Closed - Not Converted"
    assert responses["totalSize"] > 0
    assert persons["totalSize"] == 4
    assert sf.Contact.get(persons["records"][0]["PersonContactId"])["IsPersonAccount"] is True
    assert lead in {each["Id"] for each in binned}
    assert [each["name"] for each in contact["fields"] if each["calculated"]] == ["Account_Industry__c"]


def test_simple_salesforce_sends_queries_in_a_composite_request(org):
    asked = [
        {
            "method": "GET",
            "referenceId": name,
            "url": f"/services/data/v66.0/query?q=SELECT+COUNT()+FROM+{name}",
        }
        for name in ("Lead", "Nowhere")
    ]

    answer = org.client().restful("composite", method="POST", json={"compositeRequest": asked})

    good, bad = answer["compositeResponse"]
    assert good["body"]["totalSize"] > 0
    assert (bad["httpStatusCode"], bad["body"][0]["errorCode"]) == (400, "INVALID_TYPE")


def test_simple_salesforce_recognises_our_errors(org):
    sf = org.client()
    with pytest.raises(SalesforceMalformedRequest, match="No such column 'Nope'"):
        sf.query("SELECT Nope FROM Lead")
    with pytest.raises(SalesforceResourceNotFound):
        sf.Lead.get(salesforce_id("00Q", 61**4))


@pytest.mark.filterwarnings("ignore:.*self-authorize:UserWarning")
def test_simple_salesforce_logs_in_with_a_signed_assertion(make):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    org = make(public_key=public.decode())
    org.clock.set(SandboxClock().now())  # the client signs with the real time

    login = {"username": USERNAME, "consumer_key": CLIENT_ID, "privatekey": private, "domain": "login"}
    assert org.client(**login).query("SELECT COUNT() FROM Lead")["totalSize"] > 100
    with pytest.raises(SalesforceAuthenticationFailed, match="hasn't approved"):
        org.client(**{**login, "username": "somebody.else@example.com"})


# ------------------------------------------------------------------------------------------ sessions and limits


def test_a_token_answer_has_no_expiry_and_names_org_and_user(org):
    answer = org.token(grant_type="client_credentials").json()

    assert "expires_in" not in answer
    assert answer["instance_url"] == org.url
    assert answer["issued_at"].isdigit()
    assert len(answer["issued_at"]) == 13
    assert answer["id"].split("/")[-2].startswith("00D")
    assert answer["id"].split("/")[-1].startswith("005")


def test_credentials_may_come_by_http_basic(org):
    form = {"grant_type": "client_credentials"}
    where = f"{org.url}/services/oauth2/token"
    assert httpx.post(where, data=form, auth=(CLIENT_ID, CLIENT_SECRET)).status_code == 200
    assert httpx.post(where, data=form, auth=(CLIENT_ID, "wrong")).status_code == 400


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "client_credentials", "client_secret": "wrong"}, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "wrong"}, "invalid_client_id"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "wrong"}, "invalid_grant"),
    ],
)
def test_a_refused_login_has_its_own_shape(make, form, error):
    answer = make().token(**form)
    assert answer.status_code == 400
    assert answer.json()["error"] == error
    assert answer.json()["error_description"]


def test_a_refresh_token_rotates_and_its_second_use_revokes_the_family(make):
    org = make()
    first = org.token(grant_type="refresh_token", refresh_token=REFRESH_TOKEN).json()
    second = org.token(grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert second.status_code == 200

    assert org.token(grant_type="refresh_token", refresh_token=REFRESH_TOKEN).status_code == 400
    newest = second.json()["refresh_token"]
    assert org.token(grant_type="refresh_token", refresh_token=newest).status_code == 400


def test_a_session_lives_as_long_as_it_is_used(make):
    org = make()
    for _ in range(3):
        org.clock.advance(timedelta(minutes=119))
        assert org.soql("SELECT COUNT() FROM Lead").status_code == 200
    org.clock.advance(timedelta(minutes=121))

    answer = org.soql("SELECT COUNT() FROM Lead")
    assert answer.status_code == 401
    assert answer.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    with pytest.raises(SalesforceExpiredSession):
        org.client(session_id="wrong", instance="acme.my.salesforce.com").limits()


def test_the_usage_header_is_missing_exactly_where_salesforce_leaves_it_out(make):
    org = make(per_app_limit=250)
    counted = org.http.get("/limits").headers["Sforce-Limit-Info"]
    assert counted == "api-usage=1/100000; per-app-api-usage=1/250(appName=scorer)"

    written = org.http.patch(f"/sobjects/Lead/{org.lead()}", json={"MQL_Score__c": 1}, headers=QUIET)
    assert written.status_code == 204
    assert "Sforce-Limit-Info" not in written.headers
    versions = httpx.get(f"{org.url}/services/data")
    assert "Sforce-Limit-Info" not in versions.headers
    assert {"label": "Spring '26", "url": "/services/data/v66.0", "version": "66.0"} in versions.json()


def test_a_spent_day_refuses_until_it_has_rolled_on(make):
    org = make(daily_limit=3, session_life=timedelta(days=3))
    answers = [org.http.get("/limits") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 403]
    assert answers[2].json()["DailyApiRequests"] == {"Max": 3, "Remaining": 0}
    assert answers[3].json() == [
        {"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}
    ]
    org.clock.advance(timedelta(hours=24))
    assert org.http.get("/limits").status_code == 200


def test_faults_answer_in_the_orgs_place(make):
    org = make()
    org.box.faults.add(path="*/query", status=403, json=CONCURRENT_LIMIT)
    org.box.faults.add(path="*/query", status=503, text="<html>We are down for maintenance</html>")

    busy, down, fine = (org.soql("SELECT COUNT() FROM Lead") for _ in range(3))

    assert busy.status_code == 403
    assert codes(busy) == ["REQUEST_LIMIT_EXCEEDED"]
    assert "html" in down.headers["content-type"]
    assert fine.status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nothing", 404, "NOT_FOUND"),
        ("/sobjects/Nope/describe", 404, "NOT_FOUND"),
        (f"/sobjects/Lead/{salesforce_id('00Q', 61**4)}", 404, "NOT_FOUND"),
        ("/sobjects/Lead/x", 404, "NOT_FOUND"),
        ("/query/0r8nothing-2000", 400, "INVALID_QUERY_LOCATOR"),
        ("/query?q=", 400, "MALFORMED_QUERY"),
        ("/composite", 405, "METHOD_NOT_ALLOWED"),
        (
            "/sobjects/Lead/updated/?start=2026-11-22T09:00:00Z&end=2026-11-22T09:00:30Z",
            400,
            "INVALID_REPLICATION_DATE",
        ),
        (
            "/sobjects/Lead/deleted/?start=2026-10-01T09:00:00Z&end=2026-11-22T09:00:00Z",
            400,
            "INVALID_REPLICATION_DATE",
        ),
    ],
)
def test_a_wrong_path_answers_an_array_of_one_error(org, path, status, code):
    answer = org.http.get(path)
    assert answer.status_code == status
    assert codes(answer) == [code]


def test_versions_too_old_are_gone_and_ageing_ones_warn(org):
    headers = dict(org.http.headers)
    assert httpx.get(f"{org.url}/services/data/v30.0/limits", headers=headers).status_code == 410
    assert httpx.get(f"{org.url}/services/data/v99.0/limits", headers=headers).status_code == 404
    old = httpx.get(f"{org.url}/services/data/v40.0/limits", headers=headers)
    assert old.headers["Warning"].startswith("299")
    assert "Warning" not in org.http.get("/limits").headers


def test_a_head_too_long_is_answered_with_html(org):
    answer = org.soql("SELECT Id FROM Lead WHERE LastName = '" + "x" * 17_000 + "'")
    assert answer.status_code == 431
    assert "html" in answer.headers["content-type"]


# ------------------------------------------------------------------------------------------ reading


def test_values_are_spelled_as_salesforce_spells_them(make):
    org = make()
    id = org.lead()
    org.box.edit("Lead", id, {"AnnualRevenue": 950000000, "NumberOfEmployees": 12, "Title": ""})

    text = org.soql(
        f"SELECT AnnualRevenue, NumberOfEmployees, Title, CreatedDate FROM Lead WHERE Id = '{id}'"
    ).text

    assert '"AnnualRevenue":950000000.0' in text
    assert '"NumberOfEmployees":12,' in text
    assert '"Title":null' in text
    assert json.loads(text)["records"][0]["CreatedDate"].endswith(".000+0000")


def test_a_dead_locator_is_refused(make):
    org = make(page_rows=100, session_life=timedelta(days=9))
    more = org.soql("SELECT Id FROM Lead").json()["nextRecordsUrl"]
    assert httpx.get(org.url + more, headers=org.http.headers).status_code == 200

    org.clock.advance(timedelta(days=3))
    assert codes(httpx.get(org.url + more, headers=org.http.headers)) == ["INVALID_QUERY_LOCATOR"]


def test_the_page_size_is_a_hint_within_bounds(org):
    asked = org.soql("SELECT Id FROM Lead", headers={"Sforce-Query-Options": "batchSize=200"}).json()
    assert len(asked["records"]) == 200
    assert asked["nextRecordsUrl"].endswith("-200")


def test_activities_of_every_awkward_kind_exist(org):
    def total(text, path="/queryAll"):
        return org.soql(text, path).json()["totalSize"]

    assert total("SELECT Id FROM Task WHERE Subject LIKE '[HubSpot]%'") > 0
    assert total("SELECT Id FROM Task WHERE CreatedBy.Name = 'HubSpot Integration'") > 0
    assert total("SELECT Id FROM Task WHERE IsClosed = false") > 0
    assert total("SELECT Id FROM Task WHERE Who.Type = 'Contact'") > 0
    assert total("SELECT Id FROM Event WHERE IsChild = true") > 0
    assert total("SELECT Id FROM Event WHERE StartDateTime > 2026-11-22T10:00:00Z") > 0
    assert total("SELECT Id FROM Event WHERE IsArchived = true") > 0
    assert total("SELECT Id FROM Event WHERE IsArchived = true", "/query") == 0
    assert total("SELECT Id FROM CampaignMember WHERE HasResponded = false") > 0
    assert total("SELECT Id FROM CampaignMember WHERE LeadId != null AND ContactId != null") > 0
    assert total("SELECT Id FROM Lead WHERE IsConverted = true AND ConvertedContactId != null") > 0
    assert total("SELECT Id FROM Lead WHERE IsDeleted = true AND MasterRecordId = null") > 0
    assert total("SELECT Id FROM Opportunity WHERE IsWon = true") > 0
    assert total("SELECT Id FROM OpportunityContactRole WHERE IsPrimary = true") > 0
    assert total("SELECT Id FROM LeadHistory WHERE Field = 'Status'") > 0


def test_a_converted_lead_points_at_a_contact_that_exists(org):
    rows = org.soql("SELECT ConvertedContactId FROM Lead WHERE IsConverted = true LIMIT 20").json()["records"]
    contacts = {row["ConvertedContactId"] for row in rows}
    asked = {"ids": sorted(contacts), "fields": ["Id", "Account.Name"]}
    answer = org.http.post("/composite/sobjects/Contact", json=asked).json()
    assert {row["Id"] for row in answer} == contacts


def test_retrieving_many_answers_in_order_with_null_for_what_is_not_there(org):
    known = org.ids("Lead", "", 2)
    asked = {"ids": [known[1], salesforce_id("00Q", 61**4), known[0][:15]], "fields": ["Email"]}

    found = org.http.post("/composite/sobjects/Lead", json=asked).json()

    assert [row and row["Id"] for row in found] == [known[1], None, known[0]]
    wrong = org.http.post("/composite/sobjects/Lead", json={**asked, "fields": ["Nope"]})
    assert codes(wrong) == ["INVALID_FIELD"]


def test_field_level_security_hides_a_field_everywhere(make):
    org = make(hidden_fields=["Lead.MQL_Score__c"])
    names = [field["name"] for field in org.http.get("/sobjects/Lead/describe").json()["fields"]]

    assert "MQL_Score__c" not in names
    assert codes(org.soql("SELECT MQL_Score__c FROM Lead")) == ["INVALID_FIELD"]
    assert statuses(org.patch([lead_change(org.lead(), MQL_Score__c=1)])) == [["INVALID_FIELD"]]


def test_an_org_without_our_fields_has_none_of_them(make):
    org = make(with_mql_fields=False)
    names = [field["name"] for field in org.http.get("/sobjects/Contact/describe").json()["fields"]]
    assert not [name for name in names if name.startswith("MQL_") or name == "Lifecycle_Stage__c"]


def test_a_row_of_a_long_transaction_is_stamped_before_it_is_seen(make):
    org = make(commit_lag=timedelta(seconds=90))
    id = org.lead()
    org.box.edit("Lead", id, {"Title": "Director"})
    stamp = org.box.raw("Lead", id)["SystemModstamp"]
    question = f"SELECT Id FROM Lead WHERE SystemModstamp >= {stamp.replace('.000+0000', 'Z')}"

    assert org.soql(question).json()["totalSize"] == 0
    org.clock.advance(timedelta(seconds=91))
    assert [row["Id"] for row in org.soql(question).json()["records"]] == [id]


# ------------------------------------------------------------------------------------------ writing


def test_a_score_write_hands_the_lead_to_another_owner_unless_told_not_to(make):
    org = make()
    id = org.lead()
    owner = org.box.raw("Lead", id)["OwnerId"]

    org.patch([lead_change(id, MQL_Score__c=1)])
    assert org.box.raw("Lead", id)["OwnerId"] == owner
    org.patch([lead_change(id, MQL_Score__c=2)], headers={})
    assert org.box.raw("Lead", id)["OwnerId"] != owner


def test_a_write_that_changes_nothing_still_moves_the_stamp_and_says_so_in_the_log(make):
    org = make()
    id = org.lead()
    org.patch([lead_change(id, MQL_Score__c=5)])
    before = org.box.raw("Lead", id)["SystemModstamp"]
    org.clock.advance(timedelta(seconds=2))

    assert statuses(org.patch([lead_change(id, MQL_Score__c=5.0)])) == [[]]

    assert org.box.raw("Lead", id)["SystemModstamp"] > before
    assert [write.changed for write in org.box.log.writes("Lead", id, "api")] == [True, False]


def test_a_duplicate_rule_blocks_a_shared_address_unless_saving_is_allowed(make):
    org = make(duplicate_rule=True)
    first, second = org.ids("Lead", "WHERE IsConverted = false", 2)
    for id in (first, second):
        org.box.edit("Lead", id, {"Email": "shared@example.com"})

    blocked = org.patch([lead_change(first, MQL_Score__c=1)], headers={})
    allowed = org.patch([lead_change(first, MQL_Score__c=1)])

    (error,) = blocked.json()[0]["errors"]
    assert error["statusCode"] == "DUPLICATES_DETECTED"
    assert error["duplicateResult"]["matchResults"][0]["matchRecords"][0]["record"]["Id"] == second
    assert statuses(allowed) == [[]]


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"MQL_Score__c": 1000}, "NUMBER_OUTSIDE_VALID_RANGE"),
        ({"MQL_Score__c": "87"}, "JSON_PARSER_ERROR"),
        ({"MQL_Reason__c": "x" * 256}, "STRING_TOO_LONG"),
        ({"MQL_Status__c": "MQL"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"MQL_Since__c": "yesterday"}, "JSON_PARSER_ERROR"),
        ({"Email": "nobody"}, "INVALID_EMAIL_ADDRESS"),
        ({"LastName": None}, "REQUIRED_FIELD_MISSING"),
        ({"Nope__c": 1}, "INVALID_FIELD"),
        ({"IsConverted": True}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"SystemModstamp": "2026-11-22T10:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"OwnerId": "x"}, "MALFORMED_ID"),
        ({"OwnerId": salesforce_id("005", 61**4)}, "INVALID_CROSS_REFERENCE_KEY"),
    ],
)
def test_a_bad_value_fails_only_its_own_record(make, values, code):
    org = make()
    first, second = org.ids("Lead", "WHERE IsConverted = false", 2)

    answer = org.patch([lead_change(first, **values), lead_change(second, MQL_Score__c=7)])

    assert answer.status_code == 200
    assert statuses(answer) == [[code], []]
    assert "id" not in answer.json()[0]
    assert [write.id for write in org.box.log.writes(by="api")] == [second]


def test_numbers_are_rounded_half_up_to_the_fields_scale(make):
    org = make()
    id = org.lead()
    org.patch([lead_change(id, MQL_Score__c=86.5, MQL_Fit__c=12)])
    assert (org.box.raw("Lead", id)["MQL_Score__c"], org.box.raw("Lead", id)["MQL_Fit__c"]) == (87.0, 12.0)


def test_records_that_are_gone_are_refused_each_in_its_way(make):
    org = make()
    converted, merged, deleted, live = org.ids("Lead", "WHERE IsConverted = false", 4)
    org.box.act("Lead", converted, "convert")
    org.box.act("Lead", merged, "merge", into=live)
    org.box.act("Lead", deleted, "delete")

    answer = org.patch(
        [
            lead_change(converted, MQL_Score__c=1),
            lead_change(merged, MQL_Score__c=1),
            lead_change(deleted, MQL_Score__c=1),
            lead_change("no id", MQL_Score__c=1),
            lead_change(org.ids("Contact", "", 1)[0], MQL_Score__c=1),
            lead_change(live, MQL_Score__c=1),
            lead_change(live, MQL_Score__c=2),
        ]
    )

    assert statuses(answer) == [
        ["CANNOT_UPDATE_CONVERTED_LEAD"],
        ["ENTITY_IS_DELETED"],
        ["ENTITY_IS_DELETED"],
        ["MALFORMED_ID"],
        ["MALFORMED_ID"],
        [],
        ["DUPLICATE_VALUE"],
    ]
    single = org.http.patch(f"/sobjects/Lead/{merged}", json={"MQL_Score__c": 1})
    assert (single.status_code, codes(single)) == (404, ["ENTITY_IS_DELETED"])


def test_attributes_must_come_first(make):
    org = make()
    id = org.lead()
    records = [{"id": id, "attributes": {"type": "Lead"}, "MQL_Score__c": 1}, {"id": id, "MQL_Score__c": 1}]
    assert statuses(org.patch(records)) == [["JSON_PARSER_ERROR"], ["JSON_PARSER_ERROR"]]


def test_a_collection_that_is_too_long_or_too_mixed_is_refused_whole(make):
    org = make()
    lead, contact = org.lead(), org.ids("Contact", "", 1)[0]
    contact_change = {"attributes": {"type": "Contact"}, "id": contact}

    assert org.patch([lead_change(lead)] * 201).status_code == 400
    assert org.patch([lead_change(lead), contact_change] * 6).status_code == 400
    assert org.http.patch("/composite/sobjects", json={"records": "x"}).status_code == 400
    assert org.http.patch("/composite/sobjects", content=b"{half").status_code == 400
    assert org.box.log.writes(by="api") == []


def test_all_or_none_writes_nothing_when_one_is_refused(make):
    org = make()
    first, second = org.ids("Lead", "WHERE IsConverted = false", 2)
    records = [lead_change(first, MQL_Score__c=1), lead_change(second, MQL_Score__c=5000)]

    answer = org.patch(records, allOrNone=True)

    assert statuses(answer) == [["ALL_OR_NONE_OPERATION_ROLLED_BACK"], ["NUMBER_OUTSIDE_VALID_RANGE"]]
    assert org.box.raw("Lead", first)["MQL_Score__c"] is None


def test_a_locked_row_is_refused_as_often_as_asked(make):
    org = make()
    id = org.lead()
    org.box.act("Lead", id, "refuse", times=2)

    answers = [statuses(org.patch([lead_change(id, MQL_Score__c=1)])) for _ in range(3)]

    assert answers == [[["UNABLE_TO_LOCK_ROW"]], [["UNABLE_TO_LOCK_ROW"]], [[]]]


def test_upserts_by_key_create_update_or_refuse(make):
    org = make()
    path = "/sobjects/Lead/Ext_Id__c/k-1"
    body = {"LastName": "Doe", "Company": "Acme"}

    assert org.http.patch(path, params={"updateOnly": "true"}, json=body).status_code == 404
    made = org.http.patch(path, json=body, headers=QUIET)
    again = org.http.patch(path, json=body, headers=QUIET)
    assert (made.status_code, made.json()["created"]) == (201, True)
    assert made.headers["Location"].endswith(made.json()["id"])
    assert (again.status_code, again.json()["created"]) == (200, False)
    assert codes(org.http.patch(path, json={**body, "Ext_Id__c": "k-1"})) == ["INVALID_FIELD"]
    assert org.http.patch("/sobjects/Lead/Title/x", json=body).status_code == 404

    for id in org.ids("Lead", "WHERE IsConverted = false", 2):
        org.box.edit("Lead", id, {"Email": "twice@example.com"})
    ambiguous = org.http.patch("/sobjects/Lead/Email/twice@example.com", json=body)
    assert ambiguous.status_code == 300
    assert len(ambiguous.json()) == 2

    many = org.http.patch(
        "/composite/sobjects/Lead/Ext_Id__c",
        json={
            "records": [
                {"attributes": {"type": "Lead"}, "Ext_Id__c": "k-1", "Title": "Boss"},
                {"attributes": {"type": "Lead"}, "Ext_Id__c": "k-2", **body},
            ]
        },
        headers=QUIET,
    ).json()
    assert [each["created"] for each in many] == [False, True]


def test_collections_create_and_delete(make):
    org = make()
    person = {"attributes": {"type": "Contact"}, "LastName": "Doe"}

    made = org.http.post("/composite/sobjects", json={"records": [person, {**person, "Email": "x"}]}).json()
    assert [each["success"] for each in made] == [True, False]
    id = made[0]["id"]
    gone = org.http.delete(
        "/composite/sobjects", params={"ids": f"{id},nothing", "allOrNone": "false"}
    ).json()

    assert [each["success"] for each in gone] == [True, False]
    assert org.box.raw("Contact", id)["IsDeleted"] is True


def test_a_body_may_come_compressed(make):
    org = make()
    id = org.lead()
    raw = gzip.compress(json.dumps({"records": [lead_change(id, MQL_Score__c=3)]}).encode())
    headers = {**QUIET, "Content-Encoding": "gzip", "Content-Type": "application/json"}

    assert org.http.patch("/composite/sobjects", content=raw, headers=headers).status_code == 200
    assert org.box.raw("Lead", id)["MQL_Score__c"] == 3.0


def test_composite_passes_answers_on_and_counts_as_one_call(make):
    org = make()
    used = org.http.get("/limits").json()["DailyApiRequests"]["Remaining"]
    base = "/services/data/v66.0"
    asked = [
        {"method": "GET", "url": f"{base}/query?q=SELECT+Id+FROM+Lead+LIMIT+1", "referenceId": "one"},
        {
            "method": "GET",
            "url": f"{base}/sobjects/Lead/@{{one.records[0].Id}}?fields=Email",
            "referenceId": "two",
        },
        {"method": "GET", "url": f"{base}/sobjects/Lead/nothing", "referenceId": "three"},
    ]

    answer = org.http.post("/composite", json={"compositeRequest": asked}).json()["compositeResponse"]

    assert [each["httpStatusCode"] for each in answer] == [200, 200, 404]
    assert answer[1]["body"]["Id"] == answer[0]["body"]["records"][0]["Id"]
    assert org.http.get("/limits").json()["DailyApiRequests"]["Remaining"] == used - 2
    assert org.http.post("/composite", json={"compositeRequest": asked[:1] * 6}).status_code == 400


def test_a_batch_counts_every_request_in_it(make):
    org = make()
    used = org.http.get("/limits").json()["DailyApiRequests"]["Remaining"]
    asked = [
        {"method": "GET", "url": "v66.0/sobjects/Lead/describe"},
        {"method": "PATCH", "url": f"v66.0/sobjects/Lead/{org.lead()}", "richInput": {"MQL_Score__c": 4}},
    ]

    answer = org.http.post("/composite/batch", json={"batchRequests": asked}).json()

    assert [each["statusCode"] for each in answer["results"]] == [200, 204]
    assert not answer["hasErrors"]
    assert org.http.get("/limits").json()["DailyApiRequests"]["Remaining"] == used - 4


# ------------------------------------------------------------------------------------------ what people do


def test_converting_a_lead_makes_a_contact_and_moves_what_hung_on_the_lead(make):
    org = make()
    task = org.soql(
        "SELECT Id, WhoId FROM Task WHERE Who.Type = 'Lead' "
        "AND WhoId IN (SELECT Id FROM Lead WHERE IsConverted = false)"
    ).json()["records"][0]
    lead = task["WhoId"]
    before = org.box.raw("Lead", lead)

    made = org.box.act("Lead", lead, "convert", opportunity=True)

    after = org.box.raw("Lead", lead)
    assert after["IsConverted"]
    assert after["ConvertedContactId"] == made["ConvertedContactId"]
    assert after["SystemModstamp"] > before["SystemModstamp"]
    contact = org.box.raw("Contact", made["ConvertedContactId"])
    assert (contact["LastName"], contact["Email"]) == (before["LastName"], before["Email"])
    assert contact["MQL_Score__c"] is None
    assert org.box.raw("Task", task["Id"])["WhoId"] == made["ConvertedContactId"]
    question = f"SELECT ContactId FROM OpportunityContactRole WHERE OpportunityId = '{made['ConvertedOpportunityId']}'"
    assert org.soql(question).json()["records"][0]["ContactId"] == made["ConvertedContactId"]


def test_a_merge_leaves_a_loser_that_only_query_all_shows(make):
    org = make()
    winner, loser = org.ids("Lead", "WHERE IsConverted = false", 2)
    org.box.edit("Lead", loser, {"Title": "Only the loser has one", "HasOptedOutOfEmail": True})
    org.box.edit("Lead", winner, {"Title": ""})

    org.box.act("Lead", loser, "merge", into=winner)

    question = f"SELECT IsDeleted, MasterRecordId FROM Lead WHERE Id = '{loser}'"
    assert org.soql(question).json()["totalSize"] == 0
    row = org.soql(question, "/queryAll").json()["records"][0]
    assert (row["IsDeleted"], row["MasterRecordId"]) == (True, winner)
    assert org.box.raw("Lead", winner)["Title"] == "Only the loser has one"


def test_a_deleted_lead_comes_back_and_a_purged_one_leaves_only_a_trace(make):
    org = make()
    id = org.lead()
    org.box.act("Lead", id, "delete")
    org.box.act("Lead", id, "undelete")
    assert org.http.get(f"/sobjects/Lead/{id}").status_code == 200

    org.box.act("Lead", id, "purge")
    org.clock.advance(timedelta(minutes=3))
    assert org.soql(f"SELECT Id FROM Lead WHERE Id = '{id}'", "/queryAll").json()["totalSize"] == 0
    window = {"start": "2026-11-22T09:58:00+00:00", "end": "2026-11-22T10:02:00+00:00"}
    feed = org.http.get("/sobjects/Lead/deleted/", params=window).json()
    assert [each["id"] for each in feed["deletedRecords"]] == [id]


def test_a_deleted_campaign_member_vanishes_from_every_query(make):
    org = make()
    id = org.ids("CampaignMember", "", 1)[0]
    assert org.http.delete(f"/sobjects/CampaignMember/{id}").status_code == 204
    assert org.soql(f"SELECT Id FROM CampaignMember WHERE Id = '{id}'", "/queryAll").json()["totalSize"] == 0


def test_the_platform_moves_only_the_system_stamp(make):
    org = make()
    id = org.lead()
    before = org.box.raw("Lead", id)

    made = org.box.create(
        "Task", {"Subject": "Call", "WhoId": id, "Status": "Completed", "ActivityDate": "2026-11-22"}
    )

    after = org.box.raw("Lead", id)
    assert after["LastActivityDate"] == "2026-11-22"
    assert after["SystemModstamp"] > before["SystemModstamp"]
    assert after["LastModifiedDate"] == before["LastModifiedDate"]
    assert org.box.raw("Task", made)["IsClosed"] is True


def test_a_salespersons_status_change_is_kept_in_the_history(make):
    org = make()
    id = org.lead("IsConverted = false AND Status = 'Open - Not Contacted'")

    org.box.edit("Lead", id, {"Status": "Closed - Not Converted"})

    question = (
        f"SELECT OldValue, NewValue, CreatedDate FROM LeadHistory WHERE LeadId = '{id}' AND Field = 'Status'"
    )
    row = org.soql(question).json()["records"][-1]
    assert (row["OldValue"], row["NewValue"]) == ("Open - Not Contacted", "Closed - Not Converted")
    (write,) = org.box.log.writes("Lead", id, "user")
    assert write.fields["Status"] == ("Open - Not Contacted", "Closed - Not Converted")


def test_the_control_surface_refuses_what_makes_no_sense(make):
    org = make()
    id = org.lead()
    control = f"{org.url}/_sandbox/records"

    assert httpx.get(f"{control}/Lead/{salesforce_id('00Q', 61**4)}").status_code == 404
    assert httpx.patch(f"{control}/Lead/{id}", json={"Nope": 1}).status_code == 400
    assert httpx.post(f"{control}/Lead/{id}/fly", json={}).status_code == 400
    assert httpx.get(f"{control}/Lead/{id}").json()["Id"] == id


def test_a_fresh_org_holds_together():
    store = build(POPULATION, SandboxClock(START)).store
    now = "2026-11-22T10:00:00.000+0000"
    for table in store.tables.values():
        for row in table.rows.values():
            assert set(row) <= set(table.kind.fields)
            assert row.get("SystemModstamp", now) <= now
            for name, field in table.kind.fields.items():
                value = row.get(name)
                if field.type == "reference" and value:
                    assert value in store.tables[store.prefixes[value[:3]]].rows, (table.kind.name, name)
                elif field.length and isinstance(value, str):
                    assert len(value) <= field.length, (table.kind.name, name)
