"""What HubSpot accounts were seen, or are said, to do differently. One account does each one way."""

from __future__ import annotations

from dataclasses import dataclass

RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class Habits:
    """`lifecycle_backward` is what a write of an earlier stage does without clearing: `ignore` (kept without a word,
    as v1 was seen to), `apply`, or `error`. `stage_workflow`: a workflow of the account sets this stage as soon as
    somebody clears it (`restore`: the one that stood there). `trace_ids` False: a batch with one bad record is refused
    as a whole even though every input has its trace id. `merged_in_batches`: an id that was merged away is `left_out`
    of a batch update, or `resolved` to its survivor. `identical_write_moves`: writing what stands there moves the
    last-modified stamp.

    Of engagement: `emails_tell_campaigns`: the list of marketing e-mails tells the ids of their campaigns.
    `submissions_hidden`: the token may list forms and sees none of their submissions, without a word. `enterprise`: the
    account has behavioural events; without, they are forbidden. `all_states`: a person's participation in a marketing
    event is listed once per state that it went through, not only in its newest.

    Of automation: `history_names_workflows`: a property's history labels a workflow's change with its name, beside the
    number of the enrolment. `professional`: the account has workflows. `most_flows`: how many are read in a call,
    which is documented nowhere. `required`: an admin's validation rule forbids to clear this property.
    `stage_dates`: which properties date a contact's stages: the `v2` ones beside the old, the `old` alone, or `none`.
    """

    lifecycle_backward: str = "ignore"
    stage_workflow: str = ""
    trace_ids: bool = True
    merged_in_batches: str = "left_out"
    identical_write_moves: bool = False
    emails_tell_campaigns: bool = True
    submissions_hidden: bool = False
    enterprise: bool = True
    all_states: bool = False
    history_names_workflows: bool = False
    professional: bool = True
    most_flows: int = 100
    required: str = ""
    stage_dates: str = "v2"

    def __post_init__(self) -> None:
        for name, allowed in (
            ("lifecycle_backward", ("ignore", "apply", "error")),
            ("merged_in_batches", ("left_out", "resolved")),
            ("stage_dates", ("v2", "old", "none")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is one of {', '.join(allowed)}.")
