"""The one secret that the ledger may hold: sealed, renewed by one process at a time, never readable without the key."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from adapters.salesforce.sandbox.org import REFRESH_TOKEN
from connector.app.commands.init import shipped
from connector.app.settings import load_settings
from connector.app.tokens import SealedTokens, seal, unseal
from connector.app.wiring import connect, plugins, token_store
from connector.errors import FixConfig
from connector.ledger import SqlLedger, open_ledger
from connector.sandbox.clock import SandboxClock
from connector.sandbox.population import make_population
from connector.sandbox.server import serve
from connector.transport import redact
from tests.databases import ledger_url
from tests.stories.test_cli import answer, run

KEY = "a key of more than sixteen characters"


async def test_a_rotated_token_rests_sealed_and_comes_back(ledger: SqlLedger) -> None:
    tokens = SealedTokens(ledger, KEY, "here", SandboxClock())

    assert await tokens.load("salesforce") is None
    await tokens.save("salesforce", "5Aep-first")
    await tokens.save("salesforce", "5Aep-second")

    assert await tokens.load("salesforce") == "5Aep-second"
    assert await tokens.load("hubspot") is None
    assert "second" not in (await ledger.load_sealed("salesforce") or "")


async def test_another_key_opens_nothing_and_says_what_to_do(ledger: SqlLedger) -> None:
    await SealedTokens(ledger, KEY, "here", SandboxClock()).save("salesforce", "5Aep-secret")

    with pytest.raises(FixConfig) as caught:
        await SealedTokens(ledger, "quite another key, as long", "here", SandboxClock()).load("salesforce")

    assert "CONNECTOR_SECRET_KEY" in caught.value.message
    assert "connector token forget salesforce" in caught.value.next_step
    assert "5Aep" not in str(caught.value)


def test_a_sealed_token_is_good_for_its_own_crm_and_unchanged_only() -> None:
    sealed = seal("5Aep-secret", KEY, "salesforce")

    assert unseal(sealed, KEY, "salesforce") == "5Aep-secret"
    assert seal("5Aep-secret", KEY, "salesforce") != sealed
    changed = sealed[:-6] + ("A" if sealed[-6] != "A" else "B") + sealed[-5:]
    for text, crm in (
        (sealed, "hubspot"),
        (changed, "salesforce"),
        ("v9.abc", "salesforce"),
        ("", "salesforce"),
    ):
        with pytest.raises(FixConfig):
            unseal(text, KEY, crm)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_processes_renew_one_after_the_other(kind: str, tmp_path: Path) -> None:
    """Each turn reads the last token, waits, and writes the next: an overlap would lose a number."""
    url, log = ledger_url(kind, tmp_path), tmp_path / "turns"
    work = textwrap.dedent(
        """
        import asyncio, sys
        from connector.app.tokens import SealedTokens
        from connector.app.wiring import SystemClock
        from connector.ledger import open_ledger

        class Brisk(SystemClock):
            async def sleep(self, span):
                await asyncio.sleep(0.1)

        async def main(url, key, log):
            ledger = open_ledger(url)
            tokens = SealedTokens(ledger, key, sys.argv[4], Brisk())
            for _ in range(6):
                async with tokens.alone("salesforce"):
                    with open(log, "a") as turns:
                        turns.write("in\\n")
                    number = int(await tokens.load("salesforce") or 0)
                    await asyncio.sleep(0.02)
                    await tokens.save("salesforce", str(number + 1))
                    with open(log, "a") as turns:
                        turns.write("out\\n")
            await ledger.close()

        asyncio.run(main(*sys.argv[1:4]))
        """
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", work, url, KEY, str(log), "the same holder"],
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors

    async def kept() -> str | None:
        ledger = open_ledger(url)
        try:
            return await SealedTokens(ledger, KEY, "after", SandboxClock()).load("salesforce")
        finally:
            await ledger.close()

    assert asyncio.run(kept()) == "12"
    assert log.read_text().split() == ["in", "out"] * 12


async def test_the_key_may_be_a_mounted_file_and_is_never_shown(
    ledger: SqlLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    monkeypatch.setenv("CONNECTOR_SECRET_KEY_FILE", str(tmp_path / "key"))

    settings = load_settings()
    tokens = token_store(settings, ledger, SandboxClock())

    assert tokens is not None
    await tokens.save("salesforce", "5Aep-secret")
    assert await SealedTokens(ledger, KEY, "later", SandboxClock()).load("salesforce") == "5Aep-secret"
    assert KEY not in repr(settings)
    assert KEY not in redact(f"sealed with {KEY}")


def test_a_key_that_can_be_guessed_is_refused_without_being_shown(tmp_path: Path) -> None:
    environment = {
        "CONNECTOR_SECRET_KEY": "hunter2",
        "CONNECTOR_DATABASE_URL": f"sqlite:///{tmp_path / 'l.db'}",
    }

    done = run(environment, "sync", "--json", code=2)

    assert "CONNECTOR_SECRET_KEY" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


async def test_a_rotating_grant_without_the_key_is_refused_at_start(ledger: SqlLedger) -> None:
    variables = {"SALESFORCE_CLIENT_ID": "app", "SALESFORCE_REFRESH_TOKEN": "5Aep-given"}

    with pytest.raises(FixConfig) as caught:
        await connect(plugins()["salesforce"], variables, SandboxClock(), ledger, None)

    assert "CONNECTOR_SECRET_KEY" in caught.value.next_step


def test_a_kept_token_can_be_let_go(tmp_path: Path) -> None:
    url = ledger_url("sqlite", tmp_path)
    environment = {"CONNECTOR_DATABASE_URL": url, "PATH": os.environ["PATH"]}

    async def keep() -> None:
        ledger = open_ledger(url)
        await SealedTokens(ledger, KEY, "here", SandboxClock()).save("salesforce", "5Aep-secret")
        await ledger.close()

    asyncio.run(keep())

    assert answer(environment, "token", "forget", "salesforce")["forgotten"] is True
    assert answer(environment, "token", "forget", "salesforce")["forgotten"] is False


def test_processes_that_share_a_ledger_never_use_a_rotated_token_twice(tmp_path: Path) -> None:
    """The second use of a rotated refresh token revokes the whole grant, in the sandbox as at the vendor."""
    clock = SandboxClock()
    org = plugins()["salesforce"].build_sandbox(make_population(10, 5, clock.now()), clock)
    with serve([org]) as up:
        environment = {
            **{name: value for name, value in up.environment().items() if "SECRET" not in name},
            "SALESFORCE_REFRESH_TOKEN": REFRESH_TOKEN,
            "CONNECTOR_SECRET_KEY": KEY,
            "CONNECTOR_DATABASE_URL": ledger_url("sqlite", tmp_path),
            "CONNECTOR_MAPPINGS_DIR": str(shipped()),
            "PATH": os.environ["PATH"],
        }
        words = [sys.executable, "-m", "connector", "check", "salesforce", "--json"]
        all_at_once = [
            subprocess.Popen(
                words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for _ in range(3)
        ]
        for process in all_at_once:
            said, errors = process.communicate(timeout=120)
            assert process.returncode == 0, said + errors
            assert REFRESH_TOKEN not in said + errors
        later = answer(environment, "sync", "salesforce", "--plan-only", code=None)
        another_key = answer(
            {**environment, "CONNECTOR_SECRET_KEY": "not the key that sealed it"}, "sync", code=2
        )
        no_key = answer({**environment, "CONNECTOR_SECRET_KEY": ""}, "sync", code=2)

    assert later["crms"]["salesforce"]["read"] > 0
    assert "CONNECTOR_SECRET_KEY" in another_key["error"]["message"]
    assert "CONNECTOR_SECRET_KEY" in no_key["error"]["next_step"]
