"""The route by which EHRs tell what became of a card."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from flask import Blueprint, Response

from cds_service.feedback.model import Fact
from cds_service.hooks.feedback import FeedbackItem, read_feedback
from cds_service.web.body import read_body
from cds_service.web.logs import note
from cds_service.web.parts import Parts
from cds_service.web.routes import service_of


def blueprint(parts: Parts) -> Blueprint:
    """The feedback route of every service."""
    pages = Blueprint("feedback", __name__)

    @pages.post("/cds-services/<service_id>/feedback")
    def take(service_id: str) -> Response:
        """Keep feedback; the answer is given once it is on disk."""
        path = f"/cds-services/{service_id}"
        caller = parts.guard.caller(f"{path}/feedback", path)
        service = service_of(parts, service_id)
        note(service=service.id, tenant=caller.tenant)
        items = read_feedback(read_body())
        now = datetime.now(UTC).replace(tzinfo=None)
        facts = [_fact(item, service.id, caller.name, now) for item in items]
        new = parts.store.keep(facts)
        outcomes = Counter(fact.outcome for fact in new)
        note(feedback={"items": len(items), "new": outcomes})
        for fact in new:
            parts.metrics.kept(fact.outcome)
        return Response(status=204)

    return pages


def _fact(item: FeedbackItem, service: str, issuer: str, now: datetime) -> Fact:
    return Fact(
        card=item.card,
        service=service,
        issuer=issuer,
        outcome=item.outcome,
        suggestions=item.suggestions,
        reason_system=item.reason_system,
        reason_code=item.reason_code,
        comment=item.comment,
        happened_at=item.happened.replace(tzinfo=None) if item.happened else None,
        received_at=now,
    )
