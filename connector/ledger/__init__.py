"""The only memory and the only SQL: watermarks, records, identity links, decisions, planned writes, receipts, runs."""

from connector.ledger.store import SqlLedger, open_ledger
from connector.ledger.store_erased import KeyBox
from connector.ledger.upgrade import LedgerAwayError, upgrade

__all__ = ["KeyBox", "LedgerAwayError", "SqlLedger", "open_ledger", "upgrade"]
