"""What a floor hands out and takes back in: readings, and entries for the journal.

An entry is one piece of state under a key: a letter, then names, separated by the unit separator (which no name may hold).

    s session · a agent · h session held by an agent · k, v session of a customer, of a reviewer · x complaint
    c cell · t totals · l levels · r settings · d, b chunk of ids, of business facts' ids · n address known · m everything small
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from schemas.history import continued, freeze_history
from schemas.readings import Dimension, Reading, ReadingKey
from schemas.rules import UNASSIGNED, Rules
from streams.core.agents import Agent, thaw_hold
from streams.core.booking import Books
from streams.core.cells import Address, CellId
from streams.core.ids import Ids
from streams.core.milestones import Session
from streams.core.sessions import derive

if TYPE_CHECKING:
    from streams.core.floor import Floor

_SEP: Final = "\x1f"
_META: Final = "m"
_SETTINGS: Final = "r"


def _join(letter: str, *names: str) -> str:
    return _SEP.join((letter, *names))


def _cell_key(cell_id: CellId) -> str:
    length, number, (dimension, name, channel) = cell_id
    return f"c{_SEP}{length}{_SEP}{number}{_SEP}{dimension}{_SEP}{name}{_SEP}{channel}"


def _cell_id(key: str) -> CellId:
    _, length, number, dimension, name, channel = key.split(_SEP)
    return int(length), int(number), (dimension, name, channel)


def _address(key: str) -> Address:
    _, dimension, name, channel = key.split(_SEP)
    return dimension, name, channel


def _reading_key(kind: str, partition: int, address: Address, length: int = 0, start: int = 0) -> ReadingKey:
    dimension: Dimension = address[0]  # type: ignore[assignment]  # addresses are made of dimensions
    return ReadingKey(kind, partition, dimension, address[1], address[2], length, start)  # type: ignore[arg-type]


def readings_of(partition: int, books: Books, now: int, gone: Iterable[CellId]) -> list[Reading]:
    """Return the readings of everything that changed; retired cells become tombstones."""
    readings: list[Reading] = []
    cells = books.cells
    for cell_id in cells.changed:
        length, number, address = cell_id
        cell = cells.get(cell_id)
        over = cell is None and number < cells.first[length]
        body = None if over else {"parts": dict(cell or {})}
        readings.append(Reading(_reading_key("slice", partition, address, length, number * length), body))
    readings += [Reading(_reading_key("slice", partition, a, length, number * length), None) for length, number, a in gone]
    for address, ids in books.dropped.items():
        readings += [Reading(_reading_key("slice", partition, a, length, number * length), None) for length, number, a in ids]
        readings += [Reading(_reading_key(kind, partition, address), None) for kind in ("now", "total")]
    for address in books.totals.changed:
        readings.append(Reading(_reading_key("total", partition, address), {"parts": dict(books.totals.cells[address])}))
    for address, body in books.gauges.changes(now):
        readings.append(Reading(_reading_key("now", partition, address), body))
    for address in cells.changed_levels:
        readings.append(Reading(_reading_key("now", partition, address), cells.levels_body(address)))
    return readings


def heartbeat_body(now: int, watermark: int | None, newest: int | None, live: bool, counts: Mapping[str, Mapping[str, int]],
                   counters: Mapping[str, int]) -> dict[str, Any]:  # fmt: skip
    """Return the body of the reading that closes a flush."""
    return {
        "clock": {"now": now, "watermark": watermark, "newest": newest, "live": live},
        "events": {topic: dict(outcomes) for topic, outcomes in counts.items()},
        "counters": dict(counters),
    }


class Entries:
    """A floor's state as entries, and which of them changed."""

    def __init__(self, floor: Floor) -> None:
        """Look after the entries of a floor."""
        self._floor = floor
        self._touched: set[str] = {_SETTINGS}
        self._sessions: set[str] = set()
        self._cycle: list[str] = []
        self._handed: Collection[str] = ()
        """Keys of what the last flush handed out, until its piece of the rolling snapshot is asked for."""
        self.kept = True
        """Whether anybody keeps what is handed out."""

    @staticmethod
    def rules_in(entries: Mapping[str, Any], rules: Rules) -> Rules:
        """Return the rules to go on with after restoring entries."""
        if _SETTINGS not in entries or _META not in entries:
            return rules
        clock, _, _, bounds, expiry, _, others = entries[_META]
        seen = (*clock[0].values(), bounds[-1], others[0], *(mark for _, mark in expiry[2]))
        return continued(rules, entries[_SETTINGS], max(seen) + 1)

    def touch(self, letter: str, *names: str) -> None:
        """Note that an agent, hold or complaint changed."""
        self._touched.add(_join(letter, *names))

    def touch_sessions(self, session_ids: Iterable[str]) -> None:
        """Note that sessions changed."""
        self._sessions.update(session_ids)

    def changed(self, gone: Iterable[CellId], dropped: Iterable[str]) -> dict[str, Any | None]:
        """Return the entries that changed since the last call, None for those that are gone; none where nobody keeps them."""
        entries = self._changed(gone, dropped) if self.kept else {}
        for _, ids in self._ids():
            ids.chunks()  # also where nobody keeps entries: chunks are where ids have their times
        books = self._floor.books
        books.dropped = {}
        self._touched, self._sessions = set(), set()
        books.cells.changed, books.cells.changed_levels = set(), set()
        books.totals.changed, books.fresh_addresses = set(), set()
        self._handed = entries
        return entries

    def _changed(self, gone: Iterable[CellId], dropped: Iterable[str]) -> dict[str, Any | None]:
        books = self._floor.books
        cells = books.cells
        sessions = self._floor.sessions
        entries: dict[str, Any | None] = {
            f"s{_SEP}{name}": session.freeze() if (session := sessions.get(name)) is not None else None for name in self._sessions
        }
        entries |= {key: self.value(key) for key in self._touched}
        entries |= {_cell_key(cell_id): cells.get(cell_id) for cell_id in cells.changed}
        entries |= {_cell_key(cell_id): None for cell_id in gone}
        entries |= {_join("t", *address): books.totals.cells[address] for address in books.totals.changed}
        entries |= {(key := _join("l", *address)): self.value(key) for address in cells.changed_levels}
        entries |= {_join("n", *address): 1 for address in books.fresh_addresses}
        entries |= {_join(letter, key): data for letter, ids in self._ids() for key, data in ids.chunks().items()}
        entries |= dict.fromkeys(dropped)
        for address, ids in books.dropped.items():
            entries |= {_cell_key(cell_id): None for cell_id in ids}
            entries |= {_join(letter, *address): None for letter in "tln"}
        entries[_META] = self._meta()
        return entries

    def _ids(self) -> tuple[tuple[str, Ids], ...]:
        return ("d", self._floor.ids), ("b", self._floor.business_ids)

    def drop_ids(self, watermark: int | None) -> list[str]:
        """Drop ids that are over; return the keys of the entries that are gone."""
        return [_join(letter, key) for letter, ids in self._ids() for key in ids.drop(watermark)]

    def _meta(self) -> list[Any]:
        floor = self._floor
        cells = floor.books.cells
        counts = {topic: dict(outcomes) for topic, outcomes in floor.counts.items()}
        bounds = [*cells.first.values(), cells.first_sketch, cells.now]
        others = [floor.customers.settled, floor.reviewers.closed, floor.complaints.looked_at]
        firsts = [[ids.first, ids.evicted] for _, ids in self._ids()]
        return [floor.clock.freeze(), counts, dict(floor.books.counters), bounds, floor.expiry.freeze(), firsts, others]

    def keys(self) -> list[str]:
        """Return the keys of all entries."""
        floor, books = self._floor, self._floor.books
        return [
            *(_join("s", session_id) for session_id in floor.sessions),
            *(_join("a", agent_id) for agent_id in floor.agents),
            *(_join("h", agent_id, session_id) for agent_id, agent in floor.agents.items() for session_id in agent.sessions()),
            *(_join("k", customer, session_id) for customer, session_id in floor.customers.known()),
            *(_join("v", reviewer, session_id) for reviewer, session_id in floor.reviewers.known()),
            *(_join("x", complaint_id) for complaint_id in floor.complaints.known()),
            *(_cell_key(cell_id) for cell_id in books.cells.ids()),
            *(_join("t", *address) for address in books.totals.cells),
            *(_join("l", *address) for address in books.cells.levels),
            *(_join("n", *address) for address in books.addresses),
            *(_join(letter, key) for letter, ids in self._ids() for key in ids.chunk_keys()),
            _SETTINGS,
            _META,
        ]

    def begin_cycle(self) -> int:
        """Begin a cycle of the rolling snapshot with all entries that there are; return how many."""
        self._cycle = self.keys()
        return len(self._cycle)

    def piece(self, size: int) -> dict[str, Any]:
        """Return the next entries of the cycle as they are now; what is gone, or stands in the last flush, is left out."""
        left = max(0, len(self._cycle) - size)
        keys, handed = self._cycle[left:], self._handed
        del self._cycle[left:]
        self._handed = ()
        return {key: value for key in keys if key not in handed and (value := self.value(key)) is not None}

    def value(self, key: str) -> Any | None:
        """Return the present value of an entry, None if it is gone."""
        floor, books = self._floor, self._floor.books
        letter, _, name = key.partition(_SEP)
        if letter == "s":
            session = floor.sessions.get(name)
            return session.freeze() if session else None
        if letter == "a":
            agent = floor.agents.get(name)
            return agent.freeze() if agent else None
        if letter == "h":
            agent_id, _, session_id = name.partition(_SEP)
            hold = floor.agents[agent_id].hold(session_id) if agent_id in floor.agents else None
            return None if hold is None else list(hold)
        if letter == "x":
            return floor.complaints.freeze(name)
        if letter in ("k", "v"):
            person, _, session_id = name.partition(_SEP)
            return (floor.customers if letter == "k" else floor.reviewers).freeze(person, session_id)
        if letter == "c":
            return books.cells.get(_cell_id(key))
        if letter == "t":
            return books.totals.cells.get(_address(key))
        if letter == "l":
            address = _address(key)
            levels, ahead = books.cells.levels.get(address), books.cells.ahead.get(address)
            if levels is None and not ahead:  # steps that took each other back
                return None
            return [levels or {}, sorted((at, level, step) for (at, level), step in (ahead or {}).items())]
        if letter == "n":
            return 1 if _address(key) in books.addresses else None
        if letter == _SETTINGS:
            return freeze_history(floor.rules)
        return next((ids.chunk(name) for kind, ids in self._ids() if kind == letter), None) if letter != _META else self._meta()

    def reading(self, key: ReadingKey, now_ms: int) -> Reading:
        """Return a reading as it is after the last flush; a tombstone where what its key names is over.

        A slice that is only empty now has no tombstone: what is over is over for ever, and facts may come back to this one.
        """
        floor, books = self._floor, self._floor.books
        address: Address = (key.dimension, key.name, key.channel)
        if key.kind == "now" and key.dimension == "queue":
            return Reading(key, {"parts": books.gauges.body(address, floor.clock.present(now_ms))})
        if key.kind == "now":
            return Reading(key, books.cells.levels_body(address) if address in books.cells.levels else None)
        if key.kind == "total":
            parts = books.totals.cells.get(address)
        else:
            number = key.start_ms // key.length_ms
            over = number < books.cells.first[key.length_ms] or address not in books.addresses
            parts = books.cells.get((key.length_ms, number, address)) or (None if over else {})
        return Reading(key, None if parts is None else {"parts": dict(parts)})

    def restore(self, entries: Mapping[str, Any], unpublished: Collection[str]) -> None:
        """Take all entries in; what was not published counts as changed, and so do totals and levels."""
        floor, books = self._floor, self._floor.books
        by_letter: dict[str, list[tuple[str, str, Any]]] = {}
        for key, value in entries.items():
            letter, _, name = key.partition(_SEP)
            by_letter.setdefault(letter, []).append((key, name, value))
        every = by_letter.get
        floor.sessions.update((name, Session.thaw(value)) for _, name, value in every("s", ()))
        floor.agents.update((name, Agent.thaw(value)) for _, name, value in every("a", ()))
        for key, _, value in every("c", ()):
            books.cells.put(_cell_id(key), dict(value))
        books.totals.cells = {_address(key): dict(value) for key, _, value in every("t", ())}
        for key, _, value in every("l", ()):
            self._restore_levels(_address(key), value)
        books.addresses.update(_address(key) for key, _, _ in every("n", ()))
        for _, name, value in every("h", ()):
            agent_id, _, session_id = name.partition(_SEP)
            floor.agents.setdefault(agent_id, Agent()).put_hold(session_id, thaw_hold(value))
        if _META in entries:
            self._restore_meta(entries[_META])
        for letter, ids in self._ids():
            topics = ("business",) if ids is floor.business_ids else ("sessions", "queues", "status")
            newest = max(floor.clock.newest.get(topic, 0) for topic in topics)
            ids.restore({name: value for _, name, value in every(letter, ())}, newest)
        for _, name, value in every("x", ()):
            floor.complaints.thaw(name, value, books)
        for letter, people in (("k", floor.customers), ("v", floor.reviewers)):
            for _, name, value in every(letter, ()):
                person, _, session_id = name.partition(_SEP)
                people.thaw(person, session_id, value)
        floor.restored(entries.get(_SETTINGS))
        self._restore_sessions()
        books.totals.changed = set(books.totals.cells)
        books.cells.changed_levels = set(books.cells.levels)
        known = (_cell_id(key) for key in unpublished if key.startswith("c" + _SEP))
        books.cells.changed |= {cell_id for cell_id in known if cell_id[2] not in books.dropped}

    def _restore_levels(self, address: Address, value: Any) -> None:
        cells = self._floor.books.cells
        cells.levels[address] = dict(value[0])
        if value[1]:
            cells.ahead[address] = {(at, level): step for at, level, step in value[1]}

    def _restore_meta(self, meta: list[Any]) -> None:
        floor = self._floor
        clock, counts, counters, bounds, expiry, firsts, others = meta
        floor.clock.thaw(clock)
        floor.counts = {topic: dict(outcomes) for topic, outcomes in counts.items()}
        floor.books.counters = dict(counters)
        cells = floor.books.cells
        cells.first = dict(zip(cells.first, bounds, strict=False))
        cells.first_sketch, cells.now = bounds[-2:]
        floor.customers.settled, floor.reviewers.closed, floor.complaints.looked_at = others
        floor.expiry.thaw(expiry)
        for (_, ids), (first, evicted) in zip(self._ids(), firsts, strict=True):
            ids.first, ids.evicted = first, evicted

    def _restore_sessions(self) -> None:
        """Put the open sessions back into the gauges, and all under watch.

        Every place where sessions ever were gets its gauges published again: the last that was said of it may be old.
        """
        floor = self._floor
        for address, totals in floor.books.totals.cells.items():
            if "offered" in totals or "connected" in totals:
                floor.books.gauges.keep(address)
        for address in floor.books.addresses:
            if address[0] == "queue" and address[2] == UNASSIGNED:
                floor.books.gauges.complaint(address, 0)
        for session_id, session in floor.sessions.items():
            floor.expiry.watch_again(session_id, session)
            derived = derive(session, floor.rules)
            floor.books.show(((), None), (derived.waiting, derived.active))
            session.rest()


__all__ = ["Entries", "heartbeat_body", "readings_of"]
