"""A real Chromium for all tests of the screen; each test has a context of its own, with nothing from before."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

REQUIRE: Final = "FLOORPULSE_REQUIRE_BROWSER"
SCREENS: Final = "FLOORPULSE_SCREENS"
"""A folder for screenshots of what the tests see; default: none are taken."""
ARGUMENTS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
_WATCH: Final = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""
expect.set_options(timeout=20_000)  # a loaded machine is no failure
Look = Callable[..., AbstractAsyncContextManager[Page]]


def chromium() -> str:
    """Return where Chromium is; without one the test is skipped, or fails where it is required."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        reason = f"the screen's tests need chromium; {REQUIRE}=1 makes this a failure"
        (pytest.fail if os.environ.get(REQUIRE, "") not in ("", "0") else pytest.skip)(reason)
        raise AssertionError
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser process, its profile in a temporary folder."""
    path = chromium()
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield started
        await started.close()


@pytest.fixture
def look(browser: Browser) -> Look:
    """Open a page in a fresh context; what it must not have at its end: errors, policy violations, foreign requests."""

    @asynccontextmanager
    async def opened(
        url: str,
        *,
        size: tuple[int, int] = (1920, 1080),
        quiet: bool = True,
        real_clock: bool = False,
        script: str = "",
        **context: Any,
    ) -> AsyncIterator[Page]:
        complaints: list[str] = []

        def heard(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                complaints.append(f"console: {message.text}")

        fresh = await browser.new_context(viewport={"width": size[0], "height": size[1]}, locale="en-GB", **context)
        page = await fresh.new_page()
        await page.add_init_script(_WATCH + script)
        if not real_clock:
            await page.clock.install()  # it runs as always, until a test lets it jump
        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        origin = url.split("/?", maxsplit=1)[0].rstrip("/")
        page.on("request", lambda request: None if request.url.startswith(origin) else complaints.append(f"to {request.url}"))
        try:
            await page.goto(url)
            yield page
            if quiet:
                assert await page.evaluate("violations") == []
                assert complaints == []
        finally:
            await fresh.close()

    return opened


async def shoot(page: Page, name: str) -> bytes:
    """Take a screenshot; it is kept where `FLOORPULSE_SCREENS` names a folder."""
    folder = os.environ.get(SCREENS)
    return await page.screenshot(animations="disabled", path=f"{folder}/{name}.png" if folder else None)
