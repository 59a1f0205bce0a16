"""A mapping file is read whole or refused with every problem at once; the shipped files say what they must."""

import json
from datetime import date
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from connector.core import mapping as m
from connector.core import mapping_file as f
from connector.core import mapping_limits as limits
from connector.core import mapping_objects as objects
from connector.core import mapping_streams as streams
from connector.core.fields import ENGAGEMENT_TYPES, EVENT_FIELDS, OPPORTUNITY_FIELDS, PERSON_FIELDS
from connector.core.limits import Freeze, PlanLimits
from connector.core.mapping import fold, wanted_fields
from connector.core.mapping_file import parse_mapping
from connector.core.targets import targets_of
from connector.errors import FixConfig

ROOT = Path(__file__).parents[2]
RESULTS = [
    "score",
    "fit",
    "engagement",
    "band",
    "grade",
    "status",
    "reason",
    "since",
    "criteria_version",
    "stage",
]


def load(name):
    return parse_mapping(YAML(typ="safe").load((ROOT / "mappings" / name).read_text(encoding="utf-8")))


def contact(**more):
    return {"crm": "crm", "version": 1, "objects": {"contact": {"kind": "person", **more}}}


def problems(doc, **more):
    with pytest.raises(FixConfig) as refused:
        parse_mapping(doc, **more)
    return {".".join(map(str, each.path)): each for each in refused.value.problems}


def test_the_shipped_hubspot_file_writes_what_is_promised():
    lines = load("hubspot.yaml").objects["contact"].write
    to = [(line.result, line.to, line.rule, line.clear) for line in lines]
    expected = [(result, f"mql_{result}", "always", result == "since") for result in RESULTS[:-1]]
    assert to == [*expected, ("stage", "lifecyclestage", "only_raise", False)]


def test_what_the_criteria_name_besides_is_written_where_a_line_says_so():
    lines = [
        {"result": name, "to": f"mql_{name}", "rule": "always"} for name in ("next", "persona", "audience")
    ]
    mapping = parse_mapping(contact(fields={"persona": "hs_persona"}, write=lines))
    assert [(each.name, each.kind, each.length) for each in targets_of(mapping)] == [
        ("mql_next", "text", 255), ("mql_persona", "text", 255), ("mql_audience", "text", 255),
    ]  # fmt: skip
    lines[1]["to"] = "HS_Persona"
    found = problems(contact(fields={"persona": "hs_persona"}, write=lines))
    assert list(found) == ["objects.contact.write.1.to"]


@pytest.mark.parametrize("object", ["Lead", "Contact"])
def test_the_shipped_salesforce_file_writes_what_is_promised(object):
    lines = load("salesforce.yaml").objects[object].write
    assert [line.result for line in lines] == RESULTS
    assert {line.to for line in lines} == {
        "MQL_Score__c", "MQL_Fit__c", "MQL_Engagement__c", "MQL_Band__c", "MQL_Grade__c", "MQL_Status__c",
        "MQL_Reason__c", "MQL_Since__c", "MQL_Criteria_Version__c", "Lifecycle_Stage__c",
    }  # fmt: skip
    assert {line.to for line in lines if line.clear} == {"MQL_Since__c"}
    assert {line.to for line in lines if line.rule != "always"} == {"Lifecycle_Stage__c"}


def test_every_mentioned_field_is_wanted():
    doc = contact(
        emails=["mail"],
        fields={"title": ["job", "position"], "annual_revenue": {"from": "revenue", "currency_from": "cur"}},
        scope={"all": [{"field": "segment", "is": "b2b"}, {"field": "title", "is_set": True}]},
        stage={"from": "stage", "values": {"mql": "MQL"}},
        status={"from": "status", "accepted": ["ok"], "reason": "why"},
        counters=[{"counter": "views", "type": "page_view", "at": "last", "url": "page"}],
        write=[{"result": "score", "to": "points", "rule": "always"}],
    )
    doc["engagement"] = {
        "forms": {
            "fields": {"name": "form", "attributes": {"size": "company_size"}},
            "ignore": {"field": "test", "is": True},
            "types": [{"type": "demo_request", "when": {"field": "name", "contains": "demo"}}],
        }
    }
    assert wanted_fields(parse_mapping(doc)) == {
        "contact": {
            "mail", "job", "position", "revenue", "cur", "segment", "stage", "status", "why", "views", "last",
            "page", "points",
        },
        "forms": {"form", "company_size", "test"},
    }  # fmt: skip


