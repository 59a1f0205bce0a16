"""Names in place of ids and back: only where ids may stand, and nothing is guessed."""

from __future__ import annotations

from typing import Any

from connector.app.commands.config import _dumped, _yaml
from connector.app.commands.init import shipped
from connector.core.mapping_file import parse_mapping
from connector.insight.portable import Side, compare, one_sided, to_ids, to_names, unresolved
from connector.ports import FieldInfo, Named

MAPPING = """\
crm: hubspot
version: 1
objects:
  contact:
    kind: person
    emails: [email]
    fields:
      owner: {from: hubspot_owner_id, values: {"51": Ada, other: nobody}}
    scope: {field: hs_list, in: ["7", "8"]}   # our lists
    stage:
      from: lifecyclestage
      values:
        mql: marketingqualifiedlead
        sql: "48351273"          # a stage of our own
    status:
      from: hs_lead_status
      accepted: [OPEN_DEAL]
      rejected: [{status: "99", reason: later}]
    write:
      - {result: score, to: mql_score, rule: always}
engagement:
  form_submissions:
    ignore:
      - {field: formId, is: 0a1b2c3d-0000-4000-8000-00000000000a}
    fields: {name: form_name}
    types:
      # a comment that stays
      - {type: demo_request, when: {any: [{field: formId, in: [0a1b2c3d-0000-4000-8000-00000000000b]},
          {field: name, contains: "7"}]}}
      - {type: form_submission}
"""

HERE = [
    Named("form", "0a1b2c3d-0000-4000-8000-00000000000a", "Newsletter"),
    Named("form", "0a1b2c3d-0000-4000-8000-00000000000b", "Request a demo {EN}"),
    Named("list", "7", "Customers"),
    Named("list", "8", "Partners"),
    Named("owner", "51", "Ada Byron", "ada@example.com"),
    Named("stage", "marketingqualifiedlead", "Marketing Qualified Lead", "marketingqualifiedlead"),
    Named("stage", "48351273", "Accepted by sales", "48351273"),
    Named("status", "OPEN_DEAL", "Open deal", "OPEN_DEAL"),
    Named("status", "99", "Bad timing"),
]
THERE = [
    Named("form", "ffffffff-0000-4000-8000-00000000000a", "Newsletter"),
    Named("form", "ffffffff-0000-4000-8000-00000000000b", "Request a demo {EN}"),
    Named("list", "701", "customers "),
    Named("list", "702", "Partners"),
    Named("owner", "5100", "Ada B.", "ada@example.com"),
    Named("stage", "marketingqualifiedlead", "MQL", "marketingqualifiedlead"),
    Named("stage", "1", "Accepted by Sales", "1"),
    Named("status", "OPEN_DEAL", "Open deal", "OPEN_DEAL"),
    Named("status", "12", "Bad timing"),
]


def loaded(text: str = MAPPING) -> Any:
    return _yaml().load(text)


def test_ids_become_names_and_names_the_other_accounts_ids_with_comments_in_place() -> None:
    document = loaded()

    assert to_names(document, HERE) == []
    exported = _dumped(document)
    moved = loaded(exported)
    assert to_ids(moved, THERE) == []
    imported = _dumped(moved)

    for id in ("0a1b2c3d", "48351273", '"51"', '"99"', '["7", "8"]'):
        assert id not in exported, id
    assert "${form:Request a demo %7BEN%7D}" in exported
    assert "${owner:ada@example.com}" in exported
    for id in ("ffffffff-0000-4000-8000-00000000000b", "5100", "701", "702", "12"):
        assert id in imported, id
    assert not unresolved(loaded(imported))
    for text in (exported, imported):
        assert "# our lists" in text
        assert "# a stage of our own" in text
        assert "# a comment that stays" in text
        assert 'contains: "7"' in text  # a word to look for, no id
        assert "OPEN_DEAL" in text
    parse_mapping(loaded(imported))


def test_there_and_back_is_where_it_began() -> None:
    document = loaded()

    to_names(document, HERE)
    to_ids(document, HERE)

    assert parse_mapping(document) == parse_mapping(loaded())


def test_what_the_other_account_lacks_is_listed_with_the_nearest_name() -> None:
    document = loaded()
    to_names(document, HERE)
    there = [named for named in THERE if named.label not in ("Newsletter", "Open deal")]
    there += [Named("form", "x", "Newsletter DE"), Named("form", "y", "Newsletters")]

    gaps = {gap.name: gap for gap in to_ids(document, there)}

    assert set(gaps) == {"Newsletter", "OPEN_DEAL"}
    assert gaps["Newsletter"].nearest in ("Newsletters", "Newsletter DE")
    assert unresolved(document) == ["engagement.form_submissions.ignore.0.is: ${form:Newsletter}"]


