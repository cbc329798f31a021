"""Settings laid over settings: what is set on top wins, the rest stays."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def overlaid(base: Any, top: Any) -> Any:
    """Return `base` with what is set in `top`: sections and maps of names key by key, anything else as a whole."""
    if isinstance(base, BaseModel) and isinstance(top, BaseModel):
        names = [name for name in top.model_fields_set if name in type(base).model_fields and getattr(top, name) is not None]
        return base.model_copy(update={name: overlaid(getattr(base, name), getattr(top, name)) for name in names})
    if isinstance(base, dict) and isinstance(top, dict):
        return {**base, **{name: overlaid(base[name], value) if name in base else value for name, value in top.items()}}
    return top


__all__ = ["overlaid"]
