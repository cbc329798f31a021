"""Questions to a running Prometheus by its HTTP API."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from typing import Any


def ask(prometheus: str, path: str, **parameters: str) -> Any:
    """The data of an answer; raises what Prometheus says to a wrong question."""
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{parameters}: {error.read().decode()}") from None


def numbers(prometheus: str, expr: str) -> list[float]:
    """The finite values that an instant query answers."""
    values = [float(each["value"][1]) for each in ask(prometheus, "query", query=expr)["result"]]
    return [value for value in values if math.isfinite(value)]


__all__ = ["ask", "numbers"]
