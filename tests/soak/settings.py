"""The soak's configuration: short horizons, so that state has its size after an hour and a half instead of days."""

from __future__ import annotations

from typing import Final

import yaml

from schemas.config import Config
from schemas.rules import Rules

SETTINGS: Final = """
duplicates: {horizon: 10m}
limits: {session_age: 10m, session_horizon: 10m, agent_horizon: 20m, business_horizon: 1h}
retention: {slices: 1h}
customers: {repeat_within: 10m}
"""


def soak_rules() -> Rules:
    """Return the rules of counting under these settings."""
    return Config.model_validate(yaml.safe_load(SETTINGS)).rules()


__all__ = ["SETTINGS", "soak_rules"]
