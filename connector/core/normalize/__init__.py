"""Turn vendor records and events into our words. Pure: values in, values out; decides nothing about identity
or score."""

from connector.core.normalize.counters import growth
from connector.core.normalize.engagement import count_once, normalize_event
from connector.core.normalize.merge import Disagreement, merged_precedence, person_fields
from connector.core.normalize.records import (
    keep_answer_date,
    normalize_company,
    normalize_opportunity,
    normalize_person,
)
from connector.core.normalize.scanners import scanner_rules, set_aside_scanners
from connector.core.normalize.suspect import (
    judged_types,
    rules_that_suspect,
    set_aside_suspects,
    suspect_types,
)

__all__ = [
    "Disagreement",
    "count_once",
    "growth",
    "judged_types",
    "keep_answer_date",
    "merged_precedence",
    "normalize_company",
    "normalize_event",
    "normalize_opportunity",
    "normalize_person",
    "person_fields",
    "rules_that_suspect",
    "scanner_rules",
    "set_aside_scanners",
    "set_aside_suspects",
    "suspect_types",
]
