"""Make the documentation's pictures of the wall-screen: real renderings of a real board, `python -m tests.e2e.screens [FOLDER]`.

They show the same instant with the same numbers each time; fonts are those of this machine (Inter, where it is installed, and
a font with Chinese). Pictures are reduced to a palette.
"""

from __future__ import annotations

import asyncio
import io
import math
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from tests.e2e.conftest import ARGUMENTS
from tests.e2e.stage import AT, CHINESE, GROUPS, TWELVE, Line, Stage, many, staged

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "screens"
COLOURS: Final = 128
WAITS: Final = [18 + round(9 * math.sin(step / 11) + 5 * math.sin(step / 3.7)) + max(0, 10 * (step - 351)) for step in range(359)]
"""The hour before the breach, per 10 s."""
_LARGE: Final = (1920, 1080)
_PHONE: Final = (390, 844)


async def _stale(stage: Stage) -> None:
    stage.pulse = False
    stage.later(103)


async def _nothing(stage: Stage) -> None:
    del stage


async def _prepared(stage: Stage, lines: tuple[Line, ...]) -> None:
    await stage.staff(GROUPS)
    await stage.quality(lines[1].name)
    await stage.remember(lines[1].name, "voice", WAITS)
    await stage.shown()


PICTURES: Final[dict[str, tuple[tuple[Line, ...], str, tuple[int, int], Callable[[Stage], Awaitable[None]]]]] = {
    "all-queues": (TWELVE, "?kiosk", _LARGE, _nothing),
    "one-queue": (TWELVE, "?kiosk&page=queue&queue=Orders", _LARGE, _nothing),
    "agents": (TWELVE, "?kiosk&page=agents", _LARGE, _nothing),
    "quality": (TWELVE, "?kiosk&page=quality", _LARGE, _nothing),
    "chinese": (CHINESE, "?kiosk&lang=zh-CN", _LARGE, _nothing),
    "light": (CHINESE, "?kiosk&lang=zh-CN&theme=light&page=queue&queue=订单查询", _LARGE, _nothing),
    "stale": (TWELVE, "?kiosk", _LARGE, _stale),
    "three-hundred": (many(300), "?kiosk", _LARGE, _nothing),
    "phone": (TWELVE, "?sort=risk", _PHONE, _nothing),
}


async def picture(browser: Browser, name: str) -> bytes:
    """Return one picture as it is rendered."""
    lines, query, (width, height), prepare = PICTURES[name]
    began = AT - 105_000 if prepare is _stale else AT
    async with staged(*lines, at=began) as stage:
        await _prepared(stage, lines)
        await prepare(stage)
        size = ViewportSize(width=width, height=height)
        context = await browser.new_context(viewport=size, device_scale_factor=1 if width > height else 2)
        page = await context.new_page()
        await page.goto(stage.board.url + query)
        await _settled(page, stale=prepare is _stale)
        if prepare is not _stale:
            await stage.tell(*lines, window=False)  # so that the waits are the same however long it took
            await asyncio.sleep(1.5)
        taken = await page.screenshot(animations="disabled")
        await context.close()
    return taken


async def _settled(page: Page, *, stale: bool) -> None:
    await page.wait_for_selector(f"body[data-page][data-fresh='{'old' if stale else 'live'}']")
    await asyncio.sleep(1.5)  # what the page asks for besides: trend, comparisons


def reduced(taken: bytes) -> bytes:
    """Return a picture with few colours: a tenth of the bytes."""
    whole = Image.open(io.BytesIO(taken)).convert("RGB")
    small = whole.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    file = io.BytesIO()
    small.save(file, "PNG", optimize=True)
    return file.getvalue()


async def pictures() -> AsyncIterator[tuple[str, bytes]]:
    """Make all pictures."""
    path = shutil.which("chromium") or "chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        for name in PICTURES:
            yield name, reduced(await picture(browser, name))
        await browser.close()


async def main() -> dict[str, bytes]:
    """Return all pictures by name."""
    return {name: body async for name, body in pictures()}


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for each, found in asyncio.run(main()).items():
        (folder / f"{each}.png").write_bytes(found)
        sys.stdout.write(f"{each}.png {len(found)} bytes\n")

__all__ = ["PICTURES", "picture", "reduced"]
