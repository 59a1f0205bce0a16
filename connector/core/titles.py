"""Read seniority and job function out of a job title, by tables of phrases in eight languages. Pure: the
tables are data shipped in the package (or an admin's own), nothing is learnt and nothing is stored.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from connector.core.fields import JOB_FUNCTIONS, SENIORITIES

COLUMNS = ("language", "phrase", "seniority", "job_function")
MAX_TITLE = 200  # characters looked at; longer titles are pasted texts

_RANK = {name: position for position, name in enumerate(SENIORITIES)}
_DOTTED = re.compile(r"\b([a-z])\.(?=[a-z]\b)")  # the dots inside C.E.O. and V.P.
# Scripts written without spaces between words: a phrase of theirs matches anywhere.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f]")


@dataclass(frozen=True, slots=True)
class TitleRow:
    """A phrase and what it says. `*` at the edge of a single word stands for the rest of that word
    (`*leiter`), alone at the end for the rest of the title (`assistant to *`). Blank: the phrase says
    nothing about it."""

    language: str
    phrase: str
    seniority: str = ""
    job_function: str = ""


def parse_titles(text: str) -> tuple[tuple[TitleRow, ...], tuple[str, ...]]:
    """The rows of a CSV with the columns language, phrase, seniority, job_function, and what is wrong with
    others."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    if reader.fieldnames is None or not set(COLUMNS) <= set(reader.fieldnames):
        return (), (f"needs the columns {', '.join(COLUMNS)}.",)
    rows: list[TitleRow] = []
    complaints: list[str] = []
    for entry in reader:
        row = TitleRow(*((entry[column] or "").strip() for column in COLUMNS))
        wrong = _wrong(row)
        if wrong:
            complaints.append(f"line {reader.line_num}: {wrong}")
        else:
            rows.append(row)
    return tuple(rows), tuple(complaints)


def _wrong(row: TitleRow) -> str:
    if not plain(row.phrase.replace("*", " ")):
        return "the phrase is blank."
    if row.seniority and row.seniority not in _RANK:
        return f"`{row.seniority}` is no seniority; there are {', '.join(SENIORITIES)}."
    if row.job_function and row.job_function not in JOB_FUNCTIONS:
        return f"`{row.job_function}` is no job function; there are {', '.join(JOB_FUNCTIONS)}."
    if not row.seniority and not row.job_function:
        return "says neither a seniority nor a job function."
    return ""


def read_title(title: str, extra: tuple[TitleRow, ...] = ()) -> tuple[str | None, str | None]:
    """Seniority and job function of a title, None where it does not tell. An admin's `extra` rows beat ours.

    At each place the longest phrase wins, so `vice president` is no president and `assistant to the
    director` no director. Of several seniorities the highest holds; of several functions the first that is
    not general management.
    """
    return _read(title[:MAX_TITLE], extra)


@lru_cache(maxsize=50_000)
def _read(title: str, extra: tuple[TitleRow, ...]) -> tuple[str | None, str | None]:
    words = plain(title).split()
    seniority_tables, function_tables = _tables(extra)
    ranks = [_RANK[found] for found in _find(seniority_tables, words) if found]
    functions = [found for found in _find(function_tables, words) if found]
    special = [each for each in functions if each != "general_management"]
    function = next(iter(special or functions), None)
    return (SENIORITIES[min(ranks)] if ranks else None), function


