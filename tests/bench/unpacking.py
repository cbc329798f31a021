"""What it costs to unpack what a broker has answered and hand it to a partition: records as objects, and as slabs.

aiokafka's side is its own classes without a socket; the floor is one that does nothing, and the compiled one. Both ways take turns.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import process_time
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from schemas.config import Config
from streams.behind import POLL_RECORDS
from streams.fetches import Fetches
from streams.memory import settle_memory
from streams.native import CompiledFloor
from streams.transport import BATCH_RECORDS
from tests.bench import stages

BATCH: Final = 500
"""Records in a batch of a producer."""
ANSWER_BYTES: Final = 1_000_000
TURNS: Final = 5
_CODECS: Final = {"uncompressed": 0, "zstd": 4}


class Idle(CompiledFloor):
    """A floor that does nothing."""

    def apply(self, *_: Any) -> list[Any]:
        """Take nothing."""
        return []

    def apply_records(self, *_: Any) -> list[Any]:
        """Take nothing."""
        return []


def bench_unpack(file: Path) -> dict[str, float]:
    """Return CPU us per record, with each codec, floor, and way."""
    lanes = [(topic, lane) for _, topic, lane, _ in stages.lanes_of(file, 1)]
    figures = {}
    for codec, number in _CODECS.items():
        logs = _logs(lanes, number)
        settle_memory()
        for floor, named in ((Idle, "unpacked"), (CompiledFloor, "and counted")):
            taken: dict[bool, list[float]] = {False: [], True: []}
            for _ in range(TURNS):
                for slabs, each in taken.items():
                    each.append(_cpu_us(logs, floor, slabs=slabs))
            figures[f"{codec}, {named}, records, us"] = statistics.median(taken[False])
            figures[f"{codec}, {named}, slabs, us"] = statistics.median(taken[True])
    return figures


def _logs(lanes: Sequence[tuple[str, list[tuple[bytes | None, bytes | None]]]], codec: int) -> dict[str, list[bytes]]:
    """Return a topic's log, cut into answers."""
    logs: dict[str, list[bytearray]] = {}
    ends: dict[str, int] = {}
    for topic, lane in lanes:
        for begin in range(0, len(lane), BATCH):
            builder = DefaultRecordBatchBuilder(2, codec, 0, -1, 0, 0, 1 << 20)
            records = lane[begin : begin + BATCH]
            for index, (key, value) in enumerate(records):
                builder.append(index, 1_000, key, value, [])
            data = builder.build()
            end = ends.get(topic, 0)
            data[:8] = end.to_bytes(8, "big")
            ends[topic] = end + len(records)
            answers = logs.setdefault(topic, [bytearray()])
            if len(answers[-1]) > ANSWER_BYTES:
                answers.append(bytearray())
            answers[-1] += data
    return {topic: [bytes(answer) for answer in answers] for topic, answers in logs.items()}


def _cpu_us(logs: dict[str, list[bytes]], floor: type[CompiledFloor], *, slabs: bool) -> float:
    with patch.object(stages, "Floor", floor):
        bench = stages.Bench(replace(Config().rules(), live=False), 1, 1 << 30)
    partition, count, began = bench.partitions[0], 0, process_time()
    for topic, answers in logs.items():
        for batch in _batches(topic, answers, slabs=slabs):
            count += len(batch)
            stages.asyncio_free(partition.receive(topic, batch, batch.span))
    return (process_time() - began) / count * 1e6


def _batches(topic: str, answers: Sequence[bytes], *, slabs: bool) -> Iterator[Any]:
    """Give what Faust's consumer would hand on."""
    state: Any = SimpleNamespace(paused=False, position=0)
    state.consumed_to = lambda position: setattr(state, "position", position)
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    fetches, tp = Fetches(), TopicPartition(topic, 0)
    for answer in answers:
        fetches.answers = {tp: answer} if slabs else {}
        records = PartitionRecords(tp, MemoryRecords(answer), None, state.position, None, None, True, READ_COMMITTED)
        result = fetches[tp] = FetchResult(tp, assignment=assignment, partition_records=records, backoff=0)
        while result.has_more():
            drained = {tp: found} if (found := result.getall(POLL_RECORDS)) else {}
            for batch in fetches.spanned(drained).values():
                for begin in range(0, len(batch), BATCH_RECORDS):
                    yield batch.piece(begin, begin + BATCH_RECORDS)
        del fetches[tp]


__all__ = ["bench_unpack"]
