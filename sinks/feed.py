"""Frames for the wall-screens: made twice a second for all of them, sent as patches.

Theory. A `Feed` is one variant's sequence of frames. Frame n is told as a whole, or as what differs from frame n - 1; both
are bytes that all screens share. A screen holds nothing but the number that it has: one behind, it gets the patch; a few
behind, the patches since, of which the last `KEPT` are kept; further behind, or from another board, the whole. So a screen
that lags costs no memory, and one that comes back names the last id that it saw and mostly gets a few patches.

Where nothing changes nothing is sent, but a beat every `BEAT_S`, which carries the clock and the ages of the data: they go on by
themselves. `Frames` makes all feeds' frames, in a thread, while anybody follows them.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final, NamedTuple

import structlog

from sinks.describe import as_bytes
from sinks.snapshot import Snapshot
from sinks.source import Source
from sinks.wall import Contents, Entry, Key, Setting, Variant, contents, shown_window

log = structlog.get_logger()

FRAME_S: Final = 0.5
"""Least time between two frames: with one a second half of all events were on the screen 0.95 s after they were sent."""
BEAT_S: Final = 5.0
"""Most time between two messages."""
KEPT: Final = int(30 / FRAME_S)
"""Patches kept per feed: those of half a minute."""
FORGOTTEN_S: Final = 30.0
"""A feed that nobody has followed for so long is dropped."""
SETTLE: Final = int(3 / FRAME_S)
"""A queue appears with so many frames in a row that have it: a channel may be unknown for a moment."""


class Settled:
    """Which queues are there to stay; of the first frame all are."""

    def __init__(self) -> None:
        self._seen: dict[Key, int] = {}
        self._begun = False

    def only(self, queues: Mapping[Key, Entry]) -> dict[Key, Entry]:
        """Return those of one frame that have been there for long enough."""
        first = not self._begun
        self._begun = self._begun or bool(queues)
        self._seen = {key: SETTLE if first else self._seen.get(key, 0) + 1 for key in queues}
        return {key: entry for key, entry in queues.items() if self._seen[key] >= SETTLE}


class Frame(NamedTuple):
    """One frame, as a patch on the one before and as a whole."""

    number: int
    found: Contents
    patch: bytes
    whole: bytes


class Feed:
    """One variant's frames. `next` may run in a thread, one at a time; the rest belongs to the event loop."""

    def __init__(self) -> None:
        self.number = 0
        self.followers = 0
        self.left_at = time.monotonic()
        self.changed = asyncio.Event()
        self.beat = b""
        self._now = Contents()
        self._patches: deque[bytes] = deque(maxlen=KEPT)
        """Of the last frames, that of `number` last."""
        self._whole = b""
        self._settled = Settled()

    def next(self, found: Contents, clock: Entry, boot: str) -> Frame | None:
        """Return the next frame, None where nothing differs from the last."""
        found.many["queues"] = self._settled.only(found.many["queues"])
        body = difference(self._now, found)
        if not body and self.number:
            return None
        number = self.number + 1
        patch = message(boot, number, "patch", {"clock": clock, **body})
        return Frame(number, found, patch, message(boot, number, "snapshot", {"clock": clock, **whole(found)}))

    def put(self, frame: Frame) -> None:
        """Let a frame be the present one."""
        self._patches.append(frame.patch)
        self._now, self._whole, self.number = frame.found, frame.whole, frame.number

    def since(self, number: int) -> bytes:
        """Return what a screen needs that has frame `number`: patches, or everything. 0: it has none."""
        behind = self.number - number
        if number <= 0 or not 0 <= behind <= len(self._patches):
            return self._whole
        patches = list(self._patches)[len(self._patches) - behind :]
        return b"".join(patches) if sum(map(len, patches)) <= len(self._whole) else self._whole

    def tell(self, beat: bytes) -> None:
        """Wake all who wait; those who have the present frame get the beat."""
        self.beat = beat
        self.changed.set()
        self.changed = asyncio.Event()


def message(boot: str, number: int, event: str, body: Entry) -> bytes:
    """Return a message of the stream."""
    return b"id: %s-%d\nevent: %s\ndata: %s\n\n" % (boot.encode(), number, event.encode(), as_bytes(body))


def whole(found: Contents) -> Entry:
    """Return all of a frame."""
    return {**found.single, **{section: list(entries.values()) for section, entries in found.many.items()}}


def difference(before: Contents, now: Contents) -> Entry:
    """Return what differs: changed entries by section, and under `gone` the keys of those that are no more."""
    body: Entry = {section: entry for section, entry in now.single.items() if before.single.get(section) != entry}
    gone: dict[str, list[Key]] = {}
    for section, entries in now.many.items():
        known = before.many.get(section, {})
        changed = [entry for key, entry in entries.items() if known.get(key) != entry]
        if changed:
            body[section] = changed
        if missing := [key for key in known if key not in entries]:
            gone[section] = missing
    return {**body, "gone": gone} if gone else body


