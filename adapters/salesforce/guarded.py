"""Lower a lifecycle stage only where nobody touched the record since: one row a call, `If-Unmodified-Since`.

Collections know no such condition, so that this costs a call a record, and is off unless SALESFORCE_GUARD_STAGE is set.
HTTP dates have whole seconds: an edit within the second of the look is not noticed.
https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/headers_conditional.htm
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.utils import format_datetime
from typing import Any

from adapters.salesforce import soql
from adapters.salesforce.checks import Described, fitted
from adapters.salesforce.errors import ChangedSince
from adapters.salesforce.payload import instant, long_id
from adapters.salesforce.rest import Rest
from connector.core.model import JsonValue, Outcome, Receipt, Write
from connector.core.values import same_value
from connector.errors import ConnectorError, OutcomeUnknown, RetryLater, SkipRecord

CHANGED = "Somebody changed the record since; a stage is not lowered over that. Decided anew."


def lowers(write: Write, fields: Mapping[str, Described]) -> bool:
    """Whether this write takes a picklist back in its own order, from a value that stood there when it was decided."""
    for name, before in write.stood.items():
        options = [str(each["value"]) for each in fields.get(name.lower(), {}).get("picklistValues") or ()]
        after = write.values.get(name)
        if before in options and (
            after is None or (after in options and options.index(after) < options.index(before))
        ):
            return True
    return False


async def push_guarded(
    rest: Rest, batch: Sequence[Write], fields: Mapping[str, Described], headers: Mapping[str, str]
) -> list[Receipt]:
    """One receipt for each. Raises only where the look before fails: then nothing was sent."""
    source = batch[0].ref.object
    names = sorted({name for write in batch for name in write.stood})
    query = soql.select(
        ["Id", "LastModifiedDate", *names], source, [soql.id_in("Id", [write.ref.id for write in batch])]
    )
    rows = {long_id(str(row["Id"])): row for row in await rest.all_rows(query)}
    receipts: list[Receipt] = []
    spent = ""
    for write in batch:
        if spent:
            receipts.append(Receipt(write.id, Outcome.WAITING, spent))
            continue
        try:
            receipts.append(await _one(rest, write, rows.get(long_id(write.ref.id)), fields, headers))
        except RetryLater as error:
            spent = str(error)
            receipts.append(Receipt(write.id, Outcome.WAITING, spent))
    return receipts


async def _one(
    rest: Rest,
    write: Write,
    row: Mapping[str, Any] | None,
    fields: Mapping[str, Described],
    headers: Mapping[str, str],
) -> Receipt:
    if row is None or not all(same_value(row.get(name), before) for name, before in write.stood.items()):
        return Receipt(write.id, Outcome.SET_ASIDE, CHANGED)
    try:
        values: dict[str, JsonValue] = fitted(fields, write.values)
        since = format_datetime(instant(row["LastModifiedDate"]), usegmt=True)
        await rest.send(
            "PATCH",
            f"/sobjects/{soql.name(write.ref.object)}/{write.ref.id}",
            json=values,
            headers={**headers, "If-Unmodified-Since": since},
            idempotent=False,
        )
    except RetryLater:
        raise
    except ChangedSince:
        return Receipt(write.id, Outcome.SET_ASIDE, CHANGED, "PRECONDITION_FAILED")
    except OutcomeUnknown as error:
        return Receipt(write.id, Outcome.UNKNOWN, str(error))
    except (SkipRecord, ConnectorError) as error:
        return Receipt(write.id, Outcome.REJECTED, str(error), getattr(error, "code", ""))
    return Receipt(write.id, Outcome.WRITTEN)
