"""The wall-screen's parts in Chromium: numbers, languages, parameters, rotation, keys, sound, weight, the whole pipeline."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.async_api import Page, async_playwright, expect

from schemas.kpis import BY_ID, SERVICE_LEVELS
from sinks.board import Board
from tests.e2e.conftest import ARGUMENTS, Look, chromium, shoot
from tests.e2e.screens import FOLDER, PICTURES
from tests.e2e.stage import GROUPS, NOBODY, TWELVE, Line, settings, staged

pytestmark = pytest.mark.asyncio(loop_scope="session")
SCRIPTS = "".join(file.read_text() for file in (files("sinks") / "wallboard").iterdir() if file.name.endswith(".js"))
MOST_WEIGHT = 55_000
"""Bytes over the wire for the whole page with one language, zipped, headers included; a bound, the figure is printed."""


@asynccontextmanager
async def bare(look: Look) -> AsyncIterator[Page]:
    """Open the page of a board that has nothing to show, for its modules."""
    board = Board(settings(), NOBODY)
    await board.start()
    try:
        async with look(board.url) as page:
            yield page
    finally:
        await board.stop()


async def module(page: Page, name: str, expression: str, *arguments: Any) -> Any:
    """Evaluate an expression with a module of the page as `m` and the arguments as `a`."""
    script = f"async (a) => {{ const m = await import('/static/{name}'); return {expression}; }}"
    return await page.evaluate(script, list(arguments))


async def test_numbers_for_people(look: Look) -> None:
    """Durations, counts, shares and means as the screen writes them, by hand."""
    s, m, h = 1000, 60_000, 3_600_000
    durations = {0: "0:00", 999: "0:00", s: "0:01", 107 * s: "1:47", 599_999: "9:59", 10 * m: "10m", 59 * m + 59_999: "59m",
                 h: "1h00", h + 5 * m: "1h05", 27 * h: "27h00", -5: "0:00"}  # fmt: skip
    counts = {0: "0", 999: "999", 1000: "1.0k", 1299: "1.2k", 99_999: "99.9k", 123_456: "123k"}
    shares = [
        ((0, 0), [], "–"), ((0, 5), [], "0%"), ((5, 5), [], "100%"), ((58, 100), [0.8, 0.7], "58%"),
        ((7996, 10_000), [0.8], "79.9%"), ((796, 1000), [0.8], "79.6%"), ((8004, 10_000), [0.8], "80.1%"), ((8, 10), [0.8], "80%"),
        ((80_000_001, 100_000_000), [0.8], "80.1%"), ((79_999_999, 100_000_000), [0.8], "79.9%"), ((504, 10_000), [0.05], "5.1%"),
        ((496, 10_000), [0.05], "4.9%"), ((5, 100), [0.05], "5.0%"), ((9996, 10_000), [], "99.9%"), ((4, 10_000), [], "0.1%"),
        ((61, 1000), [0.05, 0.1], "6.1%"), ((105, 1000), [0.05, 0.1], "11%"), ((1004, 10_000), [0.1], "10.1%"),
        ((999, 10_000), [0.1], "9.9%"), ((94, 100), [None], "94%"), ((612, 826), [0.741, 0.74], "74.09%"),
    ]  # fmt: skip
    means = [((0, 0), [], "–"), ((38_400, 1), [20], "0:38"), ((20_400, 1), [20], "0:21"), ((19_600, 1), [20], "0:19"),
             ((20_000, 1), [20], "0:20"), ((3_000_000, 4), [], "12m")]  # fmt: skip
    async with bare(look) as page:
        said = await module(page, "format.js", "a[0].map(m.duration)", list(durations))
        assert said == list(durations.values())
        assert await module(page, "format.js", "a[0].map(m.count)", list(counts)) == list(counts.values())
        found = await module(page, "format.js", "a[0].map(([n, l]) => m.percent(n, l))", [(n, limits) for n, limits, _ in shares])
        assert found == [text for *_, text in shares]
        found = await module(page, "format.js", "a[0].map(([n, l]) => m.mean(n, l))", [(n, limits) for n, limits, _ in means])
        assert found == [text for *_, text in means]


async def test_no_rounded_share_crosses_a_limit(look: Look) -> None:
    """20,000 shares around limits: what is shown is on the same side as what is true, and no further off than a point."""
    async with bare(look) as page:
        wrong = await module(
            page,
            "format.js",
            """(() => { const wrong = [];
              for (let i = 0; i < 20000; i += 1) {
                const limits = [Math.round(Math.random() * 1000) / 1000, Math.round(Math.random() * 100) / 100];
                const bottom = 1 + Math.floor(Math.random() * 3000);
                const near = i % 2 ? limits[0] + (Math.random() - 0.5) / 100 : Math.random();
                const top = Math.min(bottom, Math.max(0, Math.round(near * bottom)));
                const share = top / bottom;
                const shown = m.percent([top, bottom], limits);
                const value = Number(shown.slice(0, -1)) / 100;
                const side = (v, limit) => Math.abs(v - limit) < 1e-9 ? 0 : Math.sign(v - limit);
                const crossed = limits.some((limit) => side(share, limit) !== 0 && side(share, limit) !== side(value, limit));
                if (crossed || Math.abs(value - share) > 0.0101) wrong.push([top, bottom, limits, shown]);
              }
              return wrong.slice(0, 5); })()""",
        )
        assert wrong == []


async def test_every_language_has_every_text(look: Look) -> None:
    """The same keys, the same places for values, all that the scripts ask for, every indicator that a tile may blame."""
    async with bare(look) as page:
        known = await module(page, "lang.js", "m.LANGUAGES")
        texts = {name: await module(page, f"lang/{name}.js", "m.default") for name in known}
        assert set(known) == {file.name.removesuffix(".js") for file in (files("sinks") / "wallboard" / "lang").iterdir()}
        chosen = [["fr-FR", "zh"], ["zh-TW"], ["en-US"], ["fr"], []]
        assert await module(page, "lang.js", "a[0].map((b) => m.choose(null, b))", chosen) == ["zh-CN", "zh-CN", "en", "en", "en"]
    english = texts["en"]
    for name, found in texts.items():
        assert list(found) == list(english), name
        places = {key: set(re.findall(r"\{(\w+)\}", text)) for key, text in found.items()}
        assert places == {key: set(re.findall(r"\{(\w+)\}", text)) for key, text in english.items()}, name
        assert all(found.values()), name
    asked = set(re.findall(r'\bt\("([\w.]+)"', SCRIPTS)) | {f"kpi.{kpi}" for kpi in re.findall(r'say\.kpi\("(\w+)"\)', SCRIPTS)}
    assert len(asked) > 40
    assert asked <= set(english)
    assert {f"formula.{formula}" for formula in SERVICE_LEVELS} <= set(english)
    blamed = {kpi.id for kpi in BY_ID.values() if kpi.better and kpi.unit != "count" and kpi.section in ("now", "queue", "session")}
    assert {f"kpi.{kpi}" for kpi in blamed} - set(english) <= {
        "kpi.ring_time", "kpi.first_reply", "kpi.talk_time", "kpi.hold_time", "kpi.contacts_per_resolution",
    }  # fmt: skip


async def test_parameters_of_the_address(look: Look) -> None:
    """Each with a good value; a bad one is named in the footer, and the default used."""
    good = (
        "page=agents&queue=a&queue=b&channel=voice&group=north&window=5m&sort=risk&rotate=queues:20,agents:10&lang=zh-CN&theme=light"
        "&zoom=1.25&zone=Asia/Shanghai&names=id&sound=breach&motion=off&clock=12&view=table&title=Wall&kiosk"
    )
    bad = {
        "page": "map", "sort": "worst", "rotate": "queues:1", "lang": "xx", "theme": "pink", "zoom": "9", "zone": "Mars/Olympus",
        "names": "all", "sound": "loud", "motion": "on", "clock": "25", "view": "list", "teh": "1",
    }  # fmt: skip
    async with bare(look) as page:
        read = "m.read(a[0], ['en', 'zh-CN'])"
        found = await module(page, "options.js", read, "?" + good)
        assert found == {
            "page": "agents", "queue": ["a", "b"], "channel": ["voice"], "group": ["north"], "window": "5m", "sort": "risk",
            "rotate": [["queues", 20], ["agents", 10]], "lang": "zh-CN", "theme": "light", "zoom": 1.25, "zone": "Asia/Shanghai",
            "names": "id", "sound": "breach", "motion": "off", "clock": "12", "view": "table", "title": "Wall", "kiosk": True,
            "bad": [],
        }  # fmt: skip
        default = await module(page, "options.js", read, "")
        spoilt = await module(page, "options.js", read, "?" + "&".join(f"{name}={value}" for name, value in bad.items()))
        assert spoilt.pop("bad") == [list(pair) for pair in bad.items()]
        assert default.pop("bad") == []
        assert spoilt == default
    query = "?window=7m&zoom=9&clock=12&title=Floor+2&kiosk"
    async with staged(*TWELVE[:2]) as stage, look(stage.board.url + query) as page:
        await expect(page.locator("#note")).to_have_text("not understood: zoom=9, window=7m")
        await expect(page.locator("#clock")).to_have_text(re.compile(r"02:0[78]:\d\d PM"))
        await expect(page.locator("h1")).to_have_text("Floor 2")
        assert not await page.get_by_role("button", name="full screen").is_visible()
        await shoot(page, "parameters")


async def test_the_window_and_zone_that_were_asked_for_are_shown(look: Look) -> None:
    """Numbers of that window by the server, the clock of that zone."""
    async with staged(*TWELVE[:2]) as stage:
        stage.worker.count("Billing", stage.clock_ms() - 20_000, "voice", answered=9, answered_within=9)
        await stage.flush()
        await stage.shown()
        async with look(f"{stage.board.url}?window=5m&zone=Asia/Jerusalem") as page:
            await expect(page.locator("#about")).to_have_text(re.compile("^trailing 5 min · Asia/Jerusalem"))
            await expect(page.locator(".tile", has_text="Billing").locator(".seconds b").first).to_have_text("100%")
            await expect(page.locator("#clock")).to_have_text(re.compile(r"08:0[78]:\d\d"))


async def test_sorting_and_filters(look: Look) -> None:
    """As configured, by name, by risk; only the queues or channels that are asked for, their sums in the header."""
    async with staged(*TWELVE) as stage:
        orders = {
            "": [line.name for line in TWELVE],
            "?sort=name": sorted(line.name for line in TWELVE),
            "?sort=risk": ["Orders", "Sales chat", *(line.name for line in TWELVE if line.name not in ("Orders", "Sales chat"))],
            "?channel=chat": ["Tech chat", "Sales chat"],
            "?queue=Returns&queue=Billing": ["Billing", "Returns"],
        }
        for query, names in orders.items():
            async with look(stage.board.url + query) as page:
                await expect(page.locator(".tile .name")).to_have_text(names)
                if query == "?channel=chat":
                    await expect(page.locator("#totals b").first).to_have_text("12")
        async with look(f"{stage.board.url}?queue=Returns") as page:
            await expect(page.locator(".hero")).to_have_count(1)  # one queue: its page at once


async def test_rotation_goes_to_a_new_breach(look: Look) -> None:
    """From the agents' page to the queue's own, for a while; Space pauses; arrows turn by hand."""
    good = replace(TWELVE[1], oldest_s=12, waiting=3, within=90, answered=99, abandoned=2)
    async with staged(*TWELVE[:1], good, *TWELVE[2:]) as stage:
        await stage.staff(GROUPS)
        async with look(f"{stage.board.url}?rotate=agents:600,queues:60") as page:
            body = page.locator("body")
            await expect(body).to_have_attribute("data-page", "agents")
            await stage.tell(replace(TWELVE[1], within=0, answered=0, abandoned=0), window=False)
            await expect(body).to_have_attribute("data-page", "queue")
            await expect(page.locator("h1")).to_have_text("Orders")
            await page.keyboard.press("ArrowRight")
            await expect(body).to_have_attribute("data-page", "queues")
            await page.clock.fast_forward(60_000)
            await expect(body).to_have_attribute("data-page", "agents")
            await page.keyboard.press("ArrowRight")
            await page.keyboard.press(" ")
            await expect(page.get_by_role("button", name="go on")).to_have_attribute("aria-pressed", "true")
            await page.clock.fast_forward(70_000)
            await asyncio.sleep(0.3)
            await expect(body).to_have_attribute("data-page", "queues")


async def test_who_wants_no_motion_gets_none(look: Look) -> None:
    """No rotation, no pages of breaches that turn, no transitions."""
    query = "?rotate=queues:3,agents:3"
    async with staged(*TWELVE) as stage, look(stage.board.url + query, reduced_motion="reduce") as page:
        await expect(page.locator(".tile")).to_have_count(12)
        assert await page.locator(".tile").first.evaluate("e => getComputedStyle(e).transitionDuration") == "0s"
        await page.clock.fast_forward(3500)
        await asyncio.sleep(0.3)
        await expect(page.locator("body")).to_have_attribute("data-page", "queues")
        assert not await page.get_by_role("button", name="pause").is_visible()


async def test_rotation_and_takeover_by_the_clock(look: Look) -> None:
    """Steps last as long as they should; several breaches at once show all queues; a takeover ends after 30 s."""
    async with bare(look) as page:
        told = await module(
            page,
            "rotation.js",
            """(() => { let now = 0; const real = performance.now; performance.now = () => now;
              try {
                const r = new m.Rotation([["agents", 10], ["queues", 20]], "agents", () => false);
                const seen = [];
                const at = (t) => { now = t; r.tick(); seen.push([t / 1000, r.page, r.key]); };
                at(9000); at(10001); at(29000); at(30002);
                r.breach(["a"]); at(31000); r.breach(["b"]); at(32000); at(62000);
                r.breach(["a", "b"]); at(63000); r.step(1); at(64000);
                r.paused = true; r.breach(["c"]); at(200000);
                return seen;
              } finally { performance.now = real; } })()""",
        )
    assert told == [
        [9, "agents", None], [10.001, "queues", None], [29, "queues", None], [30.002, "agents", None],
        [31, "queue", "a"], [32, "queues", None], [62, "agents", None], [63, "queues", None], [64, "queues", None],
        [200, "queues", None],
    ]  # fmt: skip


async def test_sound_is_rare_and_on_request(look: Look) -> None:
    """At most one per queue in 30 s and one in 10 s overall; a browser that wants a gesture first is told to be tapped."""
    async with bare(look) as page:
        played = await module(
            page,
            "sound.js",
            """(() => { let now = 0; const real = performance.now; performance.now = () => now;
              try {
                const off = new m.Sound(false); off.breach("a");
                const s = new m.Sound(true); Object.defineProperty(s, "blocked", { value: false });
                const seen = [];
                const at = (t, key) => { now = t; s.breach(key); seen.push(s.played); };
                at(0, "a"); at(5000, "b"); at(9999, "a"); at(10000, "b"); at(20000, "a"); at(30000, "a");
                s.muted = true; at(99000, "a");
                return [off.played, seen];
              } finally { performance.now = real; } })()""",
        )
        assert played == [0, [1, 1, 1, 2, 2, 3, 3]]
    async with staged(*TWELVE[:2]) as stage, look(f"{stage.board.url}?sound=breach") as page:
        await page.get_by_role("button", name="tap to allow sound").click()
        await expect(page.get_by_role("button", name="sound on")).to_be_visible()
        await page.keyboard.press("m")
        await expect(page.get_by_role("button", name="muted")).to_be_visible()


async def test_a_kiosk_may_sound_without_a_gesture() -> None:
    """With Chromium's switch nobody has to tap."""
    async with async_playwright() as playwright:
        arguments = [*ARGUMENTS, "--autoplay-policy=no-user-gesture-required"]
        started = await playwright.chromium.launch(executable_path=chromium(), args=arguments)
        async with staged(*TWELVE[:2]) as stage:
            page = await started.new_page()
            await page.goto(f"{stage.board.url}?sound=breach&kiosk")
            await expect(page.locator(".tile")).to_have_count(2)
            assert not await page.get_by_role("button", name="tap to allow sound").is_visible()
        await started.close()


