"""Pairs for review between the command line, a CSV file and the ledger. Prints nothing, and joins nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from connector.core.csv_lines import csv_lines
from connector.core.model import Ref
from connector.core.resolve import said_against
from connector.core.reviewing import refusal
from connector.errors import FixConfig, Problem
from connector.insight.planned import harmless
from connector.ledger import SqlLedger
from connector.ports import Answered, Review, ReviewAnswer, ReviewPair, ReviewSide

ANSWERS = ("join", "split")
_OF_A_SIDE = ("name", "emails", "company", "owner", "stage", "counts_as")
COLUMNS = (
    "number",
    "a",
    *(f"a_{name}" for name in _OF_A_SIDE),
    "b",
    *(f"b_{name}" for name in _OF_A_SIDE),
    "why",
    "since",
    "answer",
    "note",
)


# ------------------------------------------------------------------------------------------------------ one by one


async def pair_of(ledger: SqlLedger, words: Sequence[str]) -> tuple[Ref, Ref]:
    """The pair that is meant: two records as `crm:object:id`, or the number of a pair. Raises FixConfig."""
    if len(words) == 1 and words[0].isdecimal():
        found = await ledger.review_numbered(int(words[0]))
        if found is None:
            raise FixConfig(f"There is no pair {words[0]}.", next_step="See `connector review list`.")
        return found.a, found.b
    if len(words) != 2:
        raise FixConfig(
            "Which pair?",
            next_step="Give its number, or two records as crm:object:id: `connector review list`.",
        )
    return ref_of(words[0]), ref_of(words[1])


def ref_of(text: str) -> Ref:
    """`crm:object:id` as typed. Raises FixConfig."""
    parts = text.strip().split(":", 2)
    if len(parts) != 3 or not all(parts):
        raise FixConfig(
            f"`{text}` names no record.", next_step="Write crm:object:id, as `connector review list` does."
        )
    return Ref(*parts)


async def answer(
    ledger: SqlLedger, a: Ref, b: Ref, said: str, at: datetime, *, by: str, note: str
) -> Answered:
    """Join or split. What the records say against it is told and kept; what other humans said refuses it (StopRun)."""
    told = await against(ledger, a, b, said)
    return await ledger.answer_review(a, b, said, at, author=by, note=note, told=told)


async def against(ledger: SqlLedger, a: Ref, b: Ref, said: str) -> tuple[str, ...]:
    """What the records say against an answer."""
    hood = await ledger.neighbourhood([a, b])
    return said_against(hood.records, a, b, said)


def review_document(review: Review) -> dict[str, object]:
    """A pair as JSON."""
    return {
        "number": review.number, "a": str(review.a), "b": str(review.b), "why": review.why, "since": review.found_at,
        "answer": review.answer or None, "answered_at": review.answered_at,
        "answered_by": review.answered_by or None, "note": review.note,
    }  # fmt: skip


def answered_document(done: Answered) -> dict[str, object]:
    """What came of an answer, as JSON: the pair, whether that is new, and what the records say against it."""
    return {**review_document(done.review), "changed": done.changed, "told": list(done.told)}


# ------------------------------------------------------------------------------------------------------------- CSV


def masked(address: str) -> str:
    """An address that a colleague still recognises."""
    name, _, domain = address.rpartition("@")
    return f"{name[:1]}***@{domain}"


def addresses(side: ReviewSide, *, email: bool) -> str:
    """All addresses of a record in one cell."""
    return " ".join(each if email else masked(each) for each in side.emails)


def pair_document(pair: ReviewPair, *, email: bool) -> dict[str, object]:
    """A pair beside its evidence as JSON."""

    def side(each: ReviewSide) -> dict[str, object]:
        return {
            "record": str(each.ref), "name": each.name, "emails": addresses(each, email=email).split(),
            "company": each.company, "owner": each.owner, "stage": each.stage, "counts_as": each.ours,
            "state": each.state.value,
        }  # fmt: skip

    return {
        **review_document(pair.review),
        "records": [side(pair.one), side(pair.other)],
        "stale": pair.stale,
    }


def csv_row(pair: ReviewPair, *, email: bool) -> list[str]:
    """A pair as a line of the file, by `COLUMNS`."""

    def side(each: ReviewSide) -> list[str]:
        return [
            str(each.ref),
            each.name,
            addresses(each, email=email),
            each.company,
            each.owner,
            each.stage,
            each.ours,
        ]

    review = pair.review
    since = review.found_at.isoformat() if review.found_at else ""
    cells = [
        str(review.number),
        *side(pair.one),
        *side(pair.other),
        review.why,
        since,
        review.answer,
        review.note,
    ]
    return [harmless(cell) for cell in cells]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a file that answers something."""

    line: int
    a: Ref
    b: Ref
    answer: str
    note: str


