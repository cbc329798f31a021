"""PromQL that the dashboards share.

Any number of boards may be scraped, so each query merges them first: `max by (queue, channel)`. A ratio over several queues is a
sum of numerators over a sum of denominators, never a mean of ratios.
"""

from __future__ import annotations

from typing import Final

from schemas.metric_names import PREFIX

PLACE: Final = 'queue=~"$queue",channel=~"$channel"'
"""The queues and channels that were chosen."""
OF_ANY_CHANNEL: Final = 'queue=~"$queue"'
"""The chosen queues, for series whose channel is that of the configuration or `any`."""
STAFFED: Final = 'status!="offline"'
GROUP: Final = 'group=~"$group"'
WINDOW: Final = "$window"
RATE: Final = "[$__rate_interval]"
OF_QUEUE: Final = ("queue", "channel")


def selector(metric: str, *matchers: str) -> str:
    """Return `floorpulse_metric{matchers}`."""
    return f"{PREFIX}{metric}{{{','.join(matchers)}}}" if matchers else PREFIX + metric


def limits(kpi: str, pick: str = "max") -> str:
    """Return the limits of an indicator for the chosen queues, a series per level; `pick` the strictest or mildest."""
    return f"{pick} by (level) ({selector('threshold', matcher('kpi', kpi), PLACE)})"


def matcher(label: str, value: str) -> str:
    """Return `label="value"`."""
    return f'{label}="{value}"'


def in_window(window: str) -> str:
    """Return the matcher of a window."""
    return matcher("window", window)


def merged(metric: str, *matchers: str, by: tuple[str, ...] = OF_QUEUE) -> str:
    """Return a gauge of the chosen queues with what several boards say made one."""
    return f"max by ({', '.join(by)}) ({selector(metric, PLACE, *matchers)})"


def merged_rate(metric: str, function: str = "rate", *, by: tuple[str, ...] = OF_QUEUE, offset: str = "") -> str:
    """Return what a counter of the chosen queues grew by, of the board that saw most of it."""
    behind = f" offset {offset}" if offset else ""
    return f"max by ({', '.join(by)}) ({function}({selector(metric, PLACE)}{RATE}{behind}))"


def ratio(kpi: str, window: str = WINDOW, *, by: str = "", top: str = "", bottom: str = "") -> str:
    """Return an indicator over all chosen queues.

    `by` keeps a label; `top` and `bottom` name the labels by which numerator and denominator come in pieces (`direction`, `kind`).
    """
    keep = f" by ({by})" if by else ""
    extra = (by,) if by and by not in OF_QUEUE else ()
    sides = [
        f"sum{keep} ({merged(f'{kpi}_{side}', in_window(window), by=(*OF_QUEUE, *extra, *((pieces,) if pieces else ())))})"
        for side, pieces in (("numerator", top), ("denominator", bottom))
    ]
    return " / ".join(sides)


def group_ratio(kpi: str, window: str = WINDOW) -> str:
    """Return an indicator of the chosen groups, a series each."""
    sides = [f"max by (group) ({selector(f'{kpi}_{side}', GROUP, in_window(window))})" for side in ("numerator", "denominator")]
    return " / ".join(sides)


def quantile(share: float, buckets: str) -> str:
    """Return a quantile of a classic histogram."""
    return f"histogram_quantile({share:g}, sum by (le) ({buckets}))"


__all__ = [
    "GROUP",
    "OF_ANY_CHANNEL",
    "OF_QUEUE",
    "PLACE",
    "RATE",
    "STAFFED",
    "WINDOW",
    "group_ratio",
    "in_window",
    "limits",
    "matcher",
    "merged",
    "merged_rate",
    "quantile",
    "ratio",
    "selector",
]
