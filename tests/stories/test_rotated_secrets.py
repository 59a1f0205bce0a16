"""Secrets that are mounted as files and rotated while the sidecar runs: no restart, and nothing weaker meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.hubspot.sandbox.gate import FULL_TOKEN, SERVICE_KEY
from connector.app.access import Access, Role
from connector.app.commands.init import shipped
from connector.app.rotation import Rotation
from connector.app.settings import load_settings
from connector.app.sidecar import Sidecar
from connector.app.token_lookup import RefusedError
from connector.app.wiring import wired
from connector.sandbox.server import RunningSandboxes
from connector.transport.redact import redact
from tests.stories.test_cli import running

__all__ = ["running"]

HUBSPOT = frozenset({"hubspot"})
ADMIN, NEXT_ADMIN, VIEWER = (
    "an-admin-token-of-thirty-two-chars",
    "another-admin-token-of-32-letters",
    "v" * 40,
)
TARGETS = "sales=json://localhost:9/a-secret-place"
SECRETS = {
    "hubspot": FULL_TOKEN,
    "admin": ADMIN,
    "viewer": VIEWER,
}


class Mounted:
    """A volume of secrets as Kubernetes keeps it: each name is a link into `..data`, which is a link to a folder, and
    is swapped as a whole."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._number = folder, 0

    def put(self, **secrets: str) -> None:
        self._number += 1
        fresh = self._folder / f"..{self._number}"
        fresh.mkdir()
        for name, text in secrets.items():
            (fresh / name).write_text(f"{text}\n")
            link = self._folder / name
            if not link.is_symlink():
                link.symlink_to(Path("..data") / name)
        (self._folder / "..tmp").symlink_to(fresh.name)
        (self._folder / "..tmp").rename(self._folder / "..data")


@asynccontextmanager
async def sidecar_on(
    mounted: Mounted, running: RunningSandboxes, url: str, folder: Path, setenv: Callable[[str, str], None]
) -> AsyncIterator[tuple[Sidecar, Access, Rotation]]:
    """A sidecar whose secrets stand in these files."""
    mounted.put(**SECRETS)
    for name, value in {
        **{name: value for name, value in running.environment().items() if name == "HUBSPOT_BASE_URL"},
        "HUBSPOT_ACCESS_TOKEN_FILE": str(folder / "hubspot"),
        "CONNECTOR_ADMIN_TOKEN_FILE": str(folder / "admin"),
        "CONNECTOR_VIEWER_TOKEN_FILE": str(folder / "viewer"),
        "CONNECTOR_DATABASE_URL": url,
        "CONNECTOR_MAPPINGS_DIR": str(shipped()),
    }.items():
        setenv(name, value)
    settings = load_settings()
    access = Access.of(settings)
    async with wired(settings, ["hubspot"]) as parts:
        side = Sidecar(parts)
        await side.served.look()
        yield side, access, Rotation(side, access)


async def test_a_token_that_is_rotated_is_used_without_a_restart(
    running: RunningSandboxes, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = Mounted(tmp_path / "secrets")
    (tmp_path / "secrets").mkdir()
    async with sidecar_on(mounted, running, sqlite_url, tmp_path / "secrets", monkeypatch.setenv) as (
        side, access, rotation,
    ):  # fmt: skip
        await side.sync(HUBSPOT)
        first = dict(side.health.crms)
        nothing = await rotation.look()

        running["hubspot"].act("tokens", FULL_TOKEN, "revoke")
        await side.sync(HUBSPOT)
        refused = side.health.crms["hubspot"]
        monkeypatch.setenv("CONNECTOR_NOTIFY_URLS_FILE", str(tmp_path / "secrets/targets"))
        mounted.put(**{**SECRETS, "hubspot": SERVICE_KEY, "admin": NEXT_ADMIN, "targets": TARGETS})
        changed = await rotation.look()
        soon = [each.args[0] for each in side._scheduler.get_jobs() if each.func == side.sync]
        await side.sync(HUBSPOT)
        again = side.health.crms["hubspot"]
        admin = await access.caller(NEXT_ADMIN)
        with pytest.raises(RefusedError):
            await access.caller(ADMIN)
        viewer = await access.caller(VIEWER)

    assert (first, nothing) == ({"hubspot": None}, [])
    assert refused is not None
    assert changed == ["CONNECTOR_ADMIN_TOKEN", "CONNECTOR_NOTIFY_URLS", "hubspot"]
    assert [each.name for each in side.outbox.targets] == ["sales/json"]
    assert soon == [HUBSPOT]
    assert again is None
    assert (admin.role, viewer.role) == (Role.ADMIN, Role.VIEWER)
    assert NEXT_ADMIN not in redact(f"somebody wrote {NEXT_ADMIN} and {SERVICE_KEY}")


async def test_a_secret_that_is_gone_or_makes_no_sense_changes_nothing_and_shows(
    running: RunningSandboxes, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = Mounted(tmp_path / "secrets")
    (tmp_path / "secrets").mkdir()
    async with sidecar_on(mounted, running, sqlite_url, tmp_path / "secrets", monkeypatch.setenv) as (
        side, access, rotation,
    ):  # fmt: skip
        adapter = side.parts.adapters["hubspot"]
        seen = []
        for broken in ({"admin": ""}, {"admin": "short"}, {"admin": VIEWER}, {"hubspot": ""}):
            mounted.put(**{**SECRETS, **broken})
            seen.append((await rotation.look(), bool(side.health.trouble)))
        mounted.put(**{name: text for name, text in SECRETS.items() if name != "admin"})
        seen.append((await rotation.look(), bool(side.health.trouble)))
        still = await access.caller(ADMIN)
        whole = await access.has_admin()
        mounted.put(**SECRETS)
        seen.append((await rotation.look(), bool(side.health.trouble)))

    assert seen == [([], False), ([], True), ([], True), ([], False), ([], True), ([], False)]
    assert (still.role, whole) == (Role.ADMIN, True)
    assert side.parts.adapters["hubspot"] is adapter
