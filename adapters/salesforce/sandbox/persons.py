"""Person accounts: an Account row and its shadow Contact, two records of one human that move together.

https://help.salesforce.com/s/articleView?id=sales.account_person.htm
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from connector.sandbox.population import salesforce_id

if TYPE_CHECKING:
    from adapters.salesforce.sandbox.store import Store

PERSONS = 800_000_000  # accounts of persons are numbered from here
_STANDARD = {"Email": "PersonEmail", "FirstName": "FirstName", "LastName": "LastName", "Name": "Name"}


def fill(store: Store, many: int) -> None:
    """Turn the first so many living Contacts into the shadows of person accounts that were there all along."""
    living = [row for _, row in sorted(store.tables["Contact"].rows.items()) if not row.get("IsDeleted")]
    for place, row in enumerate(living[:many]):
        account = salesforce_id("001", PERSONS + place)
        stamps = {
            name: row[name]
            for name in (
                "CreatedDate",
                "CreatedById",
                "LastModifiedDate",
                "LastModifiedById",
                "SystemModstamp",
            )
        }
        person = {
            "Id": account,
            "IsPersonAccount": True,
            "PersonContactId": row["Id"],
            "OwnerId": row["OwnerId"],
        }
        store.tables["Account"].put({**person, **stamps, **_on_account(store, row)})
        store.tables["Contact"].put({**row, "IsPersonAccount": True, "AccountId": account})


def make_person(store: Store, contact: str) -> str:
    """Turn a Contact into the shadow of a new person account; returns the account's id."""
    row = store.latest("Contact", contact)
    values = _on_account(store, row)
    account = store.insert("Account", values, "user")
    flags = {"IsPersonAccount": True, "PersonContactId": contact}
    store.platform_change("Account", account, flags)
    store.platform_change("Contact", contact, {"IsPersonAccount": True, "AccountId": account})
    return account


def other_side(store: Store, object: str, row: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]] | None:
    """What a change of one side means for the other: object, id, values. None where the row is no person account's."""
    if not row.get("IsPersonAccount"):
        return None
    if object == "Contact":
        return "Account", row["AccountId"], _on_account(store, row)
    if object == "Account":
        contact = store.latest("Contact", row["PersonContactId"])
        back = {theirs: row.get(ours) for theirs, ours in _STANDARD.items()}
        custom = {
            f"{name.removesuffix('__pc')}__c": row.get(name)
            for name in store.schema["Account"].fields
            if name.endswith("__pc")
        }
        return "Contact", contact["Id"], {**back, **custom}
    return None


def _on_account(store: Store, contact: Mapping[str, Any]) -> dict[str, Any]:
    custom = {
        name: contact.get(f"{name.removesuffix('__pc')}__c")
        for name in store.schema["Account"].fields
        if name.endswith("__pc")
    }
    return {**{ours: contact.get(theirs) for theirs, ours in _STANDARD.items()}, **custom}
