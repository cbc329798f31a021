"""The canonical events: frozen pydantic models, the only definition of what an event is.

Everything else (the fast decoder in `schemas.codec`, JSON Schemas) is derived from these classes. `TOPIC_OF` and
`KEY_OF` say on which topic a type travels and which field is its record key.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from schemas.errors import REASONS, InvalidEvent, Reason
from schemas.instants import parse_instant

MAX_NAME_CHARS: Final = 128
MAX_LIST: Final = 1000
"""Longest list of groups or queues in one event: an agent in more is a mistake upstream."""
MAX_EVENT_BYTES: Final = 65_536
"""Largest record value that is looked at: canonical events have some 200 bytes."""
MAX_AMOUNT: Final = 1e9
"""Largest amount in one event, so that sums of millionths stay far inside 64 bits."""
MAX_COUNT: Final = 1_000_000_000
RESERVED: Final = frozenset({"all", "unassigned"})
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")

Outcome = Literal["answered", "abandoned", "overflowed", "timed_out", "transferred", "callback", "voicemail", "closed"]
Direction = Literal["inbound", "outbound", "callback"]
Sender = Literal["customer", "agent", "system", "bot"]
TransferKind = Literal["blind", "warm"]


def check_name(text: str) -> str:
    """Refuse control characters (C0, DEL, C1)."""
    if CONTROL.search(text):
        raise PydanticCustomError("bad_name", "holds a control character")
    return text


def check_reserved(text: str) -> str:
    """Refuse the names that floorpulse itself uses."""
    if text in RESERVED:
        raise PydanticCustomError("reserved_name", "is a reserved name")
    return text


_LENGTH = StringConstraints(min_length=1, max_length=MAX_NAME_CHARS)
Identifier = Annotated[str, _LENGTH, AfterValidator(check_name)]
"""An identifier of something upstream, 1 to 128 characters, no control characters."""
Name = Annotated[str, _LENGTH, AfterValidator(check_name), AfterValidator(check_reserved)]
"""The name of a queue, group or channel: an identifier that is not `all` or `unassigned`."""
Names = Annotated[list[Name], Field(max_length=MAX_LIST)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Amount = Annotated[float, Field(ge=-MAX_AMOUNT, le=MAX_AMOUNT, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]


def _instant(at: Any) -> int:
    """Parse event time inside a model, keeping the reason."""
    if type(at) is not int and type(at) is not str:
        raise PydanticCustomError("bad_timestamp", "is neither RFC 3339 text nor integer milliseconds")
    try:
        return parse_instant(at)
    except InvalidEvent as error:
        raise PydanticCustomError(error.reason, "{detail}", {"detail": error.detail}) from None


Instant = Annotated[int, BeforeValidator(_instant)]


class Event(BaseModel):
    """The envelope of every event; `at` is UTC milliseconds."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")
    TOPIC: ClassVar[str]
    KEY: ClassVar[str]

    id: Identifier
    at: Instant
    v: Annotated[int, Field(ge=1)] = 1

    @field_validator("*", mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields.get(info.field_name or "")
        return field.default if value is None and field is not None and not field.is_required() else value


class _SessionEvent(Event):
    """What the two session-keyed topics share."""

    KEY: ClassVar[str] = "session_id"
    session_id: Identifier


class SessionStarted(_SessionEvent):
    """A customer (or, outbound, the centre) opened a session."""

    TOPIC: ClassVar[str] = "sessions"
    type: Literal["session.started"]
    channel: Name
    direction: Direction = "inbound"
    queue: Name | None = None
    customer_id: Identifier | None = None
    priority: int | None = None


class SessionConnected(_SessionEvent):
    """An agent took the session."""

    TOPIC: ClassVar[str] = "sessions"
    type: Literal["session.connected"]
    agent_id: Identifier
    queue: Name | None = None


class SessionMessage(_SessionEvent):
    """One message; `automatic` marks canned replies that no person sent."""

    TOPIC: ClassVar[str] = "sessions"
    type: Literal["session.message"]
    sender: Sender
    agent_id: Identifier | None = None
    automatic: bool = False


class SessionHeld(_SessionEvent):
    """Hold begins."""

    TOPIC: ClassVar[str] = "sessions"
    type: Literal["session.held"]
    agent_id: Identifier


class SessionResumed(_SessionEvent):
    """Hold ends."""

    TOPIC: ClassVar[str] = "sessions"
    type: Literal["session.resumed"]
    agent_id: Identifier


class SessionTransferred(_SessionEvent):
    """Handed on; the next `session.connected` names who took it."""

    TOPIC: ClassVar[str] = "sessions"
    type: Literal["session.transferred"]
    from_agent: Identifier
    to_agent: Identifier | None = None
    to_queue: Name | None = None
    kind: TransferKind = "blind"


class SessionEnded(_SessionEvent):
    """The conversation is over."""

    TOPIC: ClassVar[str] = "sessions"
    type: Literal["session.ended"]
    ended_by: Literal["customer", "agent", "system"]
    resolved: bool | None = None


class SessionWrappedUp(_SessionEvent):
    """After-session work is done."""

    TOPIC: ClassVar[str] = "sessions"
    type: Literal["session.wrapped_up"]
    agent_id: Identifier


class SessionSurveySent(_SessionEvent):
    """The customer was invited to rate."""

    TOPIC: ClassVar[str] = "sessions"
    type: Literal["session.survey_sent"]


def score_within_scale(rated: Any) -> bool:
    """Tell whether a rating lies in 0..scale (shared by the model and the fast decoder)."""
    return bool(0 <= rated.score <= rated.scale)


class SessionRated(_SessionEvent):
    """The rating; `scale` is the best score."""

    TOPIC: ClassVar[str] = "sessions"
    type: Literal["session.rated"]
    score: Amount
    scale: Annotated[float, Field(gt=0, le=MAX_AMOUNT, allow_inf_nan=False)]
    agent_id: Identifier | None = None

    @model_validator(mode="after")
    def _score_within_scale(self) -> SessionRated:
        if not score_within_scale(self):
            raise PydanticCustomError("bad_field", "score lies outside 0..scale")
        return self


class SessionReviewed(_SessionEvent):
    """A quality review, score 0 to 100; `live` = while it ran."""

    TOPIC: ClassVar[str] = "sessions"
    type: Literal["session.reviewed"]
    agent_id: Identifier
    reviewer_id: Identifier
    score: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
    live: bool = False


class QueueEntered(_SessionEvent):
    """A session starts waiting in a queue."""

    TOPIC: ClassVar[str] = "queues"
    type: Literal["queue.entered"]
    queue: Name
    channel: Name | None = None
    priority: int | None = None


class QueueOffered(_SessionEvent):
    """It rings, or pops up, at an agent."""

    TOPIC: ClassVar[str] = "queues"
    type: Literal["queue.offered"]
    queue: Name
    agent_id: Identifier


class QueueMissed(_SessionEvent):
    """That agent did not take it."""

    TOPIC: ClassVar[str] = "queues"
    type: Literal["queue.missed"]
    queue: Name
    agent_id: Identifier
    reason: str | None = None


class QueueLeft(_SessionEvent):
    """The session stops waiting."""

    TOPIC: ClassVar[str] = "queues"
    type: Literal["queue.left"]
    queue: Name
    outcome: Outcome
    agent_id: Identifier | None = None


class _AgentEvent(Event):
    """What the status topic's events share."""

    TOPIC: ClassVar[str] = "status"
    KEY: ClassVar[str] = "agent_id"
    agent_id: Identifier
    groups: Names | None = None


class AgentStatus(_AgentEvent):
    """From now on the agent is in this status; omitted lists and capacity stay as they were."""

    type: Literal["agent.status"]
    status: Annotated[str, _LENGTH, AfterValidator(check_name)]
    queues: Names | None = None
    capacity: Annotated[int, Field(ge=1, le=MAX_COUNT)] | None = None


class AgentJoined(_AgentEvent):
    """Hired: on the roster."""

    type: Literal["agent.joined"]


class AgentLeft(_AgentEvent):
    """Gone for good: off the roster."""

    type: Literal["agent.left"]


class _BusinessEvent(Event):
    """What the business topic's events share."""

    TOPIC: ClassVar[str] = "business"
    KEY: ClassVar[str] = "queue"
    queue: Name | None = None


class SiteVisits(_BusinessEvent):
    """Visitors since the last such event."""

    type: Literal["site.visits"]
    count: Count
    channel: Name | None = None


class CostBooked(_BusinessEvent):
    """Money spent on service."""

    type: Literal["cost.booked"]
    amount: Amount
    currency: Currency


class ComplaintOpened(_BusinessEvent):
    """A numbered complaint was opened."""

    KEY: ClassVar[str] = "complaint_id"
    type: Literal["complaint.opened"]
    complaint_id: Identifier
    session_id: Identifier | None = None


class ComplaintClosed(_BusinessEvent):
    """A numbered complaint was closed."""

    KEY: ClassVar[str] = "complaint_id"
    type: Literal["complaint.closed"]
    complaint_id: Identifier
    session_id: Identifier | None = None
    upheld: bool | None = None


MODELS: Final[tuple[type[Event], ...]] = (
    SessionStarted, SessionConnected, SessionMessage, SessionHeld, SessionResumed, SessionTransferred, SessionEnded,
    SessionWrappedUp, SessionSurveySent, SessionRated, SessionReviewed, QueueEntered, QueueOffered, QueueMissed, QueueLeft,
    AgentStatus, AgentJoined, AgentLeft, SiteVisits, CostBooked, ComplaintOpened, ComplaintClosed,
)  # fmt: skip


def type_of(model: type[Event]) -> str:
    """Return the `type` text that a model stands for."""
    text: str = model.model_fields["type"].annotation.__args__[0]  # type: ignore[union-attr]
    return text


MODEL_OF: Final[dict[str, type[Event]]] = {type_of(model): model for model in MODELS}
TOPIC_OF: Final[dict[str, str]] = {name: model.TOPIC for name, model in MODEL_OF.items()}
KEY_OF: Final[dict[str, str]] = {name: model.KEY for name, model in MODEL_OF.items()}
INPUT_TOPICS: Final[tuple[str, ...]] = ("sessions", "queues", "status", "business")

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_REASON_OF_ERROR: Final[dict[str, Reason]] = {
    "missing": "missing_field",
    "string_too_short": "bad_name",
    "string_too_long": "bad_name",
}


def parse_event(value: bytes) -> Event:
    """Validate one record value in full.

    Unknown extra fields are ignored whatever they hold, as long as the whole is JSON in UTF-8. Raises `InvalidEvent`.
    """
    if len(value) > MAX_EVENT_BYTES:
        raise InvalidEvent("too_large", f"{len(value)} bytes, at most {MAX_EVENT_BYTES}")
    try:
        value.decode()
        raw = _fields.decode(value)
        kind = msgspec.json.decode(raw["type"]) if "type" in raw else None
        model = MODEL_OF.get(kind) if isinstance(kind, str) else None
        known = {n: msgspec.json.decode(raw[n]) for n in model.model_fields if n in raw} if model else {}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent("unparsable", f"not a JSON object in UTF-8: {error}") from None
    if "type" not in raw:
        raise InvalidEvent("missing_field", "type is missing")
    if model is None:
        raise InvalidEvent("unknown_type", f"type {kind!r:.64} is unknown")
    try:
        return model.model_validate(known)
    except ValidationError as error:
        raise _invalid(error) from None


def _invalid(error: ValidationError) -> InvalidEvent:
    first = error.errors(include_url=False, include_input=True)[0]
    kind = first["type"]
    reason: Reason = next((r for r in REASONS if r == kind), _REASON_OF_ERROR.get(kind, "bad_field"))
    where = ".".join(map(str, first["loc"])) or "event"
    if first["msg"].startswith(f"{where} "):  # an instant's refusal says all itself
        return InvalidEvent(reason, first["msg"])
    shown = "" if reason == "missing_field" or not first["loc"] else f" ({first['input']!r:.80})"
    return InvalidEvent(reason, f"{where}: {first['msg']}{shown}")


__all__ = [
    "INPUT_TOPICS",
    "KEY_OF",
    "MAX_EVENT_BYTES",
    "MODELS",
    "MODEL_OF",
    "RESERVED",
    "TOPIC_OF",
    "Direction",
    "Event",
    "Outcome",
    "Sender",
    "TransferKind",
    "parse_event",
    "score_within_scale",
    "type_of",
]
