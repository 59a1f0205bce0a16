"""Tokens of people and programs in the ledger: known by their hash, one live one a name, revoked for good."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from connector.core.approval import Agreed, Proof
from connector.errors import FixConfig, StopRun
from connector.ledger import SqlLedger
from connector.ledger.store_token import make
from connector.ports import Token, TokenState
from tests.databases import ledger_url
from tests.stories.ledger_words import DAY, NOON


async def made(ledger: SqlLedger, name: str = "Ada", hash: str = "a1", *, days: int = 90) -> Token:
    return await ledger.make_token(name, "viewer", hash, "root", NOON, expires_at=NOON + days * DAY)


async def test_a_token_lives_until_it_expires_or_is_revoked_and_the_trail_says_who_did_it(
    ledger: SqlLedger,
) -> None:
    ada, grace = await made(ledger), await made(ledger, "Grace", "b2", days=1)

    assert await ledger.token_of("a1") == ada
    assert await ledger.token_of("A1") is None
    assert (ada.state(NOON), grace.state(NOON + DAY)) == (TokenState.LIVE, TokenState.EXPIRED)

    gone = await ledger.revoke_token(ada.id, "Sam", NOON + DAY)

    assert (gone.state(NOON + DAY), gone.revoked_by) == (TokenState.REVOKED, "Sam")
    assert [each.name for each in await ledger.tokens()] == ["Grace", "Ada"]
    acts = await ledger.acts(f"token:{ada.id}")
    assert [(each.act, each.by, each.detail["name"]) for each in acts] == [
        ("create token", "root", "Ada"),
        ("revoke token", "Sam", "Ada"),
    ]
    assert "a1" not in str(acts)
    for number, said in ((ada.id, "revoked already"), (99, "There is no token 99")):
        with pytest.raises(StopRun, match=said):
            await ledger.revoke_token(number, "Sam", NOON)


async def test_a_name_is_one_person_so_it_has_one_live_token(ledger: SqlLedger) -> None:
    tries = [made(ledger, name, hash) for name, hash in (("Ada", "a1"), (" aDA", "a2"), ("ada ", "a3"))]
    results = await asyncio.gather(*tries, return_exceptions=True)

    assert sorted(type(each).__name__ for each in results) == ["FixConfig", "FixConfig", "Token"]
    refused = next(each for each in results if isinstance(each, FixConfig))
    assert "has a live token already" in refused.message
    [ada] = await ledger.tokens()
    await ledger.revoke_token(ada.id, "Sam", NOON)
    await made(ledger, hash="a4", days=1)
    await ledger.make_token("Ada", "admin", "a5", "root", NOON + DAY, expires_at=NOON + 2 * DAY)


def test_of_two_processes_that_make_one_name_the_second_waits_for_the_first(tmp_path: Path) -> None:
    engine = create_engine(ledger_url("postgresql", tmp_path))
    with engine.begin() as one, engine.begin() as other:
        make(one, "Ada", "viewer", "a1", "root", NOON, NOON + DAY, False)
        other.execute(text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            make(other, "Ada", "viewer", "a2", "root", NOON, NOON + DAY, False)
        other.rollback()
    engine.dispose()


async def test_the_day_of_the_last_use_only_moves_on(ledger: SqlLedger) -> None:
    ada = await made(ledger)
    assert ada.last_used is None

    for day in (date(2026, 11, 22), date(2026, 11, 23), date(2026, 11, 22)):
        await ledger.used_token(ada.id, day)

    [kept] = await ledger.tokens()
    assert kept.last_used == date(2026, 11, 23)


async def test_an_approval_says_how_whoever_gave_it_was_known(ledger: SqlLedger) -> None:
    draft = await ledger.keep_draft({"criteria.yaml": "a"}, 1, "Edith", "", NOON)
    await ledger.approve_draft(draft.id, Agreed("sales", "Grace", "", NOON))
    later = NOON + timedelta(minutes=1)
    approved = await ledger.approve_draft(draft.id, Agreed("marketing", "Ada", "", later, Proof.PROVEN))
    version = await ledger.adopt_files({"criteria.yaml": "a"}, NOON)
    await ledger.sign(version, "Edith", "", approved.agreed)

    [kept] = await ledger.history()
    assert [each.proof for each in approved.agreed] == [Proof.CLAIMED, Proof.PROVEN]
    assert kept.agreed == approved.agreed
    told = [each.detail.get("proof") for each in await ledger.acts(f"draft:{draft.id}")]
    assert told == [None, "claimed", "proven"]
