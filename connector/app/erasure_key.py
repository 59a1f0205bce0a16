"""How the key of the hashes of erased people is sealed and opened: under CONNECTOR_SECRET_KEY, like a refresh token."""

from __future__ import annotations

from base64 import b64decode, b64encode
from functools import lru_cache

from connector.app.settings import Settings
from connector.app.tokens import seal, unseal
from connector.errors import FixConfig
from connector.ledger import KeyBox

_LABEL = "erasure"  # what a sealed key is for


def key_box(settings: Settings) -> KeyBox | None:
    """How the key of the hashes is sealed; None without CONNECTOR_SECRET_KEY."""
    return None if settings.secret_key is None else box_of(settings.secret_key.get_secret_value())


def box_of(secret: str) -> KeyBox:
    """The same under this secret."""

    @lru_cache(maxsize=8)
    def opened(text: str) -> bytes:
        try:
            return b64decode(unseal(text, secret, _LABEL))
        except FixConfig:
            raise FixConfig(
                "CONNECTOR_SECRET_KEY is another than the one under which the ledger keeps erased people out.",
                next_step="Set the key of then, or seal it anew: `connector person reseal --old-key FILE`. Without it, "
                "erased people would come back unseen.",
                where="CONNECTOR_SECRET_KEY",
            ) from None

    return KeyBox(lambda key: seal(b64encode(key).decode(), secret, _LABEL), opened)
