"""Every error of the connector, grouped by what the run does next.

    ConnectorError
    ├── FixConfig        does not start: a human changes a file, a setting or a permission (exit 2)
    ├── RetryLater       waits and sends the same request again
    ├── SkipRecord       sets this record aside, goes on with the others
    ├── OutcomeUnknown   the write may have arrived: read back before writing again
    └── StopRun          stops, the watermark stays (exit 1)
        ├── LeaseBusy    somebody else holds the work
        └── LedgerFailed the database refused; nothing of the step was kept

Each message is for the person on call: what happened, where, and what to do. None carries a token or personal data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file an admin edits.

    `path` leads to the value inside the document, as keys and list positions; whoever loaded the file turns it
    into line and column. `nearest` is the closest right name, when a name was wrong.
    """

    path: tuple[str | int, ...]
    what: str
    nearest: str | None = None
    file: str = ""
    line: int | None = None
    column: int | None = None

    @property
    def place(self) -> str:
        """`file:line:column`, as far as known."""
        return self.file if self.line is None else f"{self.file}:{self.line}:{self.column or 1}"

    @property
    def said(self) -> str:
        """What is wrong at which key, with the nearest right name."""
        dotted = ".".join(str(part) for part in self.path)
        hint = f" Did you mean `{self.nearest}`?" if self.nearest else ""
        return f"{dotted}: {self.what}{hint}" if dotted else f"{self.what}{hint}"

    def __str__(self) -> str:
        return f"{self.place}: {self.said}" if self.place else self.said


class ConnectorError(Exception):
    """Base of all our errors: what happened, and the next step."""

    def __init__(self, message: str, *, next_step: str = "", where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.where = where

    def __str__(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        return f"{head} {self.next_step}".strip()


class FixConfig(ConnectorError):
    """Nothing was read or written; a human has to change something. Carries all problems at once."""

    def __init__(
        self, message: str, *, next_step: str = "", where: str = "", problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(message, next_step=next_step, where=where)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  {problem}" for problem in self.problems)])


class RetryLater(ConnectorError):
    """The same request may succeed later. `after` is the vendor's or policy's waiting time, when known."""

    def __init__(
        self, message: str, *, next_step: str = "", where: str = "", after: timedelta | None = None
    ) -> None:
        super().__init__(message, next_step=next_step, where=where)
        self.after = after


class SkipRecord(ConnectorError):
    """One record cannot be processed. It is set aside with this reason; the run goes on."""


class OutcomeUnknown(ConnectorError):
    """A write left and its answer never came. Read the record back before writing again."""


class StopRun(ConnectorError):
    """The run ends here and keeps its watermark: state or answers that do not add up."""


class LeaseBusy(StopRun):
    """Another process holds the lease for this work and is alive."""


class LedgerFailed(StopRun):
    """The database refused a step of the ledger, or is away. Nothing of that step was kept."""