async def test_the_page_is_small_and_fast(look: Look, record_property: Any) -> None:
    """All of it from the board, zipped; the first number soon after the address is opened."""
    async with staged(*TWELVE) as stage, look("data:text/html,", quiet=False, real_clock=True) as page:
        devtools = await page.context.new_cdp_session(page)
        await devtools.send("Network.enable")
        weights: dict[str, int] = {}
        devtools.on("Network.loadingFinished", lambda event: weights.update({event["requestId"]: int(event["encodedDataLength"])}))
        began = time.monotonic()
        await page.goto(stage.board.url)
        await expect(page.locator(".tile .waiting").first).to_have_text("2")
        first_s = time.monotonic() - began
        inside_ms = await page.evaluate(
            "performance.getEntriesByType('resource').filter((e) => e.name.includes('/static/')).map((e) => e.responseEnd)"
        )
        raw = await page.evaluate("performance.getEntriesByType('resource').reduce((sum, e) => sum + e.decodedBodySize, 0)")
    weight = sum(weights.values())
    record_property("page weight, bytes over the wire", weight)
    record_property("page weight, bytes as they are", raw)
    record_property("first number, s", round(first_s, 3))
    sys.stdout.write(f"weight {weight} raw {raw} files {len(inside_ms)} last {max(inside_ms):.0f} ms first {first_s:.3f} s\n")
    assert 10_000 < weight < MOST_WEIGHT
    assert first_s < 20  # about 0.4 s on an idle machine


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


