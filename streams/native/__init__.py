"""The core, compiled: the same floor as `streams.core.floor.Floor`, several times as fast.

Theory of operation. `streams/core` is the definition; this is a port of it to Rust (`src/`), which holds a partition's whole state
and hands out what the other core would: the same entries, readings and relay records. It is optional: `make native` makes
it where Rust is at hand, `worker.core` says whether it is used. Entries are the same in the journal, so a worker with
one core takes over where a worker with the other stopped. `tests/property/test_native.py` holds both together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec

from schemas.errors import UsageError
from schemas.history import freeze_history, kept
from schemas.readings import Reading, ReadingKey, decode_key
from schemas.rules import Rules
from streams.core.floor import Floor, Level, Quarter, Reject, RelayRecord
from streams.core.output import Entries, heartbeat_body

try:
    from streams.native import _native
except ImportError:
    _MADE = False
else:
    _MADE = True

Core = Literal["auto", "compiled", "python"]
"""Which core: `auto` is the compiled one where it was made."""
_pack = msgspec.msgpack.Encoder().encode
_values = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode
_SETTINGS = "r"
_GONE = msgspec.Raw(b"\xc0")


def is_made() -> bool:
    """Tell whether the compiled core is there."""
    return _MADE


def heap_bytes() -> int:
    """Return the bytes of the compiled core's own heap, used or not, beside its large blocks; 0 where there is none."""
    return _native.heap_bytes() if _MADE else 0


def large_bytes() -> int:
    """Return the bytes of the compiled core's large blocks, each mapped by itself; 0 where there is none."""
    return _native.large_bytes() if _MADE else 0


def reader(data: bytes, offset: int, aborted: Sequence[tuple[int, int]],
           decompress: Callable[[int, bytes], bytes]) -> _native.Reader | None:  # fmt: skip
    """Return a reader of what a broker has answered for a partition, from an offset on; None where it holds an older format."""
    return _native.Reader(data, offset, list(aborted), decompress) if _native.Reader.can_read(data) else None


def check_made() -> None:
    """Raise `UsageError` where the compiled core is not there."""
    if not _MADE:
        raise UsageError("the compiled core is not made; run 'make native', which needs Rust, or set worker.core to python")


def core_named(name: Core) -> type[Floor | CompiledFloor]:
    """Return the core of a setting (`worker.core`); raises `UsageError` for the compiled one where it is not there."""
    if name == "compiled":
        check_made()
    return CompiledFloor if name != "python" and _MADE else Floor


class CompiledFlush:
    """What one flush hands out; see `streams.core.floor.Flush`."""

    def __init__(self, packed: list[bytes], changed: int, records: list[tuple[bytes, bytes | None]], relay: list[RelayRecord],
                 partition: int, heartbeat: dict[str, Any]) -> None:  # fmt: skip
        """Hold what the compiled floor gave."""
        self.packed = list(map(msgspec.Raw, packed))
        self.changed = changed
        self.relay = relay
        self.heartbeat = heartbeat
        self._records = records
        self._partition = partition

    def records(self) -> list[tuple[bytes, bytes | None]]:
        """Return (key, value) of all readings but the heartbeat; a value of None is a tombstone."""
        return self._records

    @property
    def entries(self) -> dict[str, msgspec.Raw | None]:
        """The changed entries, values still encoded, None = gone."""
        return {key: None if value == _GONE else value for packed in self.packed for key, value in _values(packed).items()}

    @property
    def readings(self) -> list[Reading]:
        """The readings, decoded, the heartbeat last."""
        readings = [Reading(decode_key(key), _body(value)) for key, value in self._records]
        return [*readings, Reading(ReadingKey("heartbeat", self._partition), self.heartbeat)]


def _body(value: bytes | None) -> dict[str, Any] | None:
    if value is None:
        return None
    return {name: part for name, part in msgspec.json.decode(value).items() if name not in ("v", "epoch", "seq")}


def _rejects(found: Sequence[tuple[int, str, str, str]]) -> list[Reject]:
    return [Reject(index, "late" if outcome == "late" else "invalid", *why) for index, outcome, *why in found]


