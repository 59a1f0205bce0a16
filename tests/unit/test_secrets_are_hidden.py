"""Whatever is declared a secret is hidden from the moment it is read, and whatever looks like one is declared."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from connector.app.error_document import error_document
from connector.app.settings import Settings, variables_of
from connector.app.wiring import plugins
from connector.errors import FixConfig, Problem
from connector.transport import redact

SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|PRIVATE_KEY|(?<!API)_KEY$|NOTIFY_URLS")
FIELDS = {name: field.annotation for name, field in Settings.model_fields.items()}
SECRETS = sorted(name for name, kind in FIELDS.items() if SecretStr in getattr(kind, "__args__", (kind,)))
VARIABLES = {
    each.name: each for plugin in plugins().values() for each in (*plugin.variables, *plugin.admin_variables)
}


def canary(name: str) -> str:
    """A value for this place alone, which nothing knows by its shape."""
    return f"canary/{name.lower()}+of a test!"


def hidden(value: str) -> bool:
    said = f"before {value} between {quote(value, safe='')} after"
    told = redact(said)
    return "canary" not in told and told.startswith("before ") and told.endswith(" after")


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_setting_is_hidden_from_when_it_is_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = canary(name).replace(" ", "-").replace("/", "-")  # tokens have no blanks, and no colon
    assert not hidden(value)
    monkeypatch.setenv(f"CONNECTOR_{name.upper()}", value)
    settings = Settings()
    assert hidden(value)
    assert value not in f"{settings!r} {settings}"


@pytest.mark.parametrize("name", sorted(name for name, each in VARIABLES.items() if each.secret))
def test_a_secret_of_a_crm_is_hidden_from_when_it_is_read(name: str) -> None:
    value = canary(name)
    variables_of((VARIABLES[name],), {name: value})
    assert hidden(value)


def test_what_looks_like_a_secret_is_declared_one() -> None:
    assert {name for name in FIELDS if SECRET.search(name.upper())} == set(SECRETS)
    undeclared = [name for name, each in VARIABLES.items() if SECRET.search(name) and not each.secret]
    assert undeclared == []


def test_the_password_of_the_database_is_hidden_as_it_stands_in_the_url_and_as_it_is() -> None:
    url = "postgresql://ledger:canary%2Fof%20the%20database@127.0.0.1/x"
    assert "canary" in redact("canary/of the database")
    Settings(database_url=url)
    assert "canary" not in redact(f"canary/of the database, canary%2Fof%20the%20database, {url}")
    Settings(database_url="no url at all [")  # whoever opens it tells


def test_an_error_as_json_has_no_secret_in_any_part() -> None:
    variables_of((VARIABLES["HUBSPOT_CLIENT_SECRET"],), {"HUBSPOT_CLIENT_SECRET": canary("everywhere")})
    said = canary("everywhere")
    wrong = Problem(("a",), f"is {said}", nearest=said)
    document = error_document(FixConfig(said, next_step=f"not {said}", where=said, problems=[wrong]))
    assert "canary" not in json.dumps(document)