def test_every_problem_is_told_at_once_with_the_nearest_right_name():
    doc = contact(
        feilds={},
        fields={
            "frist_name": "firstname",
            "country": {"from": "country", "transform": "contry"},
            "city": 7,
            "phone": {"transform": "phone"},
            "budget": {"from": "b", "currency": "EUR"},
            "annual_revenue": {"from": "r", "currency": "euro"},
        },
        write=[
            {"result": "scores", "to": "x", "rule": "alway"},
            {"result": "fit", "to": "x", "rule": "never"},
        ],
        counters=[{"counter": "views", "type": "pageview", "first": "some"}],
        stage={"from": "s", "values": {"mqls": "a", "sql": "b", "lead": "B "}},
        status={"from": "s", "accepted": ["won"], "rejected": ["Won"]},
    )
    doc |= {"objcts": {}, "limits": {"overwrites": 2}, "precedence": {"phon": ["crm"]}, "version": "one"}
    doc["engagement"] = {
        "a": {"source_of": ["call"], "fields": {"nam": "x"}, "types": [{"type": "call"}, {"type": "demo"}]},
        "b": {"source_of": ["call"], "ignore": [{"field": "x", "iz": 1}]},
    }
    found = problems(doc)
    near = {
        "objects.contact.feilds": "fields", "objects.contact.fields.frist_name": "first_name",
        "objects.contact.fields.country.transform": "country", "objects.contact.write.0.result": "score",
        "objects.contact.write.0.rule": "always", "objects.contact.counters.0.type": "page_view",
        "objects.contact.stage.values.mqls": "mql", "objcts": "objects", "precedence.phon": "phone",
        "engagement.a.fields.nam": "name",
    }  # fmt: skip
    assert {path: found[path].nearest for path in near} == near
    assert {
        "objects.contact.fields.city", "objects.contact.fields.phone.from", "objects.contact.fields.budget.currency",
        "objects.contact.fields.annual_revenue.currency", "objects.contact.write.1.to",
        "objects.contact.counters.0.first", "objects.contact.stage.values.lead", "objects.contact.status.rejected",
        "limits.overwrites", "version", "engagement.a.types.1", "engagement.b.source_of",
    } <= set(found)  # fmt: skip
    assert any(path.startswith("engagement.b.ignore.0") for path in found)


@pytest.mark.parametrize("again", ["MQL_Score__c", "mql_score__C", " MQL_Score__c "])
def test_two_lines_that_write_to_one_field_are_refused(again):
    doc = contact(
        write=[
            {"result": "score", "to": "MQL_Score__c", "rule": "always"},
            {"result": "fit", "to": again, "rule": "never"},
        ]
    )

    assert "already written by a line above" in problems(doc)["objects.contact.write.1.to"].what


@pytest.mark.parametrize(
    "doc", [None, [], "text", {}, {"crm": "x"}, {"crm": "x", "objects": []}, {"crm": "x", "objects": {}}]
)
def test_what_is_no_mapping_is_refused_not_crashed_over(doc):
    assert problems(doc)


@pytest.mark.parametrize(
    "junk", [None, 7, True, "text", [], [[]], {}, {"a": {"b": 1}}, [{"a": None}], {1: 2}]
)
@pytest.mark.parametrize(
    "key", [*f.TOP_KEYS, *(f"contact.{key}" for key in objects.OBJECT_KEYS), "forms", "forms.types"]
)
def test_junk_anywhere_is_a_problem_or_a_mapping_never_a_crash(key, junk):
    doc = contact()
    doc["engagement"] = {"forms": {}}
    place = doc
    if key.startswith("contact."):
        place = doc["objects"]["contact"]
    elif key.startswith("forms"):
        place = doc["engagement"] if key == "forms" else doc["engagement"]["forms"]
    place[key.split(".")[-1]] = junk
    told = None
    try:
        parse_mapping(doc)
    except FixConfig as refused:
        told = refused.problems
    assert told is None or told


def test_an_admins_own_fields_and_types_may_be_used():
    doc = contact(fields={"seats": "seats__c"}, counters=[{"counter": "plays", "type": "podcast_listen"}])
    doc |= {"extra_fields": {"seats": {"kind": "number", "what": "Seats"}}, "extra_types": ["podcast_listen"]}
    parsed = parse_mapping(doc)
    assert parsed.objects["contact"].fields[0].transform == "number"
    assert "podcast_listen" in parsed.types()
    assert parsed.fields()["seats"].kind == "number"


