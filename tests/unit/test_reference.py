"""The reference page of the indicators: made from the catalogue, complete, and about names that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schemas.columns import group_columns, queue_columns
from schemas.config_file import all_keys
from schemas.kpis import CATALOGUE, SERVICE_LEVELS, Kpi
from schemas.metric_names import families_of
from sinks.families import indicator_families
from sinks.series import Bounds
from sinks.snapshot import Snapshot
from streams import config_page
from streams.reference import golden, page

CONFIGURATION = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "indicators.md"

# The specification's golden vector: 1000 answered, 860 within T; 60 abandoned, 20 within T, of them 10 short.
GOLDEN = {
    "sl_all_within": 0.830189,
    "sl_answered": 0.860000,
    "sl_offered": 0.811321,
    "sl_late_abandons": 0.826923,
    "sl_short_credit": 0.820755,
    "sl_no_short": 0.819048,
}


def entry(kpi: Kpi) -> str:
    """The page's text about an indicator."""
    _, _, rest = page().partition(f"(`{kpi.id}`)\n")
    return rest.partition("\n### ")[0]


def test_the_committed_page_is_up_to_date() -> None:
    """`make reference` changes nothing."""
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/indicators.md is not what the catalogue says: run make reference"


def test_the_configurations_page_is_up_to_date() -> None:
    """`make reference` changes nothing; each key has its default, what it may be, and what it means."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    assert text == config_page.page(), "docs/configuration.md is not what the settings are: run make reference"
    for key in all_keys():
        assert f"| `{key.name}` | `{key.default}` | " in text
        assert key.description, key.name
    assert "| `time.mode` | `live` | live, replay | " in text
    assert "| `kafka.sasl_password` | `-` | secret | " in text
    assert "| `limits.session_age_by_channel` | `-` | map of names to durations | " in text


@pytest.mark.parametrize("kpi", CATALOGUE, ids=lambda kpi: kpi.id)
def test_each_indicator_has_its_entry(kpi: Kpi) -> None:
    """Unit, windows, metric names and columns, however it is counted; and what others mean by the word."""
    text = entry(kpi)
    for row in ("unit", "direction", "windows", "Prometheus", "interval table"):
        assert f"\n| {row} | " in text
    assert ("\n| others | " in text) == bool(kpi.differs)
    assert ("\n| target | " in text) == bool(kpi.target)
    assert ("\n| formula | " in text) == (kpi.form != "state")
    assert all(f"`{family.name}{{" in text for family in families_of(kpi))


@pytest.mark.parametrize("formula", GOLDEN)
def test_the_example_tells_the_service_levels_apart(formula: str) -> None:
    """To the last published decimal."""
    assert golden(formula) == pytest.approx(GOLDEN[formula], abs=5e-7)
    assert re.search(rf"\n\| `{formula}`.* \| {GOLDEN[formula]:.6f} \|", page())


def test_all_service_levels_are_there() -> None:
    """Six, no more and no less."""
    assert set(GOLDEN) == set(SERVICE_LEVELS)


def test_every_column_that_is_named_exists() -> None:
    """Also within formulas: who recomputes an indicator in a spreadsheet finds what it is made of."""
    columns = {column.name.replace("EUR", "<currency>") for column in (*queue_columns(["EUR"]), *group_columns())}
    for kpi in CATALOGUE:
        found = re.search(r"\n\| interval table \| (.*) \|", entry(kpi))
        assert found is not None
        assert set(re.findall(r"`([^`]+)`", found[1])) <= columns
        formula = re.search(r"\n\| formula \| `([^`]*)`", entry(kpi))
        if formula is not None and not kpi.days:
            assert {word for word in re.findall(r"[a-z_<>]+", formula[1]) if "_" in word} <= columns


def test_metric_names_are_those_of_the_board() -> None:
    """What the page names is published, and what the board publishes of an indicator is on the page."""
    snapshot = Snapshot(1, 0, 0, labels=("30m", "today"))
    published = {family.name: family.type for family in indicator_families(snapshot, Bounds(100), snapshot.labels)}
    named = {family.name.removesuffix("_total") for kpi in CATALOGUE for family in families_of(kpi)}
    assert named - set(published) == set()
    further = {name for name in set(published) - named if published[name] == "gauge"}
    assert {name for name in further if not name.startswith(("floorpulse_floor_", "floorpulse_agent_"))} == set()


def test_links_lead_to_headings() -> None:
    """Each link within the page has its heading."""
    text = page()
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    headings = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    links = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert links
    assert links <= headings


def test_no_line_is_broken() -> None:
    """Tables have as many cells in each row as in their head; nothing is left of a template."""
    text = page()
    assert not re.search(r"\{\w+\}|\bNone\b", re.sub(r"`[^`]*`", "", text))
    for row in re.findall(r"^\|.*\|$", text, flags=re.MULTILINE):
        assert row.count("|") - row.count("\\|") in (3, 4, 5)
