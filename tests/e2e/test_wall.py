"""The wall-screen in Chromium: what a floor manager sees."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page, expect

from sinks.board import Board
from sinks.snapshot import Snapshot
from sinks.standing import BREACH, WARN, Standing, Subject
from tests.e2e.conftest import Look, shoot
from tests.e2e.stage import AT, CHINESE, GROUPS, MINUTE, NOBODY, TWELVE, Line, many, settings, staged
from tests.unit.test_hostile_names import NAMES

pytestmark = pytest.mark.asyncio(loop_scope="session")
CALM = (Line("Billing", 6, 2), Line("Orders", 20, 3, 90, 99, 2), Line("Sales chat", None, 0, channel="chat"))


async def until(what: Callable[[], Awaitable[bool]], within_s: float = 15) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within_s):
        while not await what():  # noqa: ASYNC110  what is waited for lies in the browser
            await asyncio.sleep(0.05)


def tile(page: Page, name: str) -> Any:
    """Return the tile of a queue."""
    return page.locator(".tile", has=page.locator(f'h2 .name:text-is("{name}")'))


async def overflowing(page: Page) -> list[str]:
    """Return texts that stick out of the screen or of the tile or card that they stand in, and those that are cut."""
    found: list[str] = await page.evaluate(
        """() => [...document.querySelectorAll("header *, main *, footer *")].filter((e) => {
          if (e.children.length || !e.textContent.trim() || !e.offsetParent || e.closest("svg")) return false;
          const range = document.createRange();
          range.selectNodeContents(e);
          const inner = range.getBoundingClientRect();
          const box = (e.closest(".tile, .card, header, footer") ?? document.body).getBoundingClientRect();
          const out = inner.left < box.left - 1 || inner.right > box.right + 1;
          const high = inner.top < -1 || inner.bottom > Math.max(innerHeight, document.body.scrollHeight) + 1;
          return out || high;
        }).map((e) => `${e.className}: ${e.textContent}`)"""
    )
    return found


async def test_steady(look: Look) -> None:
    """Good is quiet: numbers, no word of state, no colour; header and footer say what of and since when."""
    async with staged(*CALM) as stage, look(stage.board.url) as page:
        await expect(page.locator(".tile")).to_have_count(3)
        orders = tile(page, "Orders")
        await expect(orders.locator(".waiting")).to_have_text("3")
        await expect(orders.locator(".seconds b")).to_have_text(["89%", "2.0%"])
        await expect(tile(page, "Sales chat").locator(".oldest")).to_have_text("–")
        assert await page.locator(".state:not(:empty)").count() == 0
        assert await page.locator(".offends").count() == 0
        await expect(page.locator("#about")).to_have_text(
            "trailing 30 min · Asia/Shanghai · service level: answered within 20 s, short abandons left out"
        )
        await expect(page.locator("#totals b")).to_have_text(["5", "92%", "0"])
        await expect(page.locator("#clock")).to_have_text(re.compile(r"14:0[78]:\d\d"))
        await expect(page.locator("#fresh")).to_have_text("live")
        assert await overflowing(page) == []
        await shoot(page, "steady")


async def test_breach_has_three_cues_and_is_told(look: Look) -> None:
    """Filled tile, mark and word, the offending numbers underlined; a screen reader hears the change once."""
    good = replace(TWELVE[1], oldest_s=12, waiting=3, within=90, answered=99, abandoned=2)
    lines = (*TWELVE[:1], good, *TWELVE[2:])
    async with staged(*lines) as stage, look(stage.board.url) as page:
        orders = tile(page, "Orders")
        await expect(orders).to_have_attribute("data-level", "0")
        calm = await orders.evaluate("e => getComputedStyle(e).backgroundColor")
        await stage.tell(replace(TWELVE[1], within=0, answered=0, abandoned=0), window=False)
        await expect(orders).to_have_attribute("data-level", "2")
        await expect(orders.locator(".state")).to_have_text("■ BREACH")
        await expect(orders.locator(".oldest")).to_have_class(re.compile("offends"))
        await expect(page.locator("#said")).to_have_text(re.compile(r"^Orders: longest wait [12]:\d\d, breach$"))
        await asyncio.sleep(0.5)  # the transition
        filled = await orders.evaluate("e => getComputedStyle(e).backgroundColor")
        assert (calm, filled) == ("rgb(20, 30, 48)", "rgb(216, 27, 96)")
        chat = tile(page, "Sales chat")
        await expect(chat).to_have_attribute("data-level", "1")
        await expect(chat.locator(".state")).to_have_text("▲ WARN")
        await stage.tell(good, window=False)
        await expect(orders).to_have_attribute("data-level", "0")
        await asyncio.sleep(1.3)
        await expect(page.locator("#said")).to_have_text(re.compile("breach"))  # at most every 5 s
        await page.clock.fast_forward(5000)
        await expect(page.locator("#said")).to_have_text("Orders: longest wait, good again")
        await shoot(page, "recovered")


async def test_all_waits_step_together_each_second(look: Look) -> None:
    """By the server's clock: whatever came between two seconds, and whenever each of them entered."""
    lines = tuple(replace(line, oldest_s=6 + 7.13 * number) for number, line in enumerate(TWELVE[:6]))
    async with staged(*lines, Line("Night desk")) as stage, look(stage.board.url) as page:
        await expect(page.locator(".tile")).to_have_count(7)

        async def change() -> None:
            for number in range(12):
                await stage.tell(Line("Night desk", None, number), window=False)
                await asyncio.sleep(0.25)

        changing = asyncio.create_task(change())
        steps = await page.evaluate(
            """() => new Promise((done) => {
              const seen = [];
              new MutationObserver((all) => {
                const waits = new Set(all.map((each) => each.target.closest(".oldest")).filter(Boolean));
                if (waits.size) seen.push(waits.size);
              }).observe(document.querySelector(".tiles"), { subtree: true, childList: true });
              setTimeout(() => done(seen), 3100);
            })"""
        )
        await changing
        assert 1 <= len(steps) <= 4
        assert set(steps) == {6}
        earliest = stage.clock_ms() - (AT - 6000)
        minutes, seconds = (await tile(page, "Billing").locator(".oldest").text_content()).split(":")
        latest = stage.clock_ms() - (AT - 6000)
        assert earliest / 1000 - 3 < 60 * int(minutes) + int(seconds) < latest / 1000 + 1


