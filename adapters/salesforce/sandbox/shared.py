"""Shared activities: one Task or Event about several people, of whom WhoId names the first. Fills the relations."""

from __future__ import annotations

from adapters.salesforce.sandbox.store import Store
from connector.sandbox.population import salesforce_id

_SHARED = 3  # every so-manieth activity with a colleague at hand is about that one too
_PREFIXES = {"Task": "0RT", "Event": "0RE"}


def fill(store: Store) -> None:
    """A relation per activity and person."""
    contacts = store.tables["Contact"].rows
    colleagues = store.tables["Contact"].children("AccountId")
    for activity, prefix in _PREFIXES.items():
        rows = []
        for place, (id, row) in enumerate(sorted(store.tables[activity].rows.items())):
            who = [row["WhoId"]] if row.get("WhoId") else []
            if who and who[0] in contacts and place % _SHARED == 0:
                others = colleagues.get(contacts[who[0]].get("AccountId") or "", ())
                who += [
                    other for other in others if other != who[0] and not contacts[other].get("IsDeleted")
                ][:1]
            rows += [
                {
                    "Id": salesforce_id(prefix, place * 4 + at),
                    f"{activity}Id": id,
                    "RelationId": person,
                    "Type": store.prefixes[person[:3]],
                    **{name: row[name] for name in ("CreatedDate", "LastModifiedDate", "SystemModstamp")},
                }
                for at, person in enumerate(who)
            ]
        store.tables[f"{activity}WhoRelation"].fill(rows)