async def test_the_whole_pipeline_shows(look: Look, tmp_path: Path) -> None:
    """Simulated centre, broker, worker and board in a process of their own: its queues stand on the screen and move."""
    port, other = _free_ports(2)
    environment = {**os.environ, "FLOORPULSE_WORKER__LISTEN": f"127.0.0.1:{other}"}
    command = [sys.executable, "-m", "streams.cli", "demo", "--duration", "60s", "--listen", f"127.0.0.1:{port}"]
    pipe = asyncio.subprocess.PIPE
    out = asyncio.subprocess.STDOUT
    demo = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, env=environment, stdout=pipe, stderr=out)
    assert demo.stdout is not None
    said = asyncio.create_task(demo.stdout.read())
    try:
        await _listening(port, said)
        async with look(f"http://127.0.0.1:{port}/") as page:
            orders = page.locator(".tile", has_text="Orders")
            await expect(orders.locator(".seconds b").first).to_have_text(re.compile(r"^\d+(\.\d)?%$"), timeout=40_000)
            await expect(page.locator(".tile")).to_have_count(6)
            before = await page.locator("main").inner_text()
            await expect(page.locator("#fresh")).to_have_text("live")
            await expect(page.locator("main")).not_to_have_text(before, use_inner_text=True, timeout=20_000)
            await shoot(page, "demo")
    finally:
        if demo.returncode is None:
            demo.terminate()
        await said
        await demo.wait()