def test_only_people_have_a_stage_and_are_written_to():
    doc = {
        "crm": "crm",
        "objects": {"contact": {}, "firm": {"kind": "company", "write": [], "fields": {"title": "t"}}},
    }
    assert set(problems(doc)) == {"objects.firm.write", "objects.firm.fields.title"}


def test_a_stage_is_written_only_where_its_names_are_known():
    assert "objects.contact.write" in problems(
        contact(write=[{"result": "stage", "to": "s", "rule": "only_raise"}])
    )


def test_a_score_may_not_know_the_outcome():
    doc = contact(fields={"title": "Bought"}) | {"crm": "csv", "file": {"id": "Id", "outcome": "Bought"}}
    assert "predicts nothing" in problems(doc)["objects.contact"].what
    assert problems({"crm": "csv", "objects": {}})


def test_an_admins_titles_are_read_and_their_mistakes_told():
    doc = contact() | {"titles": "titles.csv"}
    table = "language,phrase,seniority,job_function\nen,boss,c_level,\n"
    assert parse_mapping(doc, read_text=lambda name: table).titles[0].phrase == "boss"
    assert "line 2" in problems(doc, read_text=lambda name: table.replace("c_level", "chief"))["titles"].what
    assert (
        "cannot be read"
        in problems(doc, read_text=lambda name: (_ for _ in ()).throw(FileNotFoundError()))["titles"].what
    )


def test_their_stages_are_named_once_and_ours_written_first():
    parsed = parse_mapping(contact(stage={"from": "s", "values": {"sql": ["SQL", "51439524"], "mql": "MQL"}}))
    assert parsed.objects["contact"].stage.theirs() == {"sql": "SQL", "mql": "MQL"}


# ------------------------------------------------------------------------------------ do the docs tell the truth?


def test_the_reference_names_every_key_transform_rule_and_result():
    page = (ROOT / "docs/reference/mapping.md").read_text(encoding="utf-8")
    keys = [
        *f.TOP_KEYS, *objects.OBJECT_KEYS, *objects.FIELD_KEYS, *objects.STAGE_KEYS, *objects.STATUS_KEYS,
        *objects.ANSWER_KEYS, *objects.COUNTER_KEYS, *objects.CAME_IN_KEYS, *objects.WRITE_KEYS, *streams.STREAM_KEYS,
        *streams.SCANNER_KEYS, *streams.TYPE_KEYS, *limits.LIMIT_KEYS, *f.EXTRA_FIELD_KEYS, *f.FILE_KEYS,
        *m.TRANSFORMS, *m.WRITE_RULES, *m.RESULTS, *m.LADDER, *m.KINDS, *OPPORTUNITY_FIELDS,
    ]  # fmt: skip
    assert [key for key in keys if f"`{key}`" not in page] == []