async def test_stale_data_is_told_instead_of_shown_as_true(look: Look) -> None:
    """Readings older than 15 s: banner with since when, dimmed digits, waits stop, the alarm is read out; it heals."""
    async with staged(*TWELVE) as stage, look(stage.board.url) as page:
        await expect(page.locator(".tile")).to_have_count(12)
        stage.pulse = False
        stage.later(13)
        await expect(page.locator("#banner")).to_have_text(re.compile(r"OLD DATA: nothing new since 14:07:\d\d \([1-5]\d s\)"))
        await expect(page.locator("#alarm")).to_have_text("old data")
        assert not await page.locator("#totals").is_visible()
        before = await page.locator(".oldest").all_text_contents()
        clock = await page.locator("#clock").text_content()
        await asyncio.sleep(1.3)
        assert await page.locator(".oldest").all_text_contents() == before
        assert await page.locator("#clock").text_content() != clock
        assert await page.locator(".oldest").first.evaluate("e => getComputedStyle(e).opacity") == "0.45"
        assert await overflowing(page) == []
        await shoot(page, "stale")
        stage.pulse = True
        await expect(page.locator("#banner")).to_be_hidden()
        await expect(page.locator("#fresh")).to_have_text("live")
        await until(lambda: _moved(page, before))


async def _moved(page: Page, before: list[str]) -> bool:
    return await page.locator(".oldest").all_text_contents() != before


