"""Write the reference of the indicators from the catalogue: `python -m streams.reference > docs/indicators.md`.

What stands there about an indicator is what the product computes by, so the page cannot be wrong in another way than the product
is. A test fails when the committed page is not what comes out here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from schemas.columns import Column, group_columns, queue_columns
from schemas.kpis import BY_ID, CATALOGUE, PERCENTILES, SERVICE_LEVELS, Kpi, Section, value_of
from schemas.metric_names import Family, families_of
from schemas.parts import AGENT_DAYS, REVIEWER_DAYS
from schemas.rules import DAY_MS, HOUR_MS, QueueRules, Rules

GOLDEN: Final[Mapping[str, int]] = {
    "answered": 1000,
    "answered_within": 860,
    "abandoned": 60,
    "abandoned_within": 20,
    "short_abandoned": 10,
}
"""The example by which the six service levels are told apart."""

_SECTIONS: Final[dict[Section, str]] = {
    "now": "Now",
    "queue": "Queue, over a window",
    "session": "Session, over a window",
    "agents": "Agent time, over a window, by group",
    "quality": "Quality and business, over a window",
}
_UNITS: Final = {"count": "a count", "seconds": "seconds", "ratio": "a ratio, 0 to 1 (0.8 is 80 %)", "number": "a number"}
_BETTER: Final = {"up": "more is better", "down": "less is better", None: "neither more nor less is better by itself"}
_ROLES: Final = {
    "value": "",
    "numerator": "its numerator: ",
    "denominator": "its denominator: ",
    "share": "share within target: ",
    "beside": "beside it: ",
    "counter": "counter for `rate()`: ",
    "histogram": "histogram: ",
}
_NO_COLUMNS: Final = frozenset({REVIEWER_DAYS, AGENT_DAYS})
_SAID: Final = {
    "status_share": "time in the status / `online_s`",
    "work_rate": "time in the status available / `online_s`, which is `status_share_available`",
    "cost_per_contact": "`cost_<currency> / ended`",
}
"""Formulas that need other words than the terms of the catalogue."""

_HEAD: Final = """\
<!-- Made from the catalogue by `make reference`. Do not edit: change schemas/kpis.py and make it anew. -->

# Indicators

What floorpulse computes, how exactly, and under which name you find it: on the wall-screen, in the interval table (`floorpulse
report`), and in Prometheus. `floorpulse kpis` prints the short form.

Definitions come from the customer-service literature (the 22 operations indicators of an omnichannel customer-service cloud, and a
contact-centre KPI reference) and from how Amazon Connect, Genesys Cloud, Twilio, Zendesk, Cisco and Asterisk use the same words.
Where they disagree, the entry says so under "others". Targets are theirs, too: *good band / usual in the trade*; they are the
defaults of the thresholds, and each can be set per queue.

## How to read a number

* **When a fact counts.** At the moment when it becomes one, by the time of the event: an answered wait when it is answered, an
  abandonment when the customer leaves. Time in a state (busy, with a session in hand) is split exactly over the windows it covers.
* **Ratios** are a sum over a sum, over all queues, partitions and intervals that you look at, never an average of ratios. Numerator
  and denominator are always published beside a ratio or a mean, so that you can add up queues yourself.
* **Nothing over nothing is no number.** Where the denominator is 0 there is an empty cell, a dash on the wall, no series in
  Prometheus: not 0 %, and not 100 %.
* **Percentiles** (p50, p90, p95, max) are within 1 % of the true value, and exact for 0. Mean, count and sum are exact. The
  p-percentile of n values is the ⌈p·n⌉-th smallest one. Percentiles of different queues cannot be added up or averaged.
* **Limits.** "Within T" is a wait of T or less; "longer than" and "shorter than" leave the limit itself out.
* **Which queue.** What happens in a session belongs to the queue that it entered last before, and stays there when it moves on.
  Each stay in a queue is one wait.
* **Clocks that are wrong.** A duration that would be negative counts as 0, and as a clock error.
* **Late, twice, in another order, after a restart**: the numbers are the same. A late event corrects the time that it belongs to,
  up to {session} h after a session's end, {agent} h for an agent's status, {business} days for visits, costs and complaints.
* **Windows.** The last 5, 15, 30 and 60 minutes (settable) up to this second; `today` since midnight in the queue's time zone;
  `7d`: today and the six days before. The interval table has 15, 30 or 60 minutes of local time.