def plain(text: str) -> str:
    """Lower case without accents, words separated by one space; letters and digits of every script stay."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    bare = "".join(each for each in folded if not unicodedata.combining(each) or _is_kana_mark(each))
    bare = _DOTTED.sub(r"\1", bare)
    kept = unicodedata.normalize("NFC", bare).replace("&", " and ").replace("'", " ").replace("’", " ")
    return " ".join(re.sub(r"[^\w]+|_", " ", kept).split())


def _is_kana_mark(mark: str) -> bool:
    return mark in "\u3099\u309a"  # they tell ga from ka: not an accent


@dataclass(frozen=True, slots=True)
class _Table:
    """Phrases by their words (`exact`), edges of single words (`edges`, longest first), and phrases of
    scripts without spaces (`unspaced`). The flag says that the phrase swallows the rest of the title."""

    exact: Mapping[str, tuple[str, bool]]
    edges: tuple[tuple[str, bool, str], ...]  # stem, at the end of the word, answer
    unspaced: Mapping[str, tuple[str, bool]]
    most_words: int
    most_letters: int

    def at(self, words: Sequence[str], start: int) -> tuple[str, int] | None:
        """The answer of the longest phrase that starts at this word, and the word after it."""
        for count in range(min(self.most_words, len(words) - start), 0, -1):
            said = self.exact.get(" ".join(words[start : start + count]))
            if said:
                return said[0], len(words) if said[1] else start + count
        word = words[start]
        for stem, ends, answer in self.edges:
            if word.endswith(stem) if ends else word.startswith(stem):
                return answer, start + 1
        return None

    def inside(self, word: str) -> Iterator[str]:
        """Every answer inside a word of a script without spaces, left to right, longest first."""
        start = 0
        while start < len(word):
            for count in range(min(self.most_letters, len(word) - start), 0, -1):
                said = self.unspaced.get(word[start : start + count])
                if said:
                    yield said[0]
                    start = len(word) if said[1] else start + count
                    break
            else:
                start += 1


def _find(tables: Sequence[_Table], words: Sequence[str]) -> list[str]:
    """Every answer in the words, left to right, no word used twice; earlier tables are asked first."""
    found: list[str] = []
    start = 0
    while start < len(words):
        hit = next((hit for hit in (table.at(words, start) for table in tables) if hit), None)
        if hit:
            found.append(hit[0])
            start = hit[1]
            continue
        if _UNSPACED.search(words[start]):
            inside = (list(table.inside(words[start])) for table in tables)
            found.extend(next((each for each in inside if each), []))
        start += 1
    return found


@lru_cache(maxsize=16)
def _tables(extra: tuple[TitleRow, ...]) -> tuple[tuple[_Table, ...], tuple[_Table, ...]]:
    sources = [rows for rows in (extra, shipped_titles()) if rows]
    return (
        tuple(_table([(row.phrase, row.seniority) for row in rows]) for rows in sources),
        tuple(_table([(row.phrase, row.job_function) for row in rows]) for rows in sources),
    )


def _table(said: Iterable[tuple[str, str]]) -> _Table:
    """Phrases with a blank answer stay: they take their words, so that no shorter phrase misreads them."""
    exact: dict[str, tuple[str, bool]] = {}
    edges: dict[tuple[str, bool], str] = {}
    unspaced: dict[str, tuple[str, bool]] = {}
    for phrase, answer in said:
        stem = plain(phrase.replace("*", " "))
        swallow = phrase.endswith(" *")
        if _UNSPACED.search(stem):
            unspaced.setdefault(stem, (answer, swallow))
        elif not swallow and "*" in (phrase[0], phrase[-1]):
            if answer:
                edges.setdefault((stem, phrase.startswith("*")), answer)
        else:
            exact.setdefault(stem, (answer, swallow))
    ordered = sorted(edges, key=lambda edge: (-len(edge[0]), edge))
    return _Table(
        exact,
        tuple((stem, ends, edges[stem, ends]) for stem, ends in ordered),
        unspaced,
        most_words=max((phrase.count(" ") + 1 for phrase in exact), default=0),
        most_letters=max(map(len, unspaced), default=0),
    )


@lru_cache(maxsize=1)
def shipped_titles() -> tuple[TitleRow, ...]:
    """The package's own tables, one CSV per language."""
    rows: list[TitleRow] = []
    folder = files("connector.core.normalize").joinpath("titles")
    for table in sorted(folder.iterdir(), key=lambda each: each.name):
        if table.name.endswith(".csv"):
            found, complaints = parse_titles(table.read_text(encoding="utf-8"))
            assert not complaints, f"{table.name}: {complaints[0]}"
            rows.extend(found)
    return tuple(rows)