async def test_a_lost_connection_heals_itself(look: Look) -> None:
    """The board is killed, and comes back on the same port: told after 10 s of silence, mended within some seconds."""
    async with staged(*CALM) as stage:
        port = stage.board.port
        async with look(stage.board.url, quiet=False) as page:
            await expect(page.locator(".tile")).to_have_count(3)
            await stage.board.stop()
            await page.clock.fast_forward(8500)
            await expect(page.locator("#banner")).to_be_hidden()
            await page.clock.fast_forward(1600)
            await expect(page.locator("#banner")).to_have_text(re.compile("CONNECTION LOST, retrying"))
            await expect(page.locator("#fresh")).to_have_text("no connection")
            await shoot(page, "lost")
            again = settings((Line("Returns"),), board={"listen": f"127.0.0.1:{port}"})
            async with staged(Line("Returns", 5, 1), config=again):
                await expect(page.locator("#banner")).to_be_hidden()
                await expect(page.locator("h1")).to_have_text("Returns")
                await expect(page.locator("#alarm")).to_have_text("connected again")
            assert await page.evaluate("violations") == []


async def test_a_refused_stream_is_asked_for_again(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """A board that has too many screens answers 503, which ends a browser's own attempts: the page goes on trying."""
    monkeypatch.setattr("sinks.stream.MAX_STREAMS", 0)
    async with staged(*CALM) as stage, look(stage.board.url, quiet=False) as page:
        await expect(page.locator(".message")).to_have_text("connecting")
        await asyncio.sleep(0.3)
        assert await page.locator(".tile").count() == 0
        monkeypatch.setattr("sinks.stream.MAX_STREAMS", 10)
        await page.clock.fast_forward(5000)
        await expect(page.locator(".tile")).to_have_count(3)


@pytest.mark.parametrize("lang", ["en", "zh-CN"])
async def test_everything_fits_in_a_wide_font(look: Look, lang: str) -> None:
    """Numbers and labels shrink until they fit: screens have other fonts than ours."""
    lines = tuple(replace(line, oldest_s=3990, waiting=1234) for line in TWELVE)
    wide = "addEventListener('DOMContentLoaded', () => { document.body.style.fontFamily = 'DejaVu Sans Mono, monospace'; })"
    async with staged(*lines) as stage:
        await stage.staff(GROUPS)
        for name in ("queues", "queue", "agents"):
            async with look(f"{stage.board.url}?lang={lang}&page={name}", script=wide) as page:
                await expect(page.locator("body")).to_have_attribute("data-page", name)
                await asyncio.sleep(0.2)
                assert await overflowing(page) == []
                await shoot(page, f"wide-{lang}-{name}")


async def test_sixty_queues(look: Look) -> None:
    """The eight worst as tiles, all as a mosaic, and how many stand how."""
    async with staged(*many(60)) as stage, look(stage.board.url) as page:
        await expect(page.locator(".tile")).to_have_count(8)
        await expect(page.locator(".cell")).to_have_count(60)
        await expect(page.locator(".counts")).to_have_text("All 60: ■ 2 breach · ▲ 4 warn · 54 fine")
        levels = await page.locator(".tile").evaluate_all("all => all.map((e) => e.dataset.level)")
        assert levels == ["2", "2", "1", "1", "1", "1", "0", "0"]
        assert await page.locator(".cell[data-level='2']").count() == 2
        assert await overflowing(page) == []
        await shoot(page, "sixty")


async def test_three_hundred_queues_and_more_breaches_than_tiles(look: Look) -> None:
    """Breaches take turns, said which; the arrow shows the next ones; the mosaic fits."""
    lines = tuple(replace(line, oldest_s=100) if number % 22 == 3 else line for number, line in enumerate(many(300)))
    async with staged(*lines) as stage, look(f"{stage.board.url}?motion=off") as page:
        await expect(page.locator(".cell")).to_have_count(300)
        await expect(page.locator(".part")).to_have_text("■ 1–8 of 20")
        first = await page.locator(".tile .name").all_text_contents()
        await shoot(page, "three-hundred")
        await page.keyboard.press("ArrowDown")
        await expect(page.locator(".part")).to_have_text("■ 9–16 of 20")
        second = await page.locator(".tile .name").all_text_contents()
        assert not set(first) & set(second)
        await page.keyboard.press("ArrowDown")
        await expect(page.locator(".tile")).to_have_count(4)
        box = await page.locator(".mosaic").bounding_box()
        foot = await page.locator("footer").bounding_box()
        assert box is not None
        assert foot is not None
        assert box["y"] + box["height"] <= foot["y"] + 1
        assert await overflowing(page) == []


@pytest.mark.parametrize("page_name", ["queues", "queue", "agents", "quality"])
async def test_chinese(look: Look, page_name: str) -> None:
    """All words, and they fit, also in the fonts at hand."""
    async with staged(*CHINESE) as stage:
        await stage.staff(GROUPS)
        await stage.quality(CHINESE[1].name)
        query = f"?lang=zh-CN&page={page_name}" + ("&queue=订单查询" if page_name == "queue" else "")
        async with look(stage.board.url + query) as page:
            await expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
            await expect(page.locator("#fresh")).to_have_text("实时")
            await asyncio.sleep(0.2)
            words = await page.locator("main").inner_text()
            assert not set(re.findall(r"[A-Za-z]{3,}", words)) - {"North", "South", "voice", "Chat", "one", "two", "mail", "Orders"}
            assert await overflowing(page) == []
            await shoot(page, f"chinese-{page_name}")


async def test_one_queue_page(look: Look) -> None:
    """Hero numbers, goal and parts, free slots, the hour's line with its limits; text channels show first responses."""
    async with staged(*TWELVE) as stage:
        await stage.remember("Orders", "voice", [20 + number // 5 for number in range(350)])
        async with look(f"{stage.board.url}?page=queue&queue=Orders") as page:
            await expect(page.locator("h1")).to_have_text("Orders")
            await expect(page.locator(".hero")).to_have_attribute("data-level", "2")
            await expect(page.locator(".hero .state")).to_have_text("■ BREACH > 1:30")
            await expect(page.locator(".huge")).to_have_text([re.compile(r"[12]:\d\d"), "17"])
            await expect(page.locator(".card .value")).to_have_text(["58%", "12%", "0 / 22", "0:38"], use_inner_text=True)
            await expect(page.locator(".note").first).to_have_text("goal 80% within 20 s · 61 of 105")
            await expect(page.locator(".trend .label")).to_have_text("longest wait, last 60 min, limit 1:30")
            await expect(page.locator(".line")).to_have_attribute("points", re.compile(r"^(\S+ ){344,360}\S+$"))
            assert await overflowing(page) == []
            await shoot(page, "one-queue")
        async with look(f"{stage.board.url}?page=queue&queue=Tech+chat") as page:
            await expect(page.locator(".queue > .card").nth(4)).to_contain_text("first response")
            await expect(page.locator(".card .value b").nth(3)).to_have_text("0:17")
        async with look(f"{stage.board.url}?page=queue&queue=Nobody") as page:
            await expect(page.locator(".message")).to_have_text("no such queue: Nobody")


async def test_the_number_that_offends_is_the_one_that_was_judged(look: Look) -> None:
    """Where thresholds look at another window than the screen, tile and page show that one, and say which."""

    def judge(snapshot: Snapshot) -> dict[Subject, Standing]:
        since = snapshot.now or 0
        return {
            Subject("service_level", "Orders", "voice"): Standing(BREACH, since // MINUTE, 0.6549, 0.8, 0.7, "15m", 40),
            Subject("first_response", "Tech chat", "chat"): Standing(WARN, since // MINUTE, 24.0, 20, 40, "15m", 40),
            Subject("first_response", "Complaints", "voice"): Standing(WARN, since // MINUTE, 24.0, 20, 40, "15m", 40),
        }

    async with staged(*TWELVE, judge=judge) as stage:
        async with look(stage.board.url) as page:
            seconds = tile(page, "Orders").locator(".seconds p")
            await expect(seconds.first).to_have_text("65% 15 min")
            await expect(seconds.first.locator("b")).to_have_class("offends")
            await expect(seconds.nth(1)).to_have_text("12% lost")
            await expect(tile(page, "Tech chat").locator(".state")).to_have_text("▲ first response")  # no number of the tile
            await expect(tile(page, "Complaints").locator(".reason")).to_be_visible()  # not only its mark, where a name is long
            assert await overflowing(page) == []
        async with look(f"{stage.board.url}?page=queue&queue=Orders&channel=voice") as page:
            card = page.locator(".queue > .card").nth(1)
            await expect(card.locator(".label").first).to_have_text("service level, 15 min ■")
            await expect(card.locator(".note")).to_have_text("goal 80% within 20 s · 30 min: 58%")


async def test_agents_page_and_privacy(look: Look) -> None:
    """Groups only; too few agents, no occupancy; ids never where the settings do not allow them, whatever the address says."""
    groups = {**dict(list(GROUPS.items())[:4]), "Pair": (1, 1, 0, 0, 0, 0, 0, 1, 97)}
    for allowed in (False, True):
        config = settings(TWELVE, agents={"series": allowed})
        async with staged(*TWELVE, config=config) as stage:
            await stage.staff(groups)
            stage.worker.now("agent", "agent-0007", status_available=1, sessions_in_hand=2)
            await stage.flush()
            async with look(f"{stage.board.url}?page=agents&names=id") as page:
                await expect(page.locator(".five b")).to_have_text(["18", "77", "8", "3", "14"])
                south = page.locator("tr", has_text="South voice")
                await expect(south.locator(".pill")).to_have_text("93% ■")
                pair = page.locator("tr", has_text="Pair")
                await expect(pair.locator("td").nth(1)).to_have_text("–fewer than 3 on duty")
                if allowed:
                    await expect(page.locator(".person")).to_have_text(["agent-0007 in session 2"])
                else:
                    await expect(page.locator("#note")).to_have_text("names=id: this board shows no agents")
                    assert "agent-0007" not in await page.content()
                assert await overflowing(page) == []
                await shoot(page, f"agents-{'ids' if allowed else 'groups'}")


async def test_quality_page(look: Look) -> None:
    """Four numbers, each with its goal and the seven days before; nothing is rounded over its goal."""
    async with staged(*TWELVE) as stage:
        await stage.quality()
        async with look(f"{stage.board.url}?page=quality") as page:
            await expect(page.locator(".value b")).to_have_text(["96%", "54%", "87%", "7"])
            await expect(page.locator(".note").nth(2)).to_have_text("goal 85% · 7 days before 86% · 1599 of 1830")
            assert await overflowing(page) == []
            await shoot(page, "quality")


async def test_table_view_is_a_real_table(look: Look) -> None:
    """Headed columns and rows, states in words, ticking; for groups and quality, too."""
    async with staged(*TWELVE) as stage:
        await stage.staff(GROUPS)
        await stage.quality()
        async with look(f"{stage.board.url}?view=table") as page:
            await expect(page.get_by_role("table")).to_have_accessible_name("All queues now")
            row = page.get_by_role("row", name="Orders")
            await expect(row.get_by_role("cell")).to_have_text(
                ["voice", "■ BREACH", re.compile(r"[12]:\d\d"), "17", "58%", "12%", re.compile(r"2:\d\d")]
            )
            await expect(page.get_by_role("columnheader", name="longest wait")).to_have_count(1)
            await shoot(page, "table")
            await page.keyboard.press("ArrowLeft")
            await expect(page.get_by_role("rowheader", name="satisfaction")).to_have_count(1)
            await page.keyboard.press("ArrowLeft")
            await expect(page.get_by_role("row", name="Chat two").get_by_role("cell").nth(6)).to_have_text("87%")


@pytest.mark.parametrize("query", ["", "?page=queue&queue=Orders", "?page=agents", "?page=quality", "?view=table"])
async def test_phone(look: Look, query: str) -> None:
    """One column that scrolls downwards only."""
    async with staged(*TWELVE) as stage:
        await stage.staff(GROUPS)
        await stage.quality()
        async with look(stage.board.url + query, size=(390, 844), device_scale_factor=2, is_mobile=True) as page:
            await expect(page.locator("#fresh")).to_have_text("live")
            await asyncio.sleep(0.2)
            assert await page.evaluate("document.documentElement.scrollWidth") <= 390
            if "view" not in query:
                assert await overflowing(page) == []
            await shoot(page, f"phone-{re.sub(r'[^a-z]+', '-', query) or 'queues'}")


async def test_4k_is_1080p_with_more_pixels(look: Look) -> None:
    """Every box is where it is on 1080p, times two."""
    boxes = []
    async with staged(*TWELVE) as stage:
        for size in ((1920, 1080), (3840, 2160)):
            async with look(f"{stage.board.url}?motion=off", size=size) as page:
                await expect(page.locator(".tile")).to_have_count(12)
                found = await page.locator(".tile, .heroes, .seconds, h2, header, footer").evaluate_all(
                    "all => all.map((e) => { const r = e.getBoundingClientRect(); return [r.x, r.y, r.width, r.height]; })"
                )
                boxes.append(found)
                await shoot(page, f"size-{size[0]}")
    assert len(boxes[0]) == len(boxes[1]) > 40
    worst = max(abs(2 * a - b) for small, large in zip(*boxes, strict=True) for a, b in zip(small, large, strict=True))
    assert worst <= 4


async def test_hero_digits_can_be_read_from_eight_metres(look: Look) -> None:
    """One pixel per arcminute of a 55 inch screen at 8 m: heroes are 16 arcminutes high or more, second numbers 8."""
    width_mm, distance_mm = 1218, 8000
    arcmin_per_mm = 3437.75 / distance_mm
    async with staged(*TWELVE) as stage, look(stage.board.url) as page:
        await expect(page.locator(".tile")).to_have_count(12)
        picture = Image.open(io.BytesIO(await shoot(page, "eight-metres")))
        heights = await page.evaluate(
            """() => Object.fromEntries(["oldest", "waiting", "seconds b"].map((name) => {
              const context = document.createElement("canvas").getContext("2d");
              const element = document.querySelector(`.tile .${name}`);
              const style = getComputedStyle(element);
              context.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
              const size = context.measureText("0123456789");
              return [name, size.actualBoundingBoxAscent + size.actualBoundingBoxDescent];
            }))"""
        )
        arcmin = {name: px * width_mm / 1920 * arcmin_per_mm for name, px in heights.items()}
        assert arcmin["oldest"] >= 16
        assert arcmin["waiting"] >= 16
        assert arcmin["seconds b"] >= 8
        small = picture.resize((round(width_mm * arcmin_per_mm), round(width_mm * arcmin_per_mm * 9 / 16)), Image.Resampling.BOX)
        assert small.size == (523, 294)


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_contrast(look: Look, theme: str) -> None:
    """Every text, however large, has 4.5:1 against what lies behind it, in both themes and all states."""
    async with staged(*TWELVE) as stage:
        await stage.staff(GROUPS)
        for name in ("queues", "queue", "agents"):
            async with look(f"{stage.board.url}?theme={theme}&motion=off&page={name}") as page:
                await expect(page.locator("#fresh")).to_have_text("live")
                await asyncio.sleep(0.2)
                poor = await page.evaluate(_CONTRAST)
                assert poor == []
                await shoot(page, f"{theme}-{name}")


_CONTRAST = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const part = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const behind = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const found = rgb(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")].filter((e) => !e.closest("noscript, .unseen, svg") && e.offsetParent
    && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())).map((e) => {
    const style = getComputedStyle(e);
    const [a, b] = [light(rgb(style.color)), light(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return [`${e.className} ${e.textContent} ${ratio.toFixed(2)}`, ratio];
  }).filter(([, ratio]) => ratio < 4.5).map(([told]) => told);
}"""


async def test_hostile_names_are_text(look: Look) -> None:
    """Markup, long ones, right-to-left: each stands in its tile as it is, and nothing happens."""
    names = list(NAMES.values())
    for some in (names[:12], names[12:24], names[24:]):
        lines = tuple(Line(name, 107, 17, 61, 92, 13) for name in some)
        async with staged(*lines) as stage, look(f"{stage.board.url}?title=%3Cb%3Ex%3C/b%3E") as page:
            await expect(page.locator(".tile")).to_have_count(len(some))
            assert await page.locator(".tile .name").evaluate_all("all => all.map((e) => e.textContent)") == some
            assert await page.locator("main img, main script, header b b").count() == 0
            await expect(page.locator("h1")).to_have_text("<b>x</b>")
            assert await page.locator(".short").count() > 0 or "😀𝒪𐍈" in some
            assert await page.evaluate("document.documentElement.scrollWidth") <= 1920


async def test_before_there_is_anything(look: Look) -> None:
    """No Kafka: the page says that it reads; a board without queues: that there are none."""
    board = Board(settings(), NOBODY)
    await board.start()
    try:
        async with look(board.url) as page:
            await expect(page.locator(".message")).to_have_text("reading what came before")
            await expect(page.locator("#fresh")).to_have_text("reading what came before")
    finally:
        await board.stop()
    async with staged() as stage, look(stage.board.url) as page:
        await expect(page.locator(".message")).to_have_text("no queues yet")


async def test_a_new_build_is_loaded_by_itself(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the board comes back with other files; not over and over in the first half minute."""
    async with staged(*CALM) as stage:
        port = stage.board.port
        async with look(stage.board.url, quiet=False) as page:
            await expect(page.locator(".tile")).to_have_count(3)
            await page.evaluate("window.before = true")
            await stage.board.stop()
            monkeypatch.setattr("sinks.board.build_of", lambda _: "another")
            async with staged(*CALM, config=settings(CALM, board={"listen": f"127.0.0.1:{port}"})):
                await expect(page.locator("#alarm")).to_have_text(re.compile("^$|connected again"))
                await expect(page.locator("#fresh")).to_have_text("live")
                assert await page.evaluate("window.before")
                await page.clock.fast_forward(31_000)
                await until(lambda: _reloaded(page), 20)
                await expect(page.locator(".tile")).to_have_count(3)


async def _reloaded(page: Page) -> bool:
    try:
        return bool(await page.evaluate("window.before === undefined"))
    except PlaywrightError:  # between two pages
        return False


async def test_colours_follow_the_boards_own_thresholds(look: Look) -> None:
    """Nothing injected: in breach by its wait and its quarter-hour at once, in a warning by its half-hour; it leaves, too."""
    async with staged(*TWELVE, judge=None) as stage, look(stage.board.url) as page:
        orders, chat = tile(page, "Orders"), tile(page, "Sales chat")
        await expect(orders).to_have_attribute("data-level", "2")
        await expect(orders.locator(".oldest")).to_have_class(re.compile("offends"))
        await expect(orders.locator(".seconds p").first).to_have_text("58% 15 min")
        await expect(chat).to_have_attribute("data-level", "1")
        await expect(tile(page, "Returns")).to_have_attribute("data-level", "0")
        await stage.tell(Line("Returns", 95, 5), window=False)
        await expect(tile(page, "Returns")).to_have_attribute("data-level", "2")
        await stage.tell(Line("Returns", 5, 5), window=False)
        await asyncio.sleep(1.2)
        await expect(tile(page, "Returns")).to_have_attribute("data-level", "2")  # not before it has been good for a while
        stage.later(20)
        stage.board._reader._heard[0] += 20
        await expect(tile(page, "Returns")).to_have_attribute("data-level", "0")