* **Comparison.** `today` against yesterday and the same weekday a week ago, `7d` against the seven days before, both up to the last
  quarter-hour that has passed: in points for ratios, in percent of the base for counts and durations.

Prometheus: with several boards take `max by (queue, channel)` first, and divide sums of numerators by sums of denominators:

```
sum(max by (queue, channel) (floorpulse_abandonment_numerator{{window="30m"}}))
  / sum(max by (queue, channel) (floorpulse_abandonment_denominator{{window="30m"}}))
```

What a queue counts by unless its settings say otherwise: T (answer threshold) {answer} s, short-abandon limit {short} s, placement
limit {placement} s, target of first responses and of responses {response} s, service level `{level}`, short abandons in the
abandonment ratio.

## Service level: one word, six formulas

Each product on the market means another one, and on the same day they differ by five points. Compare numbers only under the same
name. The setting is `service_level`, per queue; the name is published beside the value (column and label `formula`).

The example: 1000 answered, 860 of them within T; 60 abandoned, 20 of them within T, of these 10 short.

| name | formula, in columns of the interval table | the example |
|---|---|---|
"""

_AFTER_LEVELS: Final = """
With `count_waiting_late` those who wait past T at this moment are added to the denominator, in windows that end now: without it the
level looks fine while a queue collapses. The interval table never has it.
"""


def page() -> str:
    """Return the whole page."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    rules, queue = Rules(), QueueRules()
    yield _HEAD.format(
        session=rules.session_horizon_ms // HOUR_MS,
        agent=rules.agent_horizon_ms // HOUR_MS,
        business=rules.business_horizon_ms // DAY_MS,
        answer=queue.answer_ms // 1000,
        short=queue.short_ms // 1000,
        placement=queue.placement_ms // 1000,
        response=queue.response_ms // 1000,
        level=queue.service_level,
    ).rstrip("\n")
    for name, (top, bottom) in SERVICE_LEVELS.items():
        default = " (default)" if name == queue.service_level else ""
        yield f"| `{name}`{default} | {_fraction(top, bottom)} | {golden(name):.6f} |"
    yield _AFTER_LEVELS.rstrip("\n")
    yield "\n## All of them\n\n| indicator | id | unit | target: good / usual |\n|---|---|---|---|"
    for kpi in CATALOGUE:
        yield f"| [{kpi.title}](#{_anchor(kpi)}) | `{kpi.id}` | {kpi.unit} | {_text(kpi.target)} |"
    for section, title in _SECTIONS.items():
        yield f"\n## {title}"
        for kpi in CATALOGUE:
            if kpi.section == section:
                yield from _entry(kpi)


def golden(formula: str) -> float | int | None:
    """Return one service level of the example."""
    kpi = BY_ID["service_level"]
    assert kpi.terms is not None
    return value_of(kpi, kpi.terms(QueueRules(service_level=formula)), GOLDEN)


def _anchor(kpi: Kpi) -> str:
    """Return the anchor that a heading `Title (`id`)` gets."""
    return f"{kpi.title} {kpi.id}".lower().replace(" ", "-")


def _entry(kpi: Kpi) -> Iterator[str]:
    yield f"\n### {kpi.title} (`{kpi.id}`)\n"
    yield f"{_text(kpi.definition[0].upper() + kpi.definition[1:])}.\n"
    stats = ", ".join(PERCENTILES)
    rows = {
        "formula": _formula(kpi),
        "unit": _UNITS[kpi.unit] + (f"; besides the mean {stats} and max" if kpi.series else ""),
        "direction": _BETTER[kpi.better],
        "target": _text(kpi.target),
        "beside it": _text("; ".join(f"`{part}`: {text}" for part, text in kpi.beside)),
        "variants": _variants(kpi),
        "windows": _windows(kpi),
        "Prometheus": "<br>".join(_named(family) for family in families_of(kpi)),
        "interval table": _columns(kpi),
        "others": _text(kpi.differs),
    }
    yield "| | |\n|---|---|"
    yield from (f"| {name} | {text} |" for name, text in rows.items() if text)


def _text(text: str) -> str:
    """Return a text of the catalogue as Markdown in a table cell."""
    return text.replace("|", "\\|").replace("<=", "≤").replace(">=", "≥").replace("<", "&lt;").replace(">", "&gt;")


