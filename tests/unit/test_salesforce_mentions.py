"""Which of our fields flows, formulas, rules and Apex name: whole names in any case, and nothing that looks alike."""

import pytest

from adapters.salesforce import mentions

OURS = {"Lead": frozenset({"MQL_Score__c", "Status"}), "Contact": frozenset({"MQL_Score__c"})}
SCORE, STATUS, CONTACT = "Lead.MQL_Score__c", "Lead.Status", "Contact.MQL_Score__c"


def flow(**parts):
    start = {"object": "Lead", "recordTriggerType": "Update", "filters": [{"field": "City"}]}
    return {"start": start, **parts}


@pytest.mark.parametrize(
    ("document", "listens", "writes"),
    [
        (flow(), set(), set()),
        (
            flow(start={"object": "Lead", "recordTriggerType": "Update", "filters": []}),
            {SCORE, STATUS},
            set(),
        ),
        (flow(start={"object": "Lead", "recordTriggerType": "Create", "filters": []}), set(), set()),
        (flow(start={"object": "Case", "recordTriggerType": "Update", "filters": []}), set(), set()),
        (
            flow(
                start={
                    "object": "Lead",
                    "recordTriggerType": "Update",
                    "filterFormula": "ISCHANGED({!$Record.Status})",
                }
            ),
            {STATUS},
            set(),
        ),
        (flow(start={"object": "Lead", "filters": [{"field": "mql_score__C"}]}), {SCORE}, set()),
        (flow(start={"object": "Lead", "filters": [{"field": "MQL_Score__c_Old__c"}]}), set(), set()),
        (
            flow(decisions=[{"rules": [{"conditions": [{"leftValueReference": "$Record__Prior.Status"}]}]}]),
            {STATUS},
            set(),
        ),
        (flow(formulas=[{"expression": "{!$Record.Account.Status} & {!$Record.OldStatus}"}]), set(), set()),
        (
            flow(
                assignments=[
                    {
                        "assignmentItems": [
                            {
                                "assignToReference": "$Record.Status",
                                "value": {"elementReference": "$Record.City"},
                            }
                        ]
                    }
                ]
            ),
            set(),
            {STATUS},
        ),
        (
            flow(
                recordUpdates=[
                    {"inputReference": "$Record", "object": None, "inputAssignments": [{"field": "Status"}]},
                    {
                        "object": "Contact",
                        "inputAssignments": [{"field": "MQL_Score__c"}],
                        "filters": [{"field": "Id"}],
                    },
                    {"object": "Case", "inputAssignments": [{"field": "Status"}]},
                ]
            ),
            set(),
            {STATUS, CONTACT},
        ),
        (
            flow(
                recordLookups=[
                    {"name": "Get_Them", "object": "Contact", "filters": [{"field": "MQL_Score__c"}]}
                ],
                loops=[{"name": "Each", "collectionReference": "Get_Them"}],
                assignments=[{"assignmentItems": [{"assignToReference": "Each.MQL_Score__c"}]}],
            ),
            {CONTACT},
            {CONTACT},
        ),
        (  # a process of Process Builder
            {
                "processType": "Workflow",
                "variables": [{"name": "myVariable_current", "objectType": "Lead"}],
                "decisions": [{"conditions": [{"leftValueReference": "myVariable_current.Status"}]}],
                "recordUpdates": [{"object": "Lead", "inputAssignments": [{"field": "MQL_Score__c"}]}],
            },
            {STATUS},
            {SCORE},
        ),
        ({}, set(), set()),
        ({"start": None, "variables": None, "recordUpdates": [None, "x"]}, set(), set()),
    ],
)
def test_of_a_flow(document, listens, writes):
    found = mentions.in_flow(document, OURS)

    assert (found.listens, found.writes) == (listens, writes)
    assert bool(found) == bool(listens or writes)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("ISCHANGED(Status)", {STATUS}),
        ("mql_score__c > 3 && TEXT(Status) = 'x'", {SCORE, STATUS}),
        ("Owner.Status = 'x' || Status__c = 'y' || Old_Status = 'z'", set()),
        ("", set()),
    ],
)
def test_of_a_formula(text, named):
    assert mentions.in_formula(text, "Lead", OURS) == named


def test_of_a_workflow_rule():
    rule = {
        "criteriaItems": [
            {"field": "lead.status"},
            {"field": "Contact.MQL_Score__c"},
            {"field": "Lead.Status__c"},
        ],
        "formula": "MQL_Score__c > 1",
        "actions": [{"name": "Now", "type": "FieldUpdate"}, {"name": "Mail", "type": "Alert"}],
        "workflowTimeTriggers": [{"actions": [{"name": "Later", "type": "FieldUpdate"}]}],
    }

    assert mentions.in_workflow_rule(rule, "Lead", OURS) == {STATUS, SCORE}
    assert mentions.field_updates(rule) == {"Now", "Later"}


@pytest.mark.parametrize(
    ("code", "listens", "writes"),
    [
        ("lead.MQL_Score__c = 3;", set(), {SCORE}),
        ("lead.MQL_Score__c += 3;", set(), {SCORE}),
        ("lead . mql_score__c=null;", set(), {SCORE}),
        ("if (lead.MQL_Score__c == 3) {}", {SCORE}, set()),
        ("lead.MQL_Score__c = lead.MQL_Score__c + 1;", {SCORE}, {SCORE}),
        ("new Lead(Id = x, MQL_Score__c = 3);", set(), {SCORE}),
        ("Lead l; l.put('MQL_Score__c', 3);", set(), {SCORE}),
        ("[SELECT Id FROM Lead WHERE (MQL_Score__c = 3)]", {SCORE}, set()),
        ("Lead l; // l.MQL_Score__c = 3;\n/* l.MQL_Score__c\n = 3; */", set(), set()),
        ("Lead l; l.MQL_Score__c_Old__c = 3; l.XMQL_Score__c = 2;", set(), set()),
        ("record.MQL_Score__c = 3;", set(), {SCORE, CONTACT}),  # of which object, the code does not say
        ("Contact c; c.MQL_Score__c = 3;", set(), {CONTACT}),
    ],
)
def test_of_apex(code, listens, writes):
    found = mentions.in_apex(code, OURS)

    assert (found.listens, found.writes) == (listens, writes)
