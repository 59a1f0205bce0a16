"""How many people of a plan came in by one import, or were made by one user within minutes."""

from datetime import UTC, datetime, timedelta

import pytest

from connector.core.arrivals import Arrivals, told
from connector.core.mapping import CameInMap

HUBSPOT = CameInMap(
    at="createdate", source="hs_object_source", imports=("IMPORT",), id="hs_object_source_id",
    label=("hs_object_source_detail_1", "hs_object_source_label"),
)  # fmt: skip
SALESFORCE = CameInMap(at="CreatedDate", by="CreatedById", label=("LeadSource",))
AT = datetime(2026, 11, 20, 9, 58, tzinfo=UTC)


def contact(source="IMPORT", id="123", file="newsletter-list.csv", at=AT):
    values = {"createdate": at.isoformat(), "hs_object_source": source, "hs_object_source_id": id}
    return (
        "hubspot",
        {**values, "hs_object_source_detail_1": file, "hs_object_source_label": "Import"},
        HUBSPOT,
    )


def lead(after, by="005A", source="Trade Show"):
    at = f"{AT + after:%Y-%m-%dT%H:%M:%S.000+0000}"
    return ("salesforce", {"CreatedDate": at, "CreatedById": by, "LeadSource": source}, SALESFORCE)


def lines(*people):
    arrivals = Arrivals()
    for records in people:
        arrivals.add(records)
    return [told(bulk, arrivals.people) for bulk in arrivals.bulks()]


def every(seconds, count, **more):
    return [[lead(timedelta(seconds=seconds * n), **more)] for n in range(count)]


NOBODY = [[("hubspot", {}, HUBSPOT)]]


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        (
            [[contact()]] * 12 + NOBODY * 3,
            ["12 of 15 people came with an import on 2026-11-20: newsletter-list.csv (hubspot IMPORT 123)"],
        ),
        (  # a person with two records of it, and one of another CRM, is one person
            [[contact(), contact(), lead(timedelta(0))]] * 10,
            ["10 of 10 people came with an import on 2026-11-20: newsletter-list.csv (hubspot IMPORT 123)",
             "10 of 10 people were made at once on 2026-11-20, 09:55 to 10:00 UTC: Trade Show (salesforce, by 005A)"],
        ),
        (  # two imports are two
            [[contact(id="1")]] * 10 + [[contact(id="2", file="")]] * 11,
            ["11 of 21 people came with an import on 2026-11-20: Import (hubspot IMPORT 2)",
             "10 of 21 people came with an import on 2026-11-20: newsletter-list.csv (hubspot IMPORT 1)"],
        ),
        (  # over midnight
            [[contact()]] * 9 + [[contact(at=AT + timedelta(days=1))]],
            ["10 of 10 people came with an import on 2026-11-20 to 2026-11-21: newsletter-list.csv"
             " (hubspot IMPORT 123)"],
        ),
        ([[contact()]] * 9, []),  # few
        ([[contact()]] * 10 + NOBODY * 191, []),  # few of so many
        ([[contact(source="FORM")]] * 30, []),  # thirty people filled in a form
        ([[contact(id="", file="")]] * 10,
         ["10 of 10 people came with an import on 2026-11-20: Import (hubspot IMPORT)"]),
        ([[("hubspot", {**contact()[1], "createdate": None}, HUBSPOT)]] * 12, []),
        ([[("hubspot", contact()[1], None)]] * 12, []),  # nobody said where to look
        (  # past the edge of a stretch
            every(10, 30),
            ["30 of 30 people were made at once on 2026-11-20, 09:55 to 10:05 UTC: Trade Show (salesforce, by 005A)"],
        ),
        (every(150, 40), []),  # one every two and a half minutes: the web to lead of a good day
        (every(10, 9) + every(10, 9, by="005B"), []),  # two users
        (every(10, 9) + every(10, 9, source=None), []),
        (every(10, 15, by=None), []),
    ],
)  # fmt: skip
def test_many_who_came_at_once_are_named(people, expected):
    assert lines(*people) == expected
    assert lines(*reversed(people)) == expected


def test_at_most_five_are_named_the_largest_first():
    people = [[contact(id=str(n), file=f"{n}.csv")] for n in range(7) for _ in range(10 + n)]
    found = lines(*people)
    assert [line.split()[0] for line in found] == ["16", "15", "14", "13", "12"]
