# The compiled part: src/lib.rs.

from collections.abc import Sequence

from schemas.rules import Rules

class Floor:
    counts: dict[str, dict[str, int]]
    counters: dict[str, int]
    watermark: int | None
    newest_event: int | None
    newest: dict[str, int]
    sessions: int

    def __init__(self, partition: int, partitions: int, rules: Rules, settings: bytes) -> None: ...
    def restore(self, entries: list[tuple[str, bytes]], unpublished: list[str], before: Rules | None) -> None: ...
    def serve(self, kinds: list[str]) -> None: ...
    def apply(
        self, topic: str, keys: list[bytes | None], values: list[bytes | None], now_ms: int
    ) -> list[tuple[int, str, str, str]]: ...
    def flush(
        self, seq: int, epoch: int, now_ms: int, at_end: Sequence[str]
    ) -> tuple[dict[str, bytes | None], list[tuple[bytes, bytes | None]], list[tuple[int, bytes, bytes]]]: ...
    def saw(self, topic: str, newest: int, now_ms: int) -> None: ...
    def hear(self, sender: int, mark: int) -> None: ...
    def quarters(self, dimensions: Sequence[str]) -> list[tuple[str, str, str, int, dict[str, int]]]: ...
    def levels(self, dimensions: Sequence[str]) -> list[tuple[str, str, str, dict[str, int], list[tuple[int, str, int]]]]: ...
    def keys(self) -> list[str]: ...
    def entries(self, keys: list[str]) -> dict[str, bytes]: ...
    def reading(
        self,
        kind: str,
        dimension: str,
        name: str,
        channel: str,
        length_ms: int,
        start_ms: int,
        now_ms: int,
        epoch: int,
        seq: int,
    ) -> tuple[bytes, bytes | None]: ...