def test_two_of_one_name_are_never_guessed_at() -> None:
    document, again = loaded(), loaded()
    twins = [*HERE, Named("list", "9", "customers")]

    kept = to_names(document, twins)
    to_names(again, HERE)
    open_ = to_ids(again, [*THERE, Named("list", "703", "Customers")])

    assert [(gap.kind, gap.name) for gap in kept] == [("list", "Customers")]
    assert "7" in document["objects"]["contact"]["scope"]["in"]
    assert [gap.what for gap in open_] == ["several are called so here"]


def test_an_id_that_nothing_here_has_is_told_and_stays() -> None:
    document = loaded(MAPPING.replace('"7", "8"', '"7", "12345"'))

    gaps = to_names(document, HERE)

    assert [(gap.where, gap.name) for gap in gaps] == [("objects.contact.scope.in.1", "12345")]


def test_both_accounts_are_compared_for_all_that_the_mapping_names() -> None:
    document = loaded()
    mapping = parse_mapping(loaded())
    names = ("email", "hubspot_owner_id", "hs_list", "mql_score")
    stages = FieldInfo("lifecyclestage", "enum", options=("marketingqualifiedlead", "48351273"))
    statuses = FieldInfo("hs_lead_status", "enum", options=("OPEN_DEAL", "99"))
    here = {**{name: FieldInfo(name, "text") for name in names}, stages.name: stages, statuses.name: statuses}
    there = {**here, "mql_score": FieldInfo("mql_score", "number"), "hs_lists": FieldInfo("hs_lists", "text")}
    del there["hs_list"]
    there[statuses.name] = FieldInfo("hs_lead_status", "enum", options=("OPEN_DEALS", "12"))
    without = [named for named in THERE if named.label != "Accepted by Sales"]

    gaps = compare(mapping, document, Side({"contact": here}, HERE), Side({"contact": there}, without))

    assert {(gap.kind, gap.name, gap.nearest) for gap in gaps} == {
        ("field", "hs_list", "hs_lists"),
        ("field", "mql_score", None),
        ("option", "OPEN_DEAL", "OPEN_DEALS"),
        ("stage", "Accepted by sales", None),
    }
    same = compare(mapping, document, Side({"contact": here}, HERE), Side({"contact": here}, THERE))
    assert same == []


def test_what_only_one_account_has_is_told() -> None:
    here, there = one_sided(
        [*HERE, Named("form", "z", "Only here")], [*THERE, Named("list", "8", "Only there")]
    )

    assert [named.label for named in here] == ["Only here"]
    assert [named.label for named in there] == ["Only there"]


def test_the_shipped_files_name_nothing_of_one_account() -> None:
    for crm in ("hubspot", "salesforce"):
        text = (shipped() / f"{crm}.yaml").read_text()
        document = loaded(text)
        assert to_names(document, HERE) == []
        assert parse_mapping(document) == parse_mapping(loaded(text))


OVERRIDDEN = MAPPING.replace(
    "    status:\n",
    "    override: {from: sales_word, values: {mql_now: now}, segments: {never: ['7'], mql_now: [Partners]}}\n"
    "    status:\n",
)


def test_the_lists_of_an_override_are_taken_along_by_name() -> None:
    document = loaded(OVERRIDDEN)
    said = document["objects"]["contact"]["override"]
    assert to_names(document, HERE) == []
    assert said["segments"] == {"never": ["${list:Customers}"], "mql_now": ["Partners"]}
    assert said["values"] == {"mql_now": "now"}
    assert any("override.segments.never" in each for each in unresolved(document))
    to_ids(document, THERE)
    assert said["segments"] == {"never": ["701"], "mql_now": ["Partners"]}

    without = [each for each in THERE if each.id != "702"]
    [gap] = [each for each in to_ids(loaded(OVERRIDDEN), without) if "segments" in each.where]
    assert (gap.where, gap.kind, gap.name) == (
        "objects.contact.override.segments.mql_now.0", "list", "Partners",
    )  # fmt: skip
    [told] = [
        each
        for each in compare(
            parse_mapping(loaded(OVERRIDDEN)), loaded(OVERRIDDEN), Side({}, HERE), Side({}, without)
        )
        if "segments" in each.where
    ]
    assert (told.name, told.what) == ("Partners", "is not there")