def test_the_reference_lists_exactly_our_fields_and_types():
    page = (ROOT / "docs/reference/fields.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    known = {*PERSON_FIELDS, *EVENT_FIELDS, *ENGAGEMENT_TYPES, "type", "occurred_at", "attributes.<key>"}
    assert rows == known
    for field in PERSON_FIELDS.values():
        assert f"| `{field.name}` | {field.kind} | {field.what} |" in page
    for name, what in ENGAGEMENT_TYPES.items():
        assert f"| `{name}` | {what} |" in page


def test_the_published_schema_knows_the_same_keys():
    schema = json.loads((ROOT / "docs/reference/mapping.schema.json").read_text(encoding="utf-8"))
    parts = schema["$defs"]

    def keys(part):
        return tuple(parts[part]["properties"])

    assert tuple(schema["properties"]) == f.TOP_KEYS
    assert keys("object") == objects.OBJECT_KEYS
    assert keys("field") == objects.FIELD_KEYS
    assert keys("stage") == objects.STAGE_KEYS
    assert keys("status") == objects.STATUS_KEYS
    assert keys("override") == objects.OVERRIDE_KEYS
    assert keys("came_in") == objects.CAME_IN_KEYS
    assert keys("counter") == objects.COUNTER_KEYS
    assert keys("write") == objects.WRITE_KEYS
    assert keys("stream") == streams.STREAM_KEYS
    assert keys("scanner") == streams.SCANNER_KEYS
    assert keys("type") == streams.TYPE_KEYS
    assert keys("limits") == limits.LIMIT_KEYS
    assert keys("stage_changes") == limits.STAGE_CHANGES_KEYS
    assert keys("freeze") == limits.FREEZE_KEYS
    assert tuple(schema["properties"]["approval"]["enum"]) == m.APPROVALS
    assert keys("extra_field") == f.EXTRA_FIELD_KEYS
    assert keys("file") == f.FILE_KEYS
    assert tuple(parts["write"]["properties"]["rule"]["enum"]) == m.WRITE_RULES
    assert tuple(parts["write"]["properties"]["result"]["enum"]) == m.RESULTS
    assert tuple(parts["transform"]["enum"]) == tuple(m.TRANSFORMS)


def test_values_are_compared_trimmed_and_without_case():
    assert fold(" Closed - WON ") == fold("closed - won")


def test_how_records_came_in_needs_a_time_and_something_that_joins_them():
    mapping = contact()
    [name] = mapping["objects"]

    def came_in(**said):
        return {**mapping, "objects": {name: {**mapping["objects"][name], "came_in": said}}}

    read = parse_mapping(came_in(at="createdate", source="how", imports=["IMPORT"], label="file"))
    assert read.objects[name].came_in == m.CameInMap("createdate", "how", ("IMPORT",), label=("file",))
    assert {"createdate", "how", "file"} <= m.optional_fields(read)[name] & m.wanted_fields(read)[name]
    for said in ({"at": "createdate"}, {"by": "user"}, {"at": "createdate", "source": "how"}):
        with pytest.raises(FixConfig):
            parse_mapping(came_in(**said))


def test_limits_are_read_one_by_one_and_each_may_be_off():
    shipped = parse_mapping(contact()).limits
    some = parse_mapping(
        contact() | {"limits": {"stage_changes": {"people": 50}, "demoted": "off", "mqls": None, "few": 3}}
    ).limits
    off = parse_mapping(contact() | {"limits": {"stage_changes": "off", "overwrites": False}}).limits

    assert shipped == PlanLimits()
    assert some == PlanLimits(people=50, demoted=None, mqls=None, few=3)
    assert off == PlanLimits(people=None, share=None, overwrites=None)


def test_freezes_are_days_and_what_is_none_is_refused():
    doc = contact() | {"freeze": [{"from": "2026-12-28", "until": date(2027, 1, 4), "why": "Quarter end"}]}
    wrong = [{"from": "2026-12-28", "until": "2026-12-27"}, {"from": "soon", "til": "2026-12-28"}]

    assert parse_mapping(doc).freeze == (Freeze(date(2026, 12, 28), date(2027, 1, 4), "Quarter end"),)
    assert set(problems(contact() | {"freeze": wrong})) == {
        "freeze.0.until", "freeze.1.from", "freeze.1.until", "freeze.1.til",
    }  # fmt: skip


def test_write_only_speaks_of_fields_of_ours_and_names_the_nearest():
    line = {"result": "score", "to": "mql_score", "rule": "always"}
    good = contact(write=[{**line, "write_only": {"field": "country", "is": "DE"}}])
    wrong = contact(write=[{**line, "write_only": {"field": "contry", "is": "DE"}}])
    on_object = contact(write=[line], write_only={"field": "hs_team", "is": "7"})

    [written] = parse_mapping(good).objects["contact"].write
    assert written.write_only is not None
    assert problems(wrong)["objects.contact.write.0.write_only"].nearest == "country"
    assert "objects.contact.write_only" in problems(on_object)


def test_an_override_field_is_read_whole_and_never_one_that_is_written():
    doc = contact(
        write=[{"result": "status", "to": "Word", "rule": "always"}],
        override={
            "from": "word",
            "values": {"nevr": "no", "hold": ["later"], "never": "LATER"},
            "untill": "x",
        },
    )
    found = problems(doc)
    assert found["objects.contact.override.untill"].nearest == "until"
    assert found["objects.contact.override.values.nevr"].nearest == "never"
    assert {"objects.contact.override.from", "objects.contact.override.values.never"} <= set(found)
    assert "objects.contact.override.values" in problems(contact(override={"from": "word"}))
    lists = parse_mapping(contact(override={"segments": {"never": [3, "Trade fair"], "mql_now": 7}}))
    override = lists.objects["contact"].override
    assert override.segments == {"never": ("3", "Trade fair"), "mql_now": ("7",)}
    twice = problems(contact(override={"segments": {"never": 3, "hold": "3"}}))
    assert "objects.contact.override.segments.hold" in twice


def test_the_field_of_sales_reasons_is_never_written():
    status = {"from": "hs_lead_status", "rejected": ["UNQUALIFIED"], "reason": "reject_reason"}
    doc = contact(status=status, write=[{"result": "reason", "to": "Reject_Reason", "rule": "always"}])
    assert "we never write it" in problems(doc)["objects.contact.write.0.to"].what