def _formula(kpi: Kpi) -> str:
    if kpi.id == "service_level":
        return "one of [the six](#service-level-one-word-six-formulas)"
    if kpi.id in _SAID:
        return _SAID[kpi.id]
    if kpi.id == "abandonment":
        without_short = _ratio(kpi, QueueRules(short_in_abandonment=False))
        return f"{_ratio(kpi, QueueRules())}; with `short_in_abandonment: false` {without_short}"
    if kpi.form == "ratio":
        return _ratio(kpi, QueueRules())
    if kpi.form == "mean":
        top, _, bottom = kpi.formula.partition(" / ")
        return _fraction(top.strip("()"), bottom.strip("()"))
    return f"`{_in_columns(kpi.formula)}`" if kpi.form in ("count", "time") else _text(kpi.formula)


def _ratio(kpi: Kpi, rules: QueueRules) -> str:
    assert kpi.terms is not None
    top, bottom = (" ".join(f"{'+' if n > 0 else '-'} {part}" for part, n in terms) for terms in kpi.terms(rules))
    return _fraction(top.removeprefix("+ "), bottom.removeprefix("+ ") + (" in hours" if kpi.per_hour else ""))


def _fraction(top: str, bottom: str) -> str:
    """Return numerator / denominator in the names of columns."""
    return "`" + " / ".join(_bracketed(_in_columns(side)) for side in (top, bottom)) + "`"


def _bracketed(side: str) -> str:
    return f"({side})" if " + " in side or " - " in side else side


def _in_columns(text: str) -> str:
    """Return parts by the names of their columns: `_ms` are seconds there."""
    return re.sub(r"_ms\b", "_s", re.sub(r"_e6\b", "", text))


def _variants(kpi: Kpi) -> str:
    if kpi.id == "agents":
        return "by `status`"
    if kpi.variants is None:
        return ""
    label, values = kpi.variants
    alone = "" if kpi.form == "count" or kpi.id in ("status_share", "cost_per_contact") else "altogether, and "
    return f"{alone}by `{label}`: " + (", ".join(values) if values else "those that occur")


def _windows(kpi: Kpi) -> str:
    if kpi.form == "state":
        return "none: as it is now"
    if kpi.form == "turnover":
        return "the last 30 days"
    return "`today` and `7d` only: whole local days" if kpi.days else "trailing ones, `today`, `7d`, intervals"


def _named(family: Family) -> str:
    return f"{_ROLES[family.role]}`{family.name}{{{','.join(family.labels)}}}`"


def _columns(kpi: Kpi) -> str:
    """Return where the interval table has an indicator: its own columns, then those that it is made of."""
    every = group_columns() if kpi.dimension == "group" else queue_columns(["EUR"])
    names = [column.name for column in every]
    own = [column.name for column in every if column.kpi == kpi.id and column.name not in _counts(kpi)]
    found = dict.fromkeys([*own, *(name for name in _counts(kpi) if name in names)])
    of = [name for name in _parts(kpi, every) if name not in found]
    text = ", ".join(f"`{name}`" for name in found).replace("_EUR`", "_<currency>`")
    if found and of:
        text += "; from " + ", ".join(f"`{name}`" for name in of)
    if kpi.beside:
        text += "; beside it " + ", ".join(f"`{part}`" for part, _ in kpi.beside)
    by = " (by group)" if kpi.dimension == "group" else ""
    return text.replace("_EUR`", "_<currency>`") + by if text else "no column: it is no number of an interval"


def _counts(kpi: Kpi) -> list[str]:
    """Return the columns of an indicator that is a count."""
    if kpi.form != "count":
        return []
    return [f"messages_{value}" for value in kpi.variants[1]] if kpi.variants else [kpi.id]


def _parts(kpi: Kpi, every: Iterable[Column]) -> list[str]:
    """Return the columns that hold the parts of an indicator's formula."""
    words = set(re.findall(r"\w+", _in_columns(kpi.formula)))
    if kpi.id == "service_level":
        words = {word for sides in SERVICE_LEVELS.values() for side in sides for word in re.findall(r"\w+", side)}
    words |= {f"cost_{currency}" for currency in ("EUR",) if kpi.id == "cost_per_contact"}
    return [column.name for column in every if column.name in words - _NO_COLUMNS and column.kpi != kpi.id]


__all__ = ["GOLDEN", "golden", "page"]

if __name__ == "__main__":
    sys.stdout.write(page())
