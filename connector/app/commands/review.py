"""`connector review`: pairs of records that may be one person, and what humans decide of them."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from connector.app.asking import ask_ledger, asked_audience
from connector.app.exits import OK
from connector.app.output import out, print_json, when
from connector.app.reviewing import (
    COLUMNS,
    addresses,
    answer,
    answered_document,
    csv_row,
    import_answers,
    pair_document,
    pair_of,
)
from connector.app.who import actor
from connector.app.wiring import SystemClock
from connector.errors import FixConfig
from connector.ledger import SqlLedger
from connector.ports import Answered, Review, ReviewPair, ReviewSide


def review_list(
    *, target: Path | None, answered: bool, stale: bool, audience: str | None, email: bool, json: bool
) -> int:
    """The pairs that wait, or those that were answered; with `target` as a file to answer in. `audience`: those of
    which either is in it."""

    async def question(ledger: SqlLedger) -> list[ReviewPair]:
        pairs = await ledger.review_pairs(answered=answered)
        if audience is None:
            return pairs
        sides = [ref for pair in pairs for ref in (pair.one.ref, pair.other.ref)]
        of = await ledger.records_about(await asked_audience(ledger, audience), sides)
        return [pair for pair in pairs if of & {pair.one.ref, pair.other.ref}]

    pairs = [pair for pair in ask_ledger(question) if stale or not pair.stale]
    if target is not None:
        _write(target, pairs, email=email)
    if json:
        print_json({"pairs": [pair_document(pair, email=email) for pair in pairs]})
    elif target is None:
        _tell(pairs, email=email, answered=answered)
    elif str(target) != "-":
        out.print(
            f"{target}: {len(pairs):,} pairs; fill the column `answer` with join or split.", markup=False
        )
    return OK


def _write(target: Path, pairs: Sequence[ReviewPair], *, email: bool) -> None:
    if str(target) == "-":
        file = csv.writer(sys.stdout)
        file.writerows([COLUMNS, *(csv_row(pair, email=email) for pair in pairs)])
        return
    try:
        with target.open("x", encoding="utf-8", newline="") as opened:
            csv.writer(opened).writerows([COLUMNS, *(csv_row(pair, email=email) for pair in pairs)])
    except OSError as error:
        raise FixConfig(
            f"{target} cannot be written: {error.strerror}.", next_step="Name another file.", where="--csv"
        ) from error


def _tell(pairs: Sequence[ReviewPair], *, email: bool, answered: bool) -> None:
    if not pairs:
        out.print("Nobody has answered a pair yet." if answered else "No pair waits for anybody.")
        return
    for pair in pairs:
        review = pair.review
        why = review.why or "nobody asked"
        out.print(f"{review.number}  {why} (since {when(review.found_at)} UTC)", markup=False)
        for side in (pair.one, pair.other):
            out.print(f"     {_side(side, email=email)}", markup=False)
        if review.answer:
            out.print(f"     -> {_answer(review)}", markup=False)


def _side(side: ReviewSide, *, email: bool) -> str:
    told = [
        side.name or "(no name)",
        addresses(side, email=email) or "(no address)",
        *([side.company] if side.company else []),
        *([f"owner {side.owner}"] if side.owner else []),
        *([f"stage {side.stage}"] if side.stage else []),
        *([f"counts as {side.ours}"] if side.ours and side.ours != side.stage else []),
        *([side.state.value] if side.state.value != "live" else []),
    ]
    return f"{side.ref}  {', '.join(told)}"


def _answer(review: Review) -> str:
    note = f": {review.note}" if review.note else ""
    return f"{review.answer} by {review.answered_by or 'somebody'}, {when(review.answered_at)} UTC{note}"


def review_answer(words: list[str], said: str, *, note: str, given: str | None, json: bool) -> int:
    """`join` or `split`."""

    async def question(ledger: SqlLedger) -> Answered:
        a, b = await pair_of(ledger, words)
        return await answer(ledger, a, b, said, SystemClock().now(), by=actor(given), note=note)

    return _told([ask_ledger(question)], json=json)


def review_undo(words: list[str], *, note: str, given: str | None, json: bool) -> int:
    """The last answer of a pair is taken back."""

    async def question(ledger: SqlLedger) -> Answered:
        a, b = await pair_of(ledger, words)
        return await ledger.undo_review(a, b, SystemClock().now(), author=actor(given), note=note)

    return _told([ask_ledger(question)], json=json)


def review_import(path: Path, *, given: str | None, json: bool) -> int:
    """All answers of a file, or none."""

    async def question(ledger: SqlLedger) -> list[Answered]:
        return await import_answers(ledger, path, SystemClock().now(), by=actor(given))

    return _told(ask_ledger(question), json=json)


def _told(done: Sequence[Answered], *, json: bool) -> int:
    changed = sum(each.changed for each in done)
    if json:
        pairs = [answered_document(each) for each in done]
        print_json({"changed": changed, "pairs": pairs})
        return OK
    for each in done:
        review = each.review
        state = (_answer(review) if review.answer else "left to the rules again") + (
            "" if each.changed else " (it stood already)"
        )
        out.print(f"{review.a} and {review.b}: {state}", markup=False)
        for line in each.told:
            out.print(f"  but {line}", markup=False)
    if changed:
        out.print(f"{changed:,} changed; the next sync decides these people anew.")
    return OK
