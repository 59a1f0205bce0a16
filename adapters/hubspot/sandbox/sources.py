"""Who changes records of the made-up HubSpot, in a word of ours and as a property's history tells it.

Spelled as histories of live accounts have it: a person by `userId:`, a workflow by the enrolment that carried it out,
never by its own id, an app by its number (developers.hubspot.com, "CRM objects", property history).
"""

from __future__ import annotations

from adapters.hubspot.sandbox.table import Source

FIRST_USER = 9  # of the account's people, in the order of its owners
APP = "52447"
WORDS = ("api", "user", "workflow", "integration", "salesforce", "import", "form")


def source_of(by: str) -> Source:
    """`api`, `user [NUMBER]`, `workflow [ENROLMENT [LABEL]]`, `integration [NAME]`, `salesforce`, `import` or `form`.
    Raises ValueError."""
    word, _, rest = by.partition(" ")
    if word == "api":
        return Source("API", "sandbox-app")
    if word == "user":
        number = int(rest or FIRST_USER)
        return Source("CRM_UI", f"userId:{number}", user=number)
    if word == "workflow":
        enrolment, _, label = rest.partition(" ")
        return Source(
            "AUTOMATION_PLATFORM", f"enrollmentId:{enrolment or 1};actionExecutionIndex:0", label=label
        )
    if word == "integration":
        return Source("INTEGRATION", APP, label=rest)
    if word == "salesforce":
        return Source("SALESFORCE", "salesforce-sync")
    if word in ("import", "form"):
        return Source(word.upper(), "4711")
    raise ValueError(f"Who writes is one of {', '.join(WORDS)}, and what tells them apart.")
