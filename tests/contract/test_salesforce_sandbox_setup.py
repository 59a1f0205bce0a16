"""The set-up side of the Salesforce sandbox, held to the truth by a client that others wrote."""

from contextlib import ExitStack

import pytest
import requests
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceMalformedRequest, SalesforceRefusedRequest

from adapters.salesforce.sandbox.org import ADMIN_CLIENT_ID, ADMIN_CLIENT_SECRET, CLIENT_ID, CLIENT_SECRET
from adapters.salesforce.sandbox.store import API_USER
from tests.contract.salesforce_org import served
from tests.contract.test_salesforce_sandbox import ToSandbox

NUMBER = {"label": "Points", "type": "Number", "precision": 3, "scale": 0}


@pytest.fixture
def bare():
    with ExitStack() as stack:
        running, _ = stack.enter_context(served(10, with_mql_fields=False))
        yield running["salesforce"]


def client(box, key, secret):
    session = requests.Session()
    session.mount("https://", ToSandbox(box.url))
    return Salesforce(
        session=session, version="66.0", consumer_key=key, consumer_secret=secret, domain="acme.my"
    )


def admin(box):
    return client(box, ADMIN_CLIENT_ID, ADMIN_CLIENT_SECRET)


def runtime(box):
    return client(box, CLIENT_ID, CLIENT_SECRET)


def names(sf, object_="Lead"):
    return {field["name"]: field for field in getattr(sf, object_).describe()["fields"]}


def make(sf, name="Points__c", **metadata):
    body = {"FullName": f"Lead.{name}", "Metadata": {**NUMBER, **metadata}}
    return sf.toolingexecute("sobjects/CustomField", "POST", json=body)


def test_simple_salesforce_makes_a_field_that_nobody_sees_until_it_is_granted(bare):
    sf = admin(bare)

    made = make(sf)
    unseen = names(runtime(bare))
    parent = sf.PermissionSet.create({"Name": "Points", "Label": "Points"})["id"]
    grant = {"ParentId": parent, "SobjectType": "Lead", "Field": "Lead.Points__c", "PermissionsRead": True}
    sf.FieldPermissions.create({**grant, "PermissionsEdit": False})
    unassigned = names(runtime(bare))
    sf.PermissionSetAssignment.create({"PermissionSetId": parent, "AssigneeId": API_USER})
    seen = names(runtime(bare))

    assert made["success"]
    assert made["id"].startswith("00N")
    assert "Points__c" not in unseen.keys() | unassigned.keys()
    assert (seen["Points__c"]["precision"], seen["Points__c"]["updateable"]) == (3, False)


def test_simple_salesforce_finds_fields_and_their_metadata_through_the_tooling_api(bare):
    sf = admin(bare)
    id = make(sf)["id"]

    query = "SELECT Id,DeveloperName FROM CustomField WHERE TableEnumOrId='Lead' AND DeveloperName='Points'"
    found = sf.toolingexecute("query", params={"q": query})
    metadata = sf.toolingexecute(f"sobjects/CustomField/{id}")["Metadata"]

    assert [(row["Id"], row["DeveloperName"]) for row in found["records"]] == [(id, "Points")]
    assert {name: metadata[name] for name in NUMBER} == NUMBER


def test_what_is_there_already_is_refused(bare):
    sf = admin(bare)
    make(sf)
    parent = sf.PermissionSet.create({"Name": "Points", "Label": "Points"})["id"]
    grant = {"ParentId": parent, "SobjectType": "Lead", "Field": "Lead.Points__c", "PermissionsRead": True}
    sf.FieldPermissions.create(grant)

    with pytest.raises(SalesforceMalformedRequest, match="DUPLICATE_DEVELOPER_NAME"):
        make(sf)
    for object_, values in (
        ("PermissionSet", {"Name": "Points", "Label": "Again"}),
        ("FieldPermissions", grant),
    ):
        with pytest.raises(SalesforceMalformedRequest, match="DUPLICATE_VALUE"):
            getattr(sf, object_).create(values)


@pytest.mark.parametrize(
    "metadata",
    [{"type": "Nothing"}, {"label": ""}, {"precision": 0}, {"type": "Text", "length": 900}],
)
def test_a_definition_that_makes_no_sense_is_refused(bare, metadata):
    with pytest.raises(SalesforceMalformedRequest, match="FIELD_INTEGRITY_EXCEPTION"):
        make(admin(bare), **metadata)


def test_edit_without_read_and_a_field_that_is_not_there_are_refused(bare):
    sf = admin(bare)
    make(sf)
    parent = sf.PermissionSet.create({"Name": "Points", "Label": "Points"})["id"]
    grant = {"ParentId": parent, "SobjectType": "Lead", "Field": "Lead.Points__c", "PermissionsEdit": True}

    with pytest.raises(SalesforceMalformedRequest, match="FIELD_INTEGRITY_EXCEPTION"):
        sf.FieldPermissions.create(grant)
    with pytest.raises(SalesforceMalformedRequest, match="bad value for restricted picklist"):
        sf.FieldPermissions.create({**grant, "Field": "Lead.Nothing__c", "PermissionsRead": True})


def test_the_integration_user_may_change_nothing_of_the_org_itself(bare):
    sf = runtime(bare)

    with pytest.raises(SalesforceRefusedRequest, match="Customize Application"):
        make(sf)
    with pytest.raises(SalesforceRefusedRequest, match="INSUFFICIENT_ACCESS"):
        sf.PermissionSet.create({"Name": "Points", "Label": "Points"})


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("layouts", "sobjects/Lead/describe/layouts/{}"),
        ("ui", "ui-api/object-info/Lead/picklist-values/{}"),
    ],
)
def test_simple_salesforce_finds_what_a_record_type_allows_where_the_org_serves_it(source, path):
    with served(10, record_types=True, record_type_source=source) as (running, _):
        sf = runtime(running["salesforce"])
        types = {
            each["developerName"]: each["recordTypeId"] for each in sf.Lead.describe()["recordTypeInfos"]
        }

        told = str(sf.restful(path.format(types["Partner_Lead"])))

        assert "MQL_Status__c" in told
        assert "'qualified'" not in told
        assert "'qualified'" in str(sf.restful(path.format(types["Master"])))
