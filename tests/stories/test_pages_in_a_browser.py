"""The pages in a real browser: what they show, and that their own rules for browsers let them show it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from connector.app.api import build_app
from tests.stories.port_words import listening
from tests.stories.sidecar_words import sidecar
from tests.stories.world import world

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
)  # fmt: skip
PATIENCE = 60  # seconds

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


async def seen(url: str, profile: Path) -> tuple[str, str]:
    """The document as it stands once its scripts have run, and what the browser complained of."""
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *QUIET, f"--user-data-dir={profile}", "--virtual-time-budget=20000", "--dump-dom", url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE):
        page, told = await process.communicate()
    lines = [line for line in told.decode(errors="replace").splitlines() if "CONSOLE" in line]
    return page.decode(), "\n".join(lines)


async def test_a_browser_shows_the_state_a_person_and_the_api_under_their_own_rules(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with world(sqlite_url, people=12) as made:
        await made.sync()
        async with listening(build_app(await sidecar(made))) as port:
            base = f"http://127.0.0.1:{port}"
            paths = ("/", "/people/1", "/docs")
            pages = {path: await seen(base + path, tmp_path / "profile") for path in paths}

    assert {path: told for path, (_, told) in pages.items()} == dict.fromkeys(paths, "")
    (home, _), (person, _), (docs, _) = pages.values()
    assert "Last runs" in home
    assert "<h2>History</h2>" in person
    assert 'id="operations-people-' in docs, "its script has run, and has read the document"