class CompiledFloor:
    """The state of one partition; see `streams.core.floor.Floor`."""

    def __init__(self, partition: int, partitions: int, rules: Rules) -> None:
        """Start empty, as `partition` of `partitions`; raises `UsageError` where the compiled core is not there."""
        check_made()
        self.partition, self.partitions, self.rules = partition, partitions, rules
        self._floor = _native.Floor(partition, partitions, rules, _pack(freeze_history(rules)))

    @classmethod
    def thaw(cls, partition: int, partitions: int, rules: Rules, entries: Mapping[str, Any],
             unpublished: Collection[str] = ()) -> CompiledFloor:  # fmt: skip
        """Restore a floor from all its entries; see `streams.core.floor.Floor.thaw`."""
        rules = Entries.rules_in(entries, rules)
        floor = cls(partition, partitions, rules)
        history = entries.get(_SETTINGS)
        before = None if history is None else kept(rules, history)
        if before is not None and before.earlier == rules.earlier:
            before = None
        floor._floor.restore([(key, _pack(value)) for key, value in entries.items()], list(unpublished), before)
        return floor

    def apply(self, topic: str, keys: Sequence[bytes | None], values: Sequence[bytes | None], now_ms: int) -> list[Reject]:
        """Take a batch of records of one logical topic, in offset order; return those set aside."""
        return _rejects(self._floor.apply(topic, list(keys), list(values), now_ms))

    def apply_records(self, topic: str, records: _native.Records, now_ms: int) -> list[Reject]:
        """Take a batch of records as they lie in the log (`streams.fetches.Slab`); return those set aside."""
        return _rejects(self._floor.apply_records(topic, records, now_ms))

    def flush(self, seq: int, now_ms: int, at_end: Collection[str] = (), epoch: int = 0) -> CompiledFlush:
        """Book what was touched, forget what is over, and return all that changed since the last flush."""
        (packed, changed), records, relay = self._floor.flush(seq, epoch, now_ms, list(at_end))
        told = [RelayRecord(*each) for each in relay]
        return CompiledFlush(packed, changed, records, told, self.partition, self._heartbeat(now_ms))

    def _heartbeat(self, now_ms: int) -> dict[str, Any]:
        floor, live = self._floor, self.rules.live
        now = now_ms if live else floor.watermark or 0
        return heartbeat_body(now, floor.watermark, floor.newest_event, live, floor.counts, floor.counters)

    def tell(self, kinds: Collection[str]) -> None:
        """Relay to these kinds of targets only; see `streams.core.floor.Floor.tell`."""
        self._floor.tell(list(kinds))

    def serve(self, kinds: Collection[str]) -> None:
        """Do without what nobody looks at in a table; see `streams.core.floor.Floor.serve`."""
        self._floor.serve(list(kinds))

    def saw(self, topic: str, newest: int, now_ms: int) -> None:
        """Take note of how far a topic has come elsewhere."""
        self._floor.saw(topic, newest, now_ms)

    def hear(self, sender: int, mark: int) -> None:
        """Take note of a sender's watermark."""
        self._floor.hear(sender, mark)

    def quarters(self, dimensions: Collection[str]) -> list[Quarter]:
        """Return the quarter-hours of some dimensions."""
        return self._floor.quarters(list(dimensions))

    def levels(self, dimensions: Collection[str]) -> list[Level]:
        """Return the levels of some dimensions."""
        return self._floor.levels(list(dimensions))

    def kept(self) -> dict[str, int]:
        """Return the bytes of each part that is kept for days by intention, names left out."""
        return dict(self._floor.kept())

    def keys(self) -> list[str]:
        """Return the keys of all entries."""
        return self._floor.keys()

    def entry(self, key: str) -> msgspec.Raw | None:
        """Return the present value of an entry as msgpack; None if it is gone."""
        value = self._floor.entry(key)
        return None if value is None else msgspec.Raw(value)

    def begin_cycle(self) -> int:
        """Begin a cycle of the rolling snapshot with all entries that there are; return how many."""
        return self._floor.begin_cycle()

    def piece(self, size: int) -> list[msgspec.Raw]:
        """Return the next entries of the cycle as msgpack of maps, without what is gone or stands in the last flush."""
        return list(map(msgspec.Raw, self._floor.piece(size)))

    def record(self, key: ReadingKey, now_ms: int, epoch: int, seq: int) -> tuple[bytes, bytes | None]:
        """Return a reading, encoded, as it is after the last flush; a value of None where what its key names is over."""
        where = key.kind, key.dimension, key.name, key.channel, key.length_ms, key.start_ms
        return self._floor.reading(*where, now_ms, epoch, seq)

    @property
    def newest(self) -> dict[str, int]:
        """The newest event time of each topic in ms."""
        return self._floor.newest

    @property
    def watermark(self) -> int | None:
        """The watermark in ms, None while it is unknown."""
        return self._floor.watermark

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """What became of the records of each topic."""
        return self._floor.counts


__all__ = ["CompiledFloor", "CompiledFlush", "Core", "core_named", "heap_bytes", "is_made", "large_bytes", "reader"]
