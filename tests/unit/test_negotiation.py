"""What an answer looks like by the headers of who asks."""

from __future__ import annotations

import pytest

from sinks.negotiation import takes_gzip, takes_openmetrics


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("gzip, deflate", True),
        ("GZIP", True),
        ("*", True),
        ("deflate, gzip;q=0.5", True),
        ("", False),
        ("not-gzip", False),
        ("gzip;q=0", False),
        ("gzip;Q=0.00;x=1", False),
        ("*, gzip;q=0", False),
        ("gzip;q=no", False),
    ],
)
def test_gzip(header: str, takes: bool) -> None:
    """By name or by asterisk, unless with a quality of 0."""
    assert takes_gzip({"Accept-Encoding": header}) is takes


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", True),
        ("Application/OpenMetrics-Text", True),
        ("text/plain, application/openmetrics-text", True),
        ("text/plain, application/openmetrics-text;q=0.9", False),
        ("text/plain, application/openmetrics-text;q=0", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_openmetrics(header: str, takes: bool) -> None:
    """As Prometheus asks for it; not where plain text is wanted more."""
    assert takes_openmetrics({"Accept": header}) is takes
