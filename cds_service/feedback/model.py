"""What is kept, as values; none of it names a patient."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Shown:
    """A card that was sent."""

    card: str
    recommendation: str
    indicator: str
    content_version: str
    service: str
    issuer: str
    shown_at: datetime


@dataclass(frozen=True, slots=True)
class Fact:
    """What became of a card, and who said so; `happened_at` is None if they did not say when."""

    card: str
    service: str
    issuer: str
    outcome: str
    suggestions: tuple[str, ...]
    reason_system: str | None
    reason_code: str | None
    comment: str | None = field(repr=False)
    happened_at: datetime | None
    received_at: datetime
