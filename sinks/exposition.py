"""Families as text: prometheus_client writes a line once, after that only its value.

Theory. A line is a name with labels, which stay, and a value, which changes. To check and escape the former takes the library some
5 us a line, 9 in OpenMetrics, again in each scrape: more than to derive the values. So the library writes a line the first
time; what stands before the value is kept, and next time only the value is put behind it, by the library's own rule. What else a
sample may have (a time, an exemplar), and what a format moves elsewhere, the library writes each time.

Each family is made by itself: to join 50,000 lines, and to let go of them, are single steps of the interpreter, for which all other
threads wait, the event loop too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from sinks.turns import give_way

END: Final = b"# EOF\n"
"""Last line of OpenMetrics."""
_MOVED: Final = ("_created", "_gsum", "_gcount")
"""Ends of names that text 0.0.4 has behind their family."""
_NOTHING_ELSE: Final = (None, None, None)
"""Time, exemplar and native histogram of a sample that only has a value."""

LEFT_OVER: Final = 2
"""A family of which so many times as many lines are known as it has is learnt anew: what has gone is forgotten."""

_Line = tuple[str, ...]
"""Name, names of labels, their values: of flat tuples of text the garbage collector takes no notice."""


class _Known:
    """What is known of one family: its comments, and of each line what stands before the value."""

    __slots__ = ("comments", "starts")

    def __init__(self, comments: str) -> None:
        self.comments = comments
        self.starts: dict[_Line, str] = {}


class _One(Collector):
    """One family as a registry."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        """Return it."""
        return (self._family,)


class Writer:
    """Writes families in text 0.0.4 or OpenMetrics 1.0, without the end; not for two threads at a time."""

    def __init__(self, *, openmetrics: bool) -> None:
        self._generate: Callable[[Collector], bytes] = generate_openmetrics if openmetrics else generate_latest
        self._known: dict[tuple[str, str, str], _Known] = {}

    def write(self, families: Iterable[Metric]) -> Iterator[bytes]:
        """Yield the text of one family after the other."""
        known: dict[tuple[str, str, str], _Known] = {}
        for family in families:
            key = family.name, family.type, family.documentation
            known[key] = self._known.get(key) or _Known(self._by_library(family, []))
            give_way()
            yield self._lines(family, known[key]).encode()
        self._known = known

    def _lines(self, family: Metric, known: _Known) -> str:
        starts, lines = known.starts, [known.comments]
        if len(starts) > LEFT_OVER * len(family.samples):
            starts.clear()
        for sample in family.samples:
            name, labels, value = sample[:3]
            if sample[3:] != _NOTHING_ELSE or name.endswith(_MOVED):
                return self._by_library(family, family.samples)
            line = (name, *labels, *labels.values())
            start = starts.get(line)
            if start is None:
                alone = self._by_library(family, [sample]).removeprefix(known.comments)
                start = starts[line] = alone.rpartition(" ")[0]
            lines.append(f"{start} {floatToGoString(value)}\n")  # type: ignore[no-untyped-call]  # text
        return "".join(lines)

    def _by_library(self, family: Metric, samples: list[Sample]) -> str:
        """Return the family with some samples, as the library writes it."""
        some = Metric(family.name, family.documentation, family.type, family.unit)
        some.samples = samples
        return self._generate(_One(some)).removesuffix(END).decode()


__all__ = ["END", "Writer"]
