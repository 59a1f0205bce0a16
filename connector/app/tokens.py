"""Keeps the one secret that the ledger may hold, a rotated refresh token: sealed, and renewed by one at a time.

Sealed with AES-256-GCM under a key that scrypt derives from CONNECTOR_SECRET_KEY and a fresh salt. The name of the
CRM is authenticated with it, so that one CRM's token cannot be passed off as another's.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from connector.app.leases import held
from connector.errors import FixConfig
from connector.ledger import SqlLedger
from connector.ports import Clock
from connector.transport import remember_secrets

VERSION = "v1"
SALT, NONCE = 16, 12  # bytes; 96-bit nonces are what GCM is specified for (NIST SP 800-38D)
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**14, 8, 1  # 16 MiB and a few hundredths of a second (RFC 7914)


class SealedTokens:
    """A `connector.ports.TokenStore` on the ledger."""

    def __init__(self, ledger: SqlLedger, secret_key: str, holder: str, clock: Clock) -> None:
        remember_secrets([secret_key])
        self._ledger = ledger
        self._key = secret_key
        # Leases know processes; two stores in one process must still take turns.
        self._holder = f"{holder}:{secrets.token_hex(4)}"
        self._clock = clock
        self._turns: dict[str, asyncio.Lock] = {}

    async def load(self, crm: str) -> str | None:
        """The token as last kept; None before the first. Raises FixConfig where this key does not open it."""
        sealed = await self._ledger.load_sealed(crm)
        if not sealed:
            return None
        token = await asyncio.to_thread(unseal, sealed, self._key, crm)
        remember_secrets([token], passing=True)
        return token

    async def save(self, crm: str, token: str) -> None:
        """Durable once it returns: the old token may be dead already."""
        remember_secrets([token], passing=True)
        sealed = await asyncio.to_thread(seal, token, self._key, crm)
        await self._ledger.save_sealed(crm, sealed, self._clock.now())

    @asynccontextmanager
    async def alone(self, crm: str) -> AsyncIterator[None]:
        """One refresher at a time among all processes on this ledger. Raises LeaseBusy after a minute in vain."""
        async with (
            self._turns.setdefault(crm, asyncio.Lock()),
            held(self._ledger, f"token:{crm}", self._holder, self._clock),
        ):
            yield


def seal(token: str, secret_key: str, crm: str) -> str:
    """`v1.` and, as URL-safe base64, salt, nonce and cipher text."""
    salt, nonce = os.urandom(SALT), os.urandom(NONCE)
    box = AESGCM(_derived(secret_key, salt)).encrypt(nonce, token.encode(), _label(crm))
    return f"{VERSION}.{base64.urlsafe_b64encode(salt + nonce + box).decode()}"


def unseal(sealed: str, secret_key: str, crm: str) -> str:
    """The token again. Raises FixConfig where the key is another, or the text was changed."""
    version, _, text = sealed.partition(".")
    try:
        if version != VERSION:
            raise ValueError(version)
        raw = base64.urlsafe_b64decode(text)
        salt, nonce, box = raw[:SALT], raw[SALT : SALT + NONCE], raw[SALT + NONCE :]
        return AESGCM(_derived(secret_key, salt)).decrypt(nonce, box, _label(crm)).decode()
    except (InvalidTag, ValueError, binascii.Error):
        raise FixConfig(
            f"CONNECTOR_SECRET_KEY does not open the refresh token of {crm} that this ledger keeps.",
            next_step="Set the key it was sealed with. If that is lost: authorise the app again, set the new refresh "
            f"token, and let go of the old one with `connector token forget {crm}`.",
            where="CONNECTOR_SECRET_KEY",
        ) from None


def _derived(secret_key: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P).derive(secret_key.encode())


def _label(crm: str) -> bytes:
    return f"connector refresh token {VERSION} {crm}".encode()
