"""What people do in Salesforce's own pages and no REST call can: convert, merge, undelete. Not part of the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from adapters.salesforce.sandbox import persons
from adapters.salesforce.sandbox.ids import full_id

if TYPE_CHECKING:
    from adapters.salesforce.sandbox.store import Store

Answer = Mapping[str, Any]
_ALSO_ON_CONTACT = (
    "FirstName", "LastName", "Salutation", "Title", "Email", "Phone", "MobilePhone", "LeadSource",
    "HasOptedOutOfEmail", "DoNotCall", "Description",
)  # fmt: skip


def act(store: Store, object: str, id: str, action: str, arguments: Mapping[str, Any]) -> Answer:
    """Carry an action out. Raises ValueError for one that does not exist or makes no sense here."""
    known: dict[str, Callable[[Store, str, str, Mapping[str, Any]], Answer]] = {
        "convert": _convert,
        "merge": _merge,
        "delete": _delete,
        "archive": _delete,
        "undelete": _undelete,
        "restore": _undelete,
        "purge": _purge,
        "touch": _touch,
        "unshare": _unshare,
        "share": _share,
        "hide": _hide,
        "show": _show,
        "refuse": _refuse,
        "edit": _edit,
    }
    if action not in known:
        raise ValueError(f"A Salesforce sandbox cannot {action}; it can {', '.join(sorted(known))}.")
    return known[action](store, object, id, arguments)


def _convert(store: Store, object: str, id: str, arguments: Mapping[str, Any]) -> Answer:
    """Lead to Contact (`contact`: into an existing one; `opportunity: true`: with a deal; `person: true`: to a person
    account, which the Lead names without its Contact); gives the three ids.

    Open and closed activities move to the Contact; campaign members keep LeadId and gain ContactId. Custom fields
    do not follow, as without a field mapping in the org.
    """
    lead = store.latest(object, id)
    if object != "Lead" or lead.get("IsConverted") or lead.get("IsDeleted"):
        raise ValueError(f"{object} {id} is no live, unconverted Lead.")
    contact = full_id(str(arguments.get("contact", "")))
    if contact is not None:
        account = store.latest("Contact", contact).get("AccountId")
        blank = {
            name: lead[name]
            for name in _ALSO_ON_CONTACT
            if lead.get(name) and not store.latest("Contact", contact).get(name)
        }
        store.update("Contact", contact, blank, "user")
    else:
        owner = lead["OwnerId"] if str(lead.get("OwnerId", "")).startswith("005") else None
        extra = {"OwnerId": owner} if owner else {}
        company = {"Name": lead["Company"], "Website": lead.get("Website"), "Industry": lead.get("Industry")}
        account = store.insert("Account", {**company, **extra}, "user")
        values = {name: lead[name] for name in _ALSO_ON_CONTACT if name in lead}
        values |= {
            "AccountId": account,
            "MailingCountry": lead.get("Country"),
            "MailingCity": lead.get("City"),
        }
        contact = store.insert("Contact", {**values, **extra}, "user")
    deal = None
    if arguments.get("opportunity"):
        now = store.clock.now().date().isoformat()
        values = {"Name": lead["Company"], "AccountId": account, "StageName": "Prospecting", "CloseDate": now}
        deal = store.insert("Opportunity", values, "user")
        role = {"OpportunityId": deal, "ContactId": contact, "Role": "Decision Maker", "IsPrimary": True}
        store.insert("OpportunityContactRole", role, "user")
    for activity in ("Task", "Event"):
        for child in list(store.tables[activity].children("WhoId").get(id, ())):
            store.platform_change(activity, child, {"WhoId": contact, "AccountId": account})
    for member in list(store.tables["CampaignMember"].children("LeadId").get(id, ())):
        store.platform_change("CampaignMember", member, {"ContactId": contact, "LeadOrContactId": contact})
    if arguments.get("person"):
        persons.make_person(store, contact)
        account = store.latest("Contact", contact)["AccountId"]
    ids = {"ConvertedAccountId": account, "ConvertedContactId": contact, "ConvertedOpportunityId": deal}
    day = store.clock.now().date().isoformat()
    if arguments.get("person"):
        ids["ConvertedContactId"] = None  # only the Account is named
    store.update(
        "Lead",
        id,
        {**ids, "IsConverted": True, "ConvertedDate": day, "Status": "Closed - Converted"},
        "user",
    )
    return ids


def _merge(store: Store, object: str, id: str, arguments: Mapping[str, Any]) -> Answer:
    """This record loses against `into` (or wins over `loser`): it keeps nothing, its children move."""
    into, loser = id, arguments.get("loser")
    if loser is None:
        into, loser = arguments.get("into", ""), id
    winner = store.latest(object, str(into))["Id"]
    lost = store.latest(object, str(loser))
    if object not in ("Lead", "Contact", "Account") or winner == lost["Id"]:
        raise ValueError(f"{object} {lost['Id']} cannot be merged into {winner}.")
    blank = {
        name: value
        for name, value in lost.items()
        if value not in (None, False)
        and store.latest(object, winner).get(name) in (None, False)
        and (each := store.schema[object].fields[name]).updateable
        and each.type != "reference"
    }
    store.update(object, winner, blank, "user")
    for table in store.tables.values():
        for each in list(table.kind.fields.values()):
            if object in each.refers and each.name not in ("MasterRecordId", "ReportsToId", "ParentId"):
                for child in list(table.children(each.name).get(lost["Id"], ())):
                    store.platform_change(table.kind.name, child, {each.name: winner})
    store.delete(object, lost["Id"], "user", master=winner)
    return {"winner": winner, "loser": lost["Id"]}


def _delete(store: Store, object: str, id: str, arguments: Mapping[str, Any]) -> Answer:
    """Into the Recycle Bin."""
    store.delete(object, id, "user")
    return {"id": id}


def _undelete(store: Store, object: str, id: str, arguments: Mapping[str, Any]) -> Answer:
    """Back from the Recycle Bin. A merged loser comes back as itself."""
    if not store.latest(object, id).get("IsDeleted"):
        raise ValueError(f"{object} {id} is not in the Recycle Bin.")
    values = {"IsDeleted": False}
    if "MasterRecordId" in store.schema[object].fields:
        values |= {"MasterRecordId": None}  # type: ignore[dict-item]
    store.update(object, id, values, "user")
    table = store.tables[object]
    table.deletions[:] = [entry for entry in table.deletions if entry[1] != id]
    return {"id": id}


def _refuse(store: Store, object: str, id: str, arguments: Mapping[str, Any]) -> Answer:
    """The next `times` (1) API updates fail with `code` and `message`: a lock, a validation rule, a trigger."""
    code = str(arguments.get("code", "UNABLE_TO_LOCK_ROW"))
    message = str(arguments.get("message", "unable to obtain exclusive access to this record"))
    store.set_trap(id, code, message, int(arguments.get("times", 1)))
    return {"id": id, "code": code}


def _edit(store: Store, object: str, id: str, arguments: Mapping[str, Any]) -> Answer:
    """A user edits `fields` of the record: the one whose id is `by`."""
    user = store.latest("User", str(arguments.get("by", "")))["Id"]
    return store.edit(object, id, arguments.get("fields", {}), user)


def _purge(store: Store, object: str, id: str, arguments: Mapping[str, Any]) -> Answer:
    """Emptied from the Recycle Bin, or deleted hard: only the replication log remembers it."""
    store.purge(object, id)
    return {"id": id}


def _touch(store: Store, object: str, id: str, arguments: Mapping[str, Any]) -> Answer:
    """The platform moves SystemModstamp alone, as when a picklist value is renamed."""
    store.platform_change(object, id, {})
    return {"id": id}


def _unshare(store: Store, object: str, id: str, arguments: Mapping[str, Any]) -> Answer:
    """The API user does not see this row any more; nothing else of it changes."""
    store.share(object, id, shared=False)
    return {"id": id}


def _share(store: Store, object: str, id: str, arguments: Mapping[str, Any]) -> Answer:
    """The API user sees this row again; its stamp stays as it was."""
    store.share(object, id, shared=True)
    return {"id": id}


def _hide(store: Store, object: str, id: str, arguments: Mapping[str, Any]) -> Answer:
    """Field-level security takes `field` of the whole object out of the API user's sight."""
    store.set_visible(object, str(arguments.get("field", "")), False)
    return {"id": id}


def _show(store: Store, object: str, id: str, arguments: Mapping[str, Any]) -> Answer:
    """Field-level security shows `field` of the whole object to the API user."""
    store.set_visible(object, str(arguments.get("field", "")), True)
    return {"id": id}
