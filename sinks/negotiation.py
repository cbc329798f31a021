"""What an answer may look like, by the headers of who asks (RFC 9110, 12.4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OPENMETRICS_KIND: Final = "application/openmetrics-text"
_TEXT_KIND: Final = "text/plain"


def qualities(header: str) -> dict[str, float]:
    """Return the choices of a header, each with its quality from 0 (not wanted) to 1; of one that occurs twice the better one."""
    found: dict[str, float] = {}
    for choice in header.lower().split(","):
        name, *parameters = (part.strip() for part in choice.split(";"))
        if name:
            found[name] = max(found.get(name, 0.0), _quality(parameters))
    return found


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0


def takes_gzip(headers: Mapping[str, str]) -> bool:
    """Tell whether who asks takes gzip."""
    found = qualities(headers.get("Accept-Encoding", ""))
    return found.get("gzip", found.get("*", 0.0)) > 0


def takes_openmetrics(headers: Mapping[str, str]) -> bool:
    """Tell whether who asks takes OpenMetrics, and takes plain text no more gladly."""
    found = qualities(headers.get("Accept", ""))
    return found.get(OPENMETRICS_KIND, 0.0) > 0 and found[OPENMETRICS_KIND] >= found.get(_TEXT_KIND, 0.0)


def takes_csv(headers: Mapping[str, str]) -> bool:
    """Tell whether who asks takes CSV."""
    return qualities(headers.get("Accept", "")).get("text/csv", 0.0) > 0


__all__ = ["takes_csv", "takes_gzip", "takes_openmetrics"]
