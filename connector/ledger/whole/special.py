"""The tables that are not simply carried over when a ledger is copied or brought back. Every other one is.

Whoever adds a table asks: may an older state of it come back? Where not, it is named here; `tests/unit/test_special.py`
asks the question by failing.
"""

from __future__ import annotations

NOT_CARRIED = frozenset({"lease"})
"""Who is at work in one database is not at work in the other. Those of the target stay: no epoch comes twice."""

ENDURES = frozenset({"brake", "erased", "erasure_key", "idempotency_key", "sealed_token", "token"})
"""What the target holds is kept when an older backup replaces the rest; rows that only the backup has are added. So a
brake that was pulled since is not let go, somebody who was erased since stays so, a token that was revoked since opens
nothing, a write that was done under a key is not done again, and the refresh token is the one that the vendor still
takes."""
