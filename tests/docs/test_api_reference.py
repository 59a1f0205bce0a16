"""The reference of routes names each, with its role; `tests/stories/test_api_roles.py` holds the sidecar to both."""

from __future__ import annotations

import re
from pathlib import Path

from tests.stories.test_api_roles import OPEN, OWN, ROLES

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/api.md"


def test_the_reference_names_every_route_and_its_role_and_no_other() -> None:
    named = dict(re.findall(r"^\| `([A-Z]+ /\S*)` \| ([a-z ]+) \|", PAGE.read_text(), re.MULTILINE))
    own = {route: "signature" if "/webhooks/" in route else "write key" for route in OWN}
    real = {route: role.word for route, role in ROLES.items()} | dict.fromkeys(OPEN, "none") | own

    assert named == real
