"""Settings of alerts: who is told, how, and where the links in messages and rules lead."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from schemas.durations import Duration

MAX_WEBHOOKS: Final = 20


def _http(url: str | None) -> str | None:
    if url is not None and not url.startswith(("http://", "https://")):
        raise ValueError("is not an address: it must begin with http:// or https://")
    return url


def why_not_posted_to(url: str) -> str | None:
    """Return why nothing can be posted to an address, without the address, which may be a secret; None: it can be tried."""
    if not url.startswith(("http://", "https://")):
        return "is not an address: it must begin with http:// or https://"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not an address: its host or port cannot be read"
    if not host:
        return "is not an address: it names no host"
    try:
        host.encode("idna")
    except UnicodeError:
        return "is not an address: each part of its host name must have 1 to 63 characters allowed in host names"
    return None


def _secret_http(url: SecretStr) -> SecretStr:
    if (why := why_not_posted_to(url.get_secret_value())) is not None:
        raise ValueError(why)
    return url


class Webhook(BaseModel):
    """One receiver of the board's own messages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9._-]+$", description="its name in logs and metrics")
    url: Annotated[SecretStr, AfterValidator(_secret_http)] | None = Field(None, description="where to post; often a secret itself")
    url_file: str | None = Field(None, description="file whose first line is the address")
    template: Literal["json", "slack", "dingtalk", "wecom"] = Field("json", description="json: the record itself")
    secret: SecretStr | None = Field(None, description="DingTalk's signing secret, SEC...")
    secret_file: str | None = Field(None, description="file whose first line is the signing secret")
    authorization: SecretStr | None = Field(None, description="value of the Authorization header")
    authorization_file: str | None = Field(None, description="file whose first line is that value")
    level: Literal["warn", "breach"] = Field("breach", description="warn: of warnings, too")
    timeout: Duration = Field(5_000, ge=100, le=60_000, description="longest time for one attempt")
    retry_for: Duration = Field(900_000, description="so long a message is tried again")

    @model_validator(mode="after")
    def _is_whole(self) -> Webhook:
        if (self.url is None) == (self.url_file is None):
            raise ValueError(f"webhook {self.name}: set either url or url_file")
        for key in ("secret", "authorization"):
            if getattr(self, key) is not None and getattr(self, f"{key}_file") is not None:
                raise ValueError(f"webhook {self.name}: {key} and {key}_file are both set: leave out one")
        if self.template != "dingtalk" and (self.secret is not None or self.secret_file is not None):
            raise ValueError(f"webhook {self.name}: only template dingtalk signs by a secret")
        return self


class Alerts(BaseModel):
    """Alerts of the board, and addresses in messages and generated rules."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(True, description="whether boards publish to floorpulse.alerts and post")
    board_url: str | None = Field(None, description="the board as people reach it; default: where it listens")
    grafana_url: str | None = Field(None, description="Grafana as people reach it: links of rules lead there instead of the board")
    runbooks_url: str = Field("docs/runbooks/", description="what stands before the name of a runbook page in rules")
    webhooks: list[Webhook] = Field([], max_length=MAX_WEBHOOKS, description="who is told of breaches by the board itself")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Alerts:
        names = [webhook.name for webhook in self.webhooks]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"webhooks: the name {twice!r} stands there twice")
        return self

    @field_validator("board_url", "grafana_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        return _http(value)


__all__ = ["MAX_WEBHOOKS", "Alerts", "Webhook", "why_not_posted_to"]
