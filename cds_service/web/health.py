"""Whether the service stands, for people and for whoever restarts it."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Blueprint, Response

from cds_service import __version__
from cds_service.errors import Unavailable
from cds_service.web.parts import Parts

_encode = msgspec.json.Encoder().encode


def blueprint(parts: Parts) -> Blueprint:
    """The routes of health; none asks who is calling, and none tells a secret."""
    pages = Blueprint("health", __name__)

    @pages.get("/health/live")
    def live() -> Response:
        """That the process answers at all."""
        return _json({"status": "ok"}, 200)

    @pages.get("/health/ready")
    def ready() -> Response:
        """503 when calls cannot be answered."""
        report = _report(parts)
        return _json(report, 503 if report["status"] == "failed" else 200)

    @pages.get("/health")
    def health() -> Response:
        """The same, with what awaits review; 200 as long as the process answers."""
        return _json(_report(parts) | _content(parts), 200)

    return pages


def _report(parts: Parts) -> dict[str, Any]:
    """
    Each part in a word, and what that means for calls.

    Without its memory of used tokens every signed call is refused: that is *failed*. Without its
    database the service gives cards and keeps no feedback: that is *degraded*, and no reason to
    take it out of service.
    """
    database, replay = _database(parts), _replay(parts)
    keys = dict(parts.guard.key_sets.states())
    checks = {
        "content": "ok",
        "database": database,
        "replayMemory": replay,
        "keySets": keys,
        "reviewsOverdue": len(_overdue(parts)),
    }
    degraded = database != "ok" or {"empty", "stale"} & set(keys.values())
    status = "failed" if replay == "unavailable" else "degraded" if degraded else "ok"
    return {"status": status, "version": __version__, "checks": checks}


def _database(parts: Parts) -> str:
    try:
        parts.store.check()
    except Unavailable:
        return "unavailable"
    return "ok"


def _replay(parts: Parts) -> str:
    if parts.settings.client_auth == "off":
        return "not used"
    return parts.guard.replay.state()


def _content(parts: Parts) -> dict[str, Any]:
    content = parts.pipeline.content
    reviews = {card.id: card.review for card in content.cards.values()}
    reviews |= {name: history.review for name, history in content.thresholds.items()}
    return {
        "contentVersion": content.version,
        "awaitingReview": sorted(n for n, r in reviews.items() if r.status == "awaiting"),
        "reviewOverdue": _overdue(parts),
    }


def _overdue(parts: Parts) -> list[str]:
    content, today = parts.pipeline.content, parts.pipeline.today()
    reviews = {card.id: card.review for card in content.cards.values()}
    reviews |= {name: history.review for name, history in content.thresholds.items()}
    return sorted(name for name, review in reviews.items() if review.due < today)


def _json(value: Any, status: int) -> Response:
    return Response(_encode(value), status, mimetype="application/json")
