"""What humans have done to pairs of records is found by the records, however long the audit trail is."""

from __future__ import annotations

from sqlalchemy import create_engine, event

from connector.core.model import Ref
from connector.ledger import open_ledger, store_explain
from tests.stories.ledger_words import ADA, BOB, HOUR, NOON, Desk, contact, decided


async def test_acts_on_a_pair_are_found_by_either_record_without_a_walk_through_the_audit_trail(sqlite_url):
    ledger = open_ledger(sqlite_url)
    desk = Desk(ledger)
    others = [Ref("hubspot", "contact", str(number)) for number in range(10, 20)]
    await desk.keep(*(contact(ref) for ref in (ADA, BOB, *others)))
    await desk.decide(decided(ADA), decided(BOB))
    for one, other in zip(others[::2], others[1::2], strict=True):
        await ledger.answer_review(one, other, "join", NOON)
    await ledger.answer_review(BOB, ADA, "join", NOON, author="Eva", note="met both")
    await ledger.undo_review(ADA, BOB, NOON + HOUR, author="Eva")  # nobody had asked: the pair itself is gone
    story = await ledger.story(await desk.person_of(ADA))
    await ledger.close()

    engine = create_engine(sqlite_url)
    asked: list[tuple[str, object]] = []
    event.listen(engine, "before_cursor_execute", lambda *call: asked.append((call[2], call[3])))
    with engine.connect() as connection:
        acts = store_explain.pair_acts(connection, [BOB])
        plans = [
            row.detail
            for sql, given in asked[:]
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", given)
        ]
    engine.dispose()
    assert [(each.act, each.a, each.b, each.at) for each in acts] == [
        ("join", ADA, BOB, NOON), ("undo", ADA, BOB, NOON + HOUR),
    ]  # fmt: skip
    assert plans
    assert all(plan.startswith("SEARCH") for plan in plans), plans
    assert [line.text.partition(": ")[2] for line in story if line.kind == "review"] == [
        "join by Eva: met both",
        "join taken back by Eva",
    ]
