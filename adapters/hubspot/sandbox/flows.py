"""What the automation API of the made-up HubSpot tells of its workflows. Runs none of them.

Shapes: developers.hubspot.com, "Automation v4 API" and "Workflow actions and enrollment types" (`0-5` sets a property).
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from adapters.hubspot.sandbox.api import Api, Endpoint, whole
from adapters.hubspot.sandbox.gate import AUTOMATION
from adapters.hubspot.sandbox.wire import batch_reply, error_body, invalid, iso, problem
from adapters.hubspot.sandbox.workflows import Workflow
from connector.sandbox.control import json_response

MOST = 100  # of a page
_OBJECTS = {"contacts": "0-1", "companies": "0-2"}


def list_flows(api: Api, request: Request, body: Any) -> Response:
    """In pages, without what they do."""
    _plan_or_refuse(api)
    limit = whole(request, "limit", 20)
    if not 1 <= limit <= MOST:
        raise invalid(f"limit must be between 1 and {MOST}")
    rows, following = api.store.workflows.page(whole(request, "after", 0), limit)
    answer: dict[str, Any] = {"results": [shown(each, full=False) for each in rows]}
    if following is not None:
        answer["paging"] = {"next": {"after": str(following), "link": ""}}
    return json_response(answer)


def batch_read_flows(api: Api, request: Request, body: Any) -> Response:
    """Whole, by id; unknown ones are told in a 207."""
    _plan_or_refuse(api)
    inputs = body.get("inputs") or []
    if len(inputs) > api.store.habits.most_flows:
        raise invalid(f"At most {api.store.habits.most_flows} flows can be read at once.")
    if any(given.get("type") != "FLOW_ID" for given in inputs):
        raise invalid("Some required fields were not set: [type]")
    asked = [str(given.get("flowId")) for given in inputs]
    found = [each for id in asked if (each := api.store.workflows.find(id)) is not None]
    missing = [id for id in asked if api.store.workflows.find(id) is None]
    errors = (
        [error_body("OBJECT_NOT_FOUND", "Could not get some flows.", context={"ids": missing})]
        if missing
        else []
    )
    return batch_reply([shown(each, full=True) for each in found], errors, api.store.now())


def read_flow(api: Api, request: Request, body: Any) -> Response:
    """One, whole."""
    _plan_or_refuse(api)
    found = api.store.workflows.find(request.path_params["id"])
    if found is None:
        raise problem(404, "OBJECT_NOT_FOUND", "Flow not found.")
    return json_response(shown(found, full=True))


def _plan_or_refuse(api: Api) -> None:
    if not api.store.habits.professional:
        raise problem(403, "FORBIDDEN", "This portal has no access to workflows.")


def shown(each: Workflow, *, full: bool) -> dict[str, Any]:
    head = {
        "id": each.id,
        "isEnabled": each.active,
        "flowType": "WORKFLOW",
        "name": each.name,
        "objectTypeId": _OBJECTS.get(each.object, "0-1"),
        "revisionId": "3",
        "createdAt": iso(1_735_689_600_000),
        "updatedAt": iso(1_735_689_600_000),
    }
    if not full:
        return head
    head |= {
        "type": "CONTACT_FLOW" if each.object == "contacts" else "PLATFORM_FLOW",
        "startActionId": "1",
        "nextAvailableActionId": "9",
        "actions": _actions(each),
        "enrollmentCriteria": _criteria(each),
        "timeWindows": [],
        "blockedDates": [],
        "customProperties": {},
        "dataSources": [],
        "suppressionListIds": [],
        "canEnrollFromSalesforce": False,
        "crmObjectCreationStatus": "COMPLETE",
    }
    return {**head, **each.details}


def _actions(each: Workflow) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    if each.after:
        made.append(
            {"actionTypeId": "0-1", "fields": {"delta": str(each.after / 60), "time_unit": "MINUTES"}}
        )
    for value in each.to:
        fields = {"property_name": each.sets, "value": {"type": "STATIC_VALUE", "staticValue": value}}
        made.append({"actionTypeId": "0-5", "fields": fields})
    last = len(made)
    return [
        {
            "type": "SINGLE_CONNECTION",
            "actionId": str(place),
            "actionTypeVersion": 0,
            **action,
            **(
                {"connection": {"edgeType": "STANDARD", "nextActionId": str(place + 1)}}
                if place < last
                else {}
            ),
        }
        for place, action in enumerate(made, start=1)
    ]


def _criteria(each: Workflow) -> dict[str, Any]:
    if not each.when:
        return {"type": "MANUAL", "shouldReEnroll": False}
    return {
        "type": "LIST_BASED",
        "shouldReEnroll": True,
        "unEnrollObjectsNotMeetingCriteria": False,
        "listFilterBranch": {
            "filterBranchType": "OR",
            "filterBranchOperator": "OR",
            "filters": [],
            "filterBranches": [
                {
                    "filterBranchType": "AND",
                    "filterBranchOperator": "AND",
                    "filterBranches": [],
                    "filters": [_filter(each)],
                }
            ],
        },
        "reEnrollmentTriggersFilterBranches": [
            {
                "filterBranchType": "AND",
                "filterBranchOperator": "AND",
                "filterBranches": [],
                "filters": [_filter(each)],
            }
        ],
    }


def _filter(each: Workflow) -> dict[str, Any]:
    if each.equals:
        operation = {"operator": "IS_ANY_OF", "operationType": "ENUMERATION", "values": [each.equals]}
    else:
        known = "IS_KNOWN" if each.equals is None else "IS_UNKNOWN"
        operation = {"operator": known, "operationType": "ALL_PROPERTY"}
    return {"property": each.when, "filterType": "PROPERTY", "operation": operation}


PATH = "/automation/v4/flows"
ENDPOINTS = (
    Endpoint("POST", (f"{PATH}/batch/read",), batch_read_flows, AUTOMATION),
    Endpoint("GET", (PATH,), list_flows, AUTOMATION),
    Endpoint("GET", (f"{PATH}/{{id}}",), read_flow, AUTOMATION),
)
