"""Event ids already applied: how repetitions are recognised.

Theory. An id is kept as a 64-bit hash of (topic, key, id), in generations of one horizon's length of event time. A copy whose
time is at most the horizon away lies in the same generation or a neighbour, so three look-ups decide, exactly. Only for one in
a neighbour its event time is asked for; that stands in the chunks, and is read from there when it happens. Where the neighbour
may be gone already (`covers`), what was kept of the events is asked: a milestone and a status change have their ids as long as
they live, a message has some bits of it. Business facts leave nothing but sums, so their ids are kept for their whole horizon.
New hashes leave as chunks, each journalled once; a generation is dropped whole when it is over, or when there are more ids than
the limit: then the oldest goes, and that is counted. A chunk's key has its generation's number, which means another time once the
horizon is set to another length; then the ids are put where they belong now, and cut anew.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

_CHUNK_TYPE: Final = "Q"
CHUNK_IDS: Final = 65_536
"""The most ids of a chunk, 1 MiB: the journal takes no entry of more than a few."""


class Ids:
    """Ids of one partition; at most `max_ids` of them, none longer than `kept_ms` behind the watermark."""

    def __init__(self, horizon_ms: int, max_ids: int, kept_ms: int = 0) -> None:
        """Start empty; `kept_ms` less than the horizon means the horizon."""
        self.horizon_ms = max(1, horizon_ms)
        self.kept_ms = max(self.horizon_ms, kept_ms)
        self.max_ids = max_ids
        self.evicted = 0
        self._generations: dict[int, set[int]] = {}
        self._times: dict[int, tuple[dict[int, int], int]] = {}
        """Event times by hash, of generations in which they were asked for, and how many chunks they are from."""
        self._chunks: dict[int, list[bytes]] = {}
        self._fresh: dict[int, list[int]] = {}
        self._replaced: list[str] = []
        """Keys of chunks of another horizon, until they are handed out as gone."""
        self.first = 0
        """The first generation that has not been dropped yet."""
        self._number: int | None = None
        """The generation of the newest claim; `_here`, its neighbours and `_fresh_here` belong to it. None: look them up."""
        self._here: set[int] = set()
        self._neighbours: tuple[tuple[int, set[int]], ...] = ()
        self._fresh_here: list[int] = []

    def knows(self, digest: int, at: int) -> bool:
        """Tell whether an id of this time would be a repetition."""
        number = at // self.horizon_ms
        if digest in self._generations.get(number, ()):
            return True
        return any(digest in self._generations.get(n, ()) and self._is_near(n, digest, at) for n in (number - 1, number + 1))

    def claim(self, digest: int, at: int) -> bool:
        """Remember an id; return False if it is a repetition (and then remember nothing)."""
        number = at // self.horizon_ms
        if number != self._number:
            self._turn_to(number)
        here = self._here
        if digest in here:
            return False
        for neighbour, other in self._neighbours:
            if digest in other and self._is_near(neighbour, digest, at):
                return False
        here.add(digest)
        self._fresh_here += (digest, at)
        return True

    def _is_near(self, number: int, digest: int, at: int) -> bool:
        """Tell whether an id that a generation holds is at most the horizon away."""
        times, known = self._times.get(number, ({}, 0))
        if digest not in times:
            chunks = self._chunks.get(number, [])
            for data in chunks[known:]:
                pairs = array(_CHUNK_TYPE, data)
                times.update(zip(pairs[::2], pairs[1::2], strict=True))
            fresh = self._fresh.get(number, [])
            times.update(zip(fresh[::2], fresh[1::2], strict=True))
            self._times[number] = times, len(chunks)
        return abs(times[digest] - at) <= self.horizon_ms

    def _turn_to(self, number: int) -> None:
        """Look up what claims of one generation need; neighbours follow each other for long."""
        generations = self._generations
        self._here = generations.setdefault(number, set())
        self._neighbours = tuple((n, generations[n]) for n in (number - 1, number + 1) if n in generations)
        self._fresh_here = self._fresh.setdefault(number, [])
        self._number = number

    @property
    def covered_from(self) -> int:
        """The least event time all of whose repetitions would be recognised: the earliest of them in the first generation."""
        return (self.first + 1) * self.horizon_ms

    @property
    def kept_from(self) -> int:
        """The least event time of which ids are still remembered."""
        return self.first * self.horizon_ms

    def covers(self, at: int) -> bool:
        """Tell whether any event that one of this time may repeat is still remembered."""
        return at >= self.covered_from

    def chunks(self) -> dict[str, bytes]:
        """Cut what came since the last call into chunks: key → bytes."""
        cut: dict[str, bytes] = {}
        for number, fresh in self._fresh.items():
            if not fresh:
                continue
            chunks = self._chunks.setdefault(number, [])
            for begin in range(0, len(fresh), 2 * CHUNK_IDS):
                data = array(_CHUNK_TYPE, fresh[begin : begin + 2 * CHUNK_IDS]).tobytes()
                cut[f"{number}\x1f{len(chunks)}"] = data
                chunks.append(data)
        self._fresh.clear()
        self._number, self._fresh_here = None, []
        return cut

    def drop(self, watermark: int | None) -> list[str]:
        """Drop generations that are over, and the oldest ones beyond the limit; return the keys of their chunks."""
        over = [] if watermark is None else [n for n in self._generations if (n + 1) * self.horizon_ms + self.kept_ms <= watermark]
        gone = [key for number in over for key in self._drop(number)]
        while len(self) > self.max_ids and len(self._generations) > 1:
            oldest = min(self._generations)
            self.evicted += len(self._generations[oldest])
            gone += self._drop(oldest)
        return gone + self._take_replaced()

    def _take_replaced(self) -> list[str]:
        replaced, self._replaced = self._replaced, []
        if not replaced:
            return []
        cut = {
            f"{number}\x1f{len(self._chunks.get(number, ())) + place}"
            for number, fresh in self._fresh.items()
            for place in range(-(-len(fresh) // (2 * CHUNK_IDS)))
        }
        return [key for key in replaced if key not in cut]

    def _drop(self, number: int) -> list[str]:
        del self._generations[number]
        self._times.pop(number, None)
        self._number = None
        self.first = max(self.first, number + 1)
        self._fresh.pop(number, None)
        return [f"{number}\x1f{i}" for i in range(len(self._chunks.pop(number, ())))]

    def chunk_keys(self) -> list[str]:
        """Return the keys of all chunks."""
        return [f"{number}\x1f{i}" for number, chunks in self._chunks.items() for i in range(len(chunks))]

    def chunk(self, key: str) -> bytes | None:
        """Return a chunk, None if it is gone."""
        number, position = key.split("\x1f")
        chunks = self._chunks.get(int(number))
        return chunks[int(position)] if chunks is not None and int(position) < len(chunks) else None

    def restore(self, chunks: dict[str, bytes], newest: int = 0) -> None:
        """Take chunks back in, `first` having been set; `newest`: event time of the newest id that there ever was."""
        keys = sorted(chunks, key=lambda key: [int(part) for part in key.split("\x1f")])
        read = [(int(key.split("\x1f")[0]), array(_CHUNK_TYPE, chunks[key])) for key in keys]
        if any(not min(pairs[1::2]) // self.horizon_ms == number == max(pairs[1::2]) // self.horizon_ms for number, pairs in read):
            self._replaced = keys
            self._put_anew(read)
            return
        for key, (number, pairs) in zip(keys, read, strict=True):
            self._chunks.setdefault(number, []).append(chunks[key])
            self._generations.setdefault(number, set()).update(pairs[::2])
        after = newest // self.horizon_ms + 1  # one more, where a repetition of the newest one came from the next generation
        if self.first and not chunks and not after <= self.first <= after + 1:  # of another horizon, of which all are forgotten
            self.first = after

    def _put_anew(self, chunks: Sequence[tuple[int, array[int]]]) -> None:
        """Put ids of chunks of another horizon where they belong, to be cut anew.

        Number times horizon is at most an event's time, so the horizon of then was at most the least quotient, and hardly less.
        """
        then = min(min(pairs[1::2]) // max(1, number) for number, pairs in chunks)
        self.first = -(-self.first * then // self.horizon_ms)
        for _, pairs in chunks:
            for digest, at in zip(pairs[::2], pairs[1::2], strict=True):
                self._generations.setdefault(at // self.horizon_ms, set()).add(digest)
                self._fresh.setdefault(at // self.horizon_ms, []).extend((digest, at))

    def __len__(self) -> int:
        """Return how many ids are remembered."""
        return sum(map(len, self._generations.values()))


__all__ = ["Ids"]