class Frames:
    """All feeds of one board."""

    def __init__(self, source: Source, setting: Callable[[], Setting]) -> None:
        """Take the board and what tells the settings, which may follow a merge that was made anew."""
        self._source, self._setting = source, setting
        self._boot = secrets.token_hex(4)
        self._feeds: dict[Variant, Feed] = {}
        self._making = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._seen = -1
        self.closing = False
        """Whether all streams are to end."""

    def variant(self, query: Mapping[str, str]) -> Variant:
        """Return what a screen asks for; a window that there is not becomes the default one, which the frame's head tells."""
        labels = self._source.snapshot.labels
        return Variant(shown_window(labels, query.get("window")), query.get("names") == "id")

    def number_of(self, last_id: str | None) -> int:
        """Return the frame that a screen has by the id that it names; 0 when that was another board's."""
        boot, _, number = (last_id or "").partition("-")
        return int(number) if boot == self._boot and number.isascii() and number.isdigit() and len(number) < 16 else 0

    @contextlib.asynccontextmanager
    async def followed(self, variant: Variant) -> AsyncIterator[Feed]:
        """Follow a feed: its frames are made as long as somebody does."""
        feed = await self._feed(variant)
        feed.followers += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="floorpulse-wall-frames")
        try:
            yield feed
        finally:
            feed.followers -= 1
            feed.left_at = time.monotonic()

    def close(self) -> None:
        """Let all streams end, now."""
        self.closing = True
        for feed in self._feeds.values():
            feed.tell(b"")

    async def stop(self) -> None:
        """Make no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _feed(self, variant: Variant) -> Feed:
        async with self._making:
            feed = self._feeds.get(variant)
            if feed is None:
                feed = self._feeds[variant] = Feed()
                await self._make({variant: feed}, self._source.snapshot)
                feed.left_at = time.monotonic()
        return feed

    def _clock(self, snapshot: Snapshot) -> Entry:
        """Return the clock and the ages as they are now, also when snapshots have stopped."""
        since = round((time.monotonic() - snapshot.taken_s) * 1000)
        health, moves = snapshot.health, since if snapshot.live else 0
        return {
            "now": None if snapshot.now is None else snapshot.now + moves,
            "made_at": snapshot.made_at + since,
            "readings_age_ms": None if health.oldest_reading_ms is None else health.oldest_reading_ms + since,
            "data_age_ms": None if health.data_age_ms is None else health.data_age_ms + moves,
        }

    async def _make(self, feeds: Mapping[Variant, Feed], snapshot: Snapshot) -> list[Feed]:
        """Let feeds take a snapshot; returns those that changed."""
        clock, setting = self._clock(snapshot), self._setting()

        def work() -> list[tuple[Feed, Frame | None]]:
            return [(feed, feed.next(contents(snapshot, v, setting), clock, self._boot)) for v, feed in feeds.items()]

        changed = []
        for feed, frame in await asyncio.to_thread(work):
            if frame is not None:
                feed.put(frame)
                changed.append(feed)
        return changed

    async def _run(self) -> None:
        beat_at = time.monotonic() + BEAT_S
        while self._feeds and not self.closing:
            began = time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, beat_at - began)):
                    await self._source.next_snapshot(self._seen)
            try:
                beat_at = await self._frame(beat_at)
            except Exception:  # the boundary: one frame that cannot be made must not end all screens
                log.exception("no frame this time")
            self._drop_left()
            await asyncio.sleep(max(0.05, FRAME_S - (time.monotonic() - began)))

    async def _frame(self, beat_at: float) -> float:
        """Make the next frame and tell of it; returns when the next beat is due."""
        async with self._making:
            snapshot = self._source.snapshot
            self._seen = snapshot.number
            changed = await self._make(dict(self._feeds), snapshot)
        now = time.monotonic()
        due = now >= beat_at
        beat = self.beat() if due else b""
        for feed in self._feeds.values() if due else changed:
            feed.tell(beat)
        return now + BEAT_S if due else beat_at

    def beat(self) -> bytes:
        """Return a message that only says that the stream lives, with the clock."""
        return b"event: beat\ndata: %s\n\n" % as_bytes({"clock": self._clock(self._source.snapshot)})

    def _drop_left(self) -> None:
        now = time.monotonic()
        for variant, feed in list(self._feeds.items()):
            if not feed.followers and now - feed.left_at > FORGOTTEN_S:
                del self._feeds[variant]


__all__ = ["BEAT_S", "FRAME_S", "KEPT", "SETTLE", "Feed", "Frame", "Frames", "Settled", "difference", "message", "whole"]
