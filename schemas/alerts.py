"""The record on `floorpulse.alerts`: one for each warning or breach that is entered or left.

A record's id is a hash of what it says and of the id of the record before it about the same subject. So whoever publishes
the same change twice gives it the same id, and receivers recognise it.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

VERSION: Final = 1
LEVEL_NAMES: Final = ("good", "warn", "breach")
LevelName = Literal["good", "warn", "breach"]
Kind = Literal["entered", "left", "reminder"]


class Alert(BaseModel):
    """One change of one subject's level, or its repetition at the end of quiet hours; times in ms UTC."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: Literal[1] = Field(VERSION, description="version of this form")
    id: str = Field(description="the same for the same change: receivers deduplicate by it")
    previous: str | None = Field(description="id of the record before about the same subject")
    kind: Kind = Field(description="entered: worse than before; left: better; reminder: what was not told in quiet hours")
    kpi: str = Field(description="id of the indicator")
    queue: str = Field("", description="of an indicator of queues")
    channel: str = Field("")
    group: str = Field("", description="of an indicator of groups")
    level: LevelName = Field(description="the level from now on; good also where too few facts are left to judge")
    before: LevelName = Field(description="the level before")
    told: LevelName = Field(description="the level that people were last told, this record included")
    quiet: bool = Field(False, description="quiet hours: nobody is told now")
    value: float | None = Field(description="in the indicator's unit: s, 0..1, or a number; null: nothing to judge")
    limit: float | None = Field(description="the limit that was crossed, in the same unit")
    n: int = Field(0, description="facts behind the value; 0 for a state of now")
    window: str = Field("", description="what was looked at; empty for a state of now")
    since: int = Field(description="when the level was entered")
    at: int = Field(description="the floor's time of this record")
    url: str = Field("", description="the wall-screen's page about it")

    @property
    def key(self) -> bytes:
        """The Kafka key: a JSON array of what is judged."""
        return alert_key(self.kpi, self.queue, self.channel, self.group)

    def encode(self) -> bytes:
        """Return the Kafka value: JSON."""
        return self.model_dump_json().encode()


def alert_key(*subject: str) -> bytes:
    """Return the Kafka key of a subject: kpi, queue, channel, group."""
    return json.dumps(subject, ensure_ascii=False, separators=(",", ":")).encode()


def alert_id(key: bytes, previous: str | None, since: int, level: str, quiet: bool) -> str:
    """Return the id of a change; the instant counts only where no record stands before it."""
    said = [key.decode(), previous if previous is not None else since, level, quiet]
    return sha256(json.dumps(said).encode()).hexdigest()[:32]


def decode_alert(value: bytes | None) -> Alert | None:
    """Return a record, None for what is none or of a later form."""
    try:
        return None if value is None else Alert.model_validate_json(value)
    except ValidationError:
        return None


__all__ = ["LEVEL_NAMES", "VERSION", "Alert", "Kind", "LevelName", "alert_id", "alert_key", "decode_alert"]
