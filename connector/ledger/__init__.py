"""The only memory and the only SQL: watermarks, records, identity links, decisions, planned writes, receipts, runs."""

from connector.ledger.store import SqlLedger, open_ledger
from connector.ledger.upgrade import upgrade

__all__ = ["SqlLedger", "open_ledger", "upgrade"]
