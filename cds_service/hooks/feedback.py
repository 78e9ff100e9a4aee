"""The JSON of a feedback call, checked, as values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from cds_service.errors import CallError
from cds_service.hooks.checks import first_fault

_LONGEST_CODE = 255
_LONGEST_COMMENT = 10_000


@dataclass(frozen=True, slots=True)
class FeedbackItem:
    """
    What became of one card.

    `happened` is None when the client does not say when; `comment` may hold anything, also about
    the patient.
    """

    card: str
    outcome: str  # "accepted" or "overridden"
    suggestions: tuple[str, ...] = ()
    reason_system: str | None = None
    reason_code: str | None = None
    comment: str | None = field(default=None, repr=False)
    happened: datetime | None = None


def read_feedback(body: bytes) -> tuple[FeedbackItem, ...]:
    """
    The items of a feedback call.

    Raises CallError (400) that names the member at fault; then none of them is kept.
    """
    try:
        sent = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise CallError(400, "invalid", "The body is not JSON.", "the whole body") from None
    fault = first_fault("feedback", sent)
    if fault is not None:
        text = "The feedback lacks a member, or one has a wrong form."
        raise CallError(400, "invalid", text, fault)
    return tuple(_items(sent["feedback"]))


def _items(sent: list[dict[str, Any]]) -> Iterator[FeedbackItem]:
    for number, item in enumerate(sent):
        reason = _reason(item)
        coding = reason.get("reason")
        coding = coding if isinstance(coding, dict) else {}
        comment = reason.get("userComment")
        yield FeedbackItem(
            card=item["card"].strip(),
            outcome=item["outcome"],
            suggestions=tuple(s["id"] for s in item.get("acceptedSuggestions") or ()),
            reason_system=_short(coding.get("system")),
            reason_code=_short(coding.get("code")),
            comment=comment[:_LONGEST_COMMENT] if isinstance(comment, str) and comment else None,
            happened=_moment(item.get("outcomeTimestamp"), f"feedback.{number}.outcomeTimestamp"),
        )


def _reason(item: dict[str, Any]) -> dict[str, Any]:
    """The reason of an override; one EHR calls it `overrideReasons`, and may send a list."""
    found = item.get("overrideReason") or item.get("overrideReasons")
    if isinstance(found, list):
        found = next((entry for entry in found if isinstance(entry, dict)), None)
    return found if isinstance(found, dict) else {}


def _short(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_CODE else None


def _moment(value: str | None, where: str) -> datetime | None:
    """A time in UTC; without a zone it is taken for UTC, as the specification has it."""
    if not value:
        return None
    try:
        found = datetime.fromisoformat(value.replace("z", "Z"))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        text = "The feedback lacks a member, or one has a wrong form."
        wanted = f"{where}: expected a time such as 2026-03-01T09:30:00Z"
        raise CallError(400, "invalid", text, wanted) from None