async def _listening(port: int, said: asyncio.Task[bytes]) -> None:
    async with asyncio.timeout(40):
        while True:
            assert not said.done(), said.result().decode()
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.1)


async def test_queues_of_one_name_are_told_apart(look: Look) -> None:
    """By their channels, and only then."""
    lines = (Line("Orders", 5, 1), Line("Orders", 5, 2, channel="chat"), Line("Billing", 5, 3))
    async with staged(*lines, config=settings(())) as stage, look(stage.board.url) as page:
        await expect(page.locator(".tile .name")).to_have_text(["Billing", "Orders · chat", "Orders · voice"])


async def test_the_pictures_of_the_docs_are_those_that_are_made() -> None:
    """Each has its page, is small, and stands in the documentation or is a spare one."""
    assert {file.stem for file in FOLDER.iterdir()} == set(PICTURES)
    for name, (_, _, size, _) in PICTURES.items():
        body = (FOLDER / f"{name}.png").read_bytes()
        scale = 1 if size[0] > size[1] else 2
        assert Image.open(io.BytesIO(body)).size == (scale * size[0], scale * size[1])
        assert len(body) < 150_000
    shown = set(re.findall(r"screens/([\w-]+)\.png", (FOLDER.parent / "wall-screen.md").read_text()))
    assert shown <= set(PICTURES)
    assert {"all-queues", "one-queue", "agents", "chinese", "stale"} <= shown
