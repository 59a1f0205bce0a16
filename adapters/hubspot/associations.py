"""Which records are linked to which, read in batches. Source: developers.hubspot.com, "Associations v4"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.hubspot.api import Api
from adapters.hubspot.rows import not_a_page, results_of

MOST_INPUTS = 1_000  # of one call

Links = Mapping[str, frozenset[int]]
"""The other side's ids, in the order told, each with the types of its links."""


async def links_of(api: Api, one: str, two: str, ids: Sequence[str]) -> dict[str, Links]:
    """The links of these records of type `one` to records of type `two`; who has none is left out.

    One without any comes as an error entry of a 207: no failure. Beyond 500 links of one record the answer goes on with
    `after`.
    """
    path = api.paths.associations(one, two)
    found: dict[str, dict[str, frozenset[int]]] = {}
    inputs: list[dict[str, str]] = [{"id": id_} for id_ in ids]
    while inputs:
        answer = await api.post_associations(path, {"inputs": inputs[:MOST_INPUTS]})
        asked = {one["id"]: one.get("after") for one in inputs[:MOST_INPUTS]}
        following = inputs[MOST_INPUTS:]
        for result in results_of(answer):
            from_ = str(result["from"]["id"])
            links = found.setdefault(from_, {})
            for to in result.get("to") or ():
                other = str(to["toObjectId"])
                links[other] = links.get(other, frozenset()) | _types(to)
            after = ((result.get("paging") or {}).get("next") or {}).get("after")
            if after:
                if str(after) == asked.get(from_):
                    raise not_a_page(answer)
                following.append({"id": from_, "after": str(after)})
        inputs = following
    return {id_: links for id_, links in found.items() if links}


def _types(to: Mapping[str, Any]) -> frozenset[int]:
    """HubSpot's own types alone: an account's labels have numbers of their own."""
    return frozenset(
        each["typeId"]
        for each in to.get("associationTypes") or ()
        if isinstance(each, Mapping)
        and each.get("category") == "HUBSPOT_DEFINED"
        and isinstance(each.get("typeId"), int)
    )