async def import_answers(ledger: SqlLedger, path: Path, at: datetime, *, by: str) -> list[Answered]:
    """All answers of a file, or none: FixConfig with every bad line. A line without an answer is left for later."""
    problems: list[Problem] = []
    rows = _read(path, problems)
    numbers = await _numbered(ledger, rows)
    said: dict[tuple[Ref, Ref], str] = {
        (each.a, each.b): each.answer for each in await ledger.reviews(answered=True)
    }
    mine: dict[tuple[Ref, Ref], int] = {}
    good: list[Row] = []
    for line, cells in rows:
        try:
            row = _row(line, cells, numbers)
        except ValueError as error:
            problems.append(_problem(path, line, str(error)))
            continue
        pair = (row.a, row.b)
        if pair in mine:
            problems.append(_problem(path, line, f"this pair has an answer in line {mine[pair]} already"))
        elif missing := await _unknown(ledger, pair):
            problems.append(_problem(path, line, f"no person's record {missing} is known"))
        elif why := refusal(said, row.a, row.b, row.answer):
            problems.append(_problem(path, line, why))
        else:
            said = {p: s for p, s in said.items() if p != pair} | {pair: row.answer}
            good.append(row)
        mine.setdefault(pair, line)
    if problems:
        raise FixConfig(
            f"{path.name} has {len(problems):,} bad lines; none of its answers was taken.",
            next_step="Correct them and import the file again; what it says twice is harmless.",
            where=path.name,
            problems=sorted(problems, key=lambda each: each.line or 0),
        )
    answers = [
        ReviewAnswer(
            each.a, each.b, each.answer, each.note, await against(ledger, each.a, each.b, each.answer)
        )
        for each in good
    ]
    return await ledger.answer_reviews(answers, at, author=by)


def _read(path: Path, problems: list[Problem]) -> list[tuple[int, Mapping[str, str]]]:
    """The lines with an answer, and in which line each begins."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FixConfig(
            f"{path} cannot be read: {error}.", next_step="Name a CSV file in UTF-8.", where=path.name
        ) from error
    names, lines = csv_lines(text)
    if "answer" not in names or not ("number" in names or {"a", "b"} <= set(names)):
        raise FixConfig(
            f"{path.name} needs the columns `answer` and `number` (or `a` and `b`).",
            next_step="Begin with `connector review list --csv FILE`, and fill the column `answer`.",
            where=path.name,
        )
    problems += [_problem(path, line.number, line.wrong) for line in lines if line.wrong]
    return [(line.number, line.cells) for line in lines if line.cells.get("answer")]


async def _numbered(ledger: SqlLedger, rows: Sequence[tuple[int, Mapping[str, str]]]) -> dict[int, Review]:
    wanted = {int(row["number"]) for _, row in rows if row.get("number", "").isdecimal()}
    every = [*await ledger.reviews(), *await ledger.reviews(answered=True)]
    return {each.number: each for each in every if each.number in wanted}


def _row(line: int, cells: Mapping[str, str], numbers: Mapping[int, Review]) -> Row:
    said = cells["answer"].casefold()
    if said not in ANSWERS:
        raise ValueError(f"the answer is join or split, not `{cells['answer']}`")
    number, a, b = (cells.get(name, "").removeprefix("'") for name in ("number", "a", "b"))
    try:
        named = (ref_of(a), ref_of(b)) if a or b else None
    except FixConfig as error:
        raise ValueError(error.message.rstrip(".")) from error
    if number:
        known = numbers.get(int(number)) if number.isdecimal() else None
        if known is None:
            raise ValueError(f"there is no pair {number}")
        if named is not None and set(named) != {known.a, known.b}:
            raise ValueError(f"pair {number} is {known.a} and {known.b}, not {a} and {b}")
        named = (known.a, known.b)
    if named is None:
        raise ValueError("it names no pair")
    one, other = sorted(named, key=str)
    if one == other:
        raise ValueError(f"{one} is one record")
    return Row(line, one, other, said, cells.get("note", ""))


async def _unknown(ledger: SqlLedger, pair: tuple[Ref, Ref]) -> str:
    for ref in pair:
        if not await ledger.knows_person_record(ref):
            return str(ref)
    return ""


def _problem(path: Path, line: int, said: str) -> Problem:
    return Problem((), said, file=path.name, line=line)
