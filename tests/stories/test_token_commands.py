"""`connector token`: made and shown once, listed without anything that opens anything, revoked by name or number."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from connector.app.cli import app
from connector.app.commands.token import ends, whole_name
from connector.app.token_text import hash_of, is_whole
from connector.errors import FixConfig
from connector.ledger import open_ledger
from connector.ports import Token

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)
BOOTSTRAP = "an-admin-token-of-the-environment"


class Commands:
    """`connector token ...` on one ledger."""

    def __init__(self, url: str) -> None:
        self.environment = {
            "CONNECTOR_DATABASE_URL": url,
            "CONNECTOR_ADMIN_TOKEN": BOOTSTRAP,
            "COLUMNS": "300",
        }

    def run(self, *words: str, code: int = 0) -> Any:
        done = CliRunner().invoke(app, ["token", *words], env=self.environment)
        assert done.exit_code == code, done.output
        return done

    def answer(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", code=code).stdout)


def test_a_token_is_shown_once_and_ends_by_name_or_number(sqlite_url: str) -> None:
    commands = Commands(sqlite_url)

    shown = commands.run("create", "Grace", "--role", "operator", "--as", "Sam")
    token = shown.stdout.strip()
    program = commands.answer("create", "web-shop", "--role", "viewer", "--service", "--expires", "12h")
    again = commands.answer("create", " grace", "--role", "admin", code=2)

    assert is_whole(token)
    assert token not in shown.stderr
    assert is_whole(program["token"])
    assert program["service"] is True
    assert "has a live token already" in again["error"]["message"]

    listed, table = commands.answer("list"), commands.run("list").stdout
    assert [(each["name"], each["role"], each["state"]) for each in listed["tokens"]] == [
        ("web-shop", "viewer", "live"), ("Grace", "operator", "live"),
    ]  # fmt: skip
    assert listed["tokens"][1]["made_by"] == "Sam"
    assert listed["bootstrap"] == [{"variable": "CONNECTOR_ADMIN_TOKEN", "role": "admin"}]
    assert "CONNECTOR_ADMIN_TOKEN: a token of the environment" in table
    assert "web-shop" in table
    for secret in (token, hash_of(token), BOOTSTRAP):
        assert secret not in json.dumps(listed) + table

    checked = CliRunner().invoke(app, ["check", "--json"], env=commands.environment)  # no CRM is connected
    told = [each["what"] for each in json.loads(checked.stdout)["findings"] if each["where"] == "access"]
    assert [each.split(" (")[0] for each in told] == [f"token {program['id']} of a program"]

    by_name = commands.answer("revoke", "GRACE", "--as", "Sam")
    by_number = commands.answer("revoke", str(program["id"]))
    assert (by_name["state"], by_name["revoked_by"], by_number["state"]) == ("revoked", "Sam", "revoked")
    assert "only ones that have ended" in commands.answer("revoke", "Grace", code=2)["error"]["message"]
    assert "has no live token" in commands.answer("revoke", "Edith", code=2)["error"]["message"]
    assert "revoked already" in commands.answer("revoke", str(program["id"]), code=1)["error"]["message"]
    commands.answer("revoke", "9" * 40, code=2)
    assert "Did you mean `viewer`?" in str(commands.answer("create", "A", "--role", "viewr", code=2))

    async def look() -> Token | None:
        ledger = open_ledger(sqlite_url)
        try:
            return await ledger.token_of(hash_of(token))
        finally:
            await ledger.close()

    kept = asyncio.run(look())
    assert kept is not None
    assert kept.expires_at - kept.made_at == timedelta(days=90)


@pytest.mark.parametrize(
    ("expires", "until"),
    [
        ("90d", AT + timedelta(days=90)),
        ("12h", AT + timedelta(hours=12)),
        ("2027-02-22", datetime(2027, 2, 22, tzinfo=UTC)),
        ("2027-11-26", datetime(2027, 11, 26, tzinfo=UTC)),
        ("400d", None),
        ("2029-01-01", None),
        ("2026-11-26", None),
        ("0d", None),
        ("-5d", None),
        ("never", None),
        ("", None),
    ],
)
def test_how_long_a_token_lives(expires: str, until: datetime | None) -> None:
    if until is not None:
        assert ends(expires, AT, beyond_a_year=False) == until
        return
    with pytest.raises(FixConfig):
        ends(expires, AT, beyond_a_year=False)


def test_longer_than_a_year_has_to_be_said() -> None:
    assert ends("730d", AT, beyond_a_year=True) == AT + timedelta(days=730)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "  ",
        "12",
        "schedule",
        "Bootstrap",
        "bootstrap admin",
        "THIS HOST",
        "service:web",
        "a\x1bb",
        "x" * 101,
    ],
)
def test_a_name_names_one_person_or_program(name: str) -> None:
    with pytest.raises(FixConfig):
        whole_name(name)


def test_a_name_is_kept_as_it_is_written() -> None:
    assert whole_name("  Grace  Hopper ") == "Grace Hopper"
    assert whole_name("grace@example.com") == "grace@example.com"
