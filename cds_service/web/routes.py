"""The routes of CDS Hooks: discovery and the services."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from uuid import uuid4

import msgspec
from flask import Blueprint, Response
from flask_cors import CORS

from cds_service.domain.outcomes import Recommended, Undetermined
from cds_service.errors import CallError
from cds_service.feedback.model import Shown
from cds_service.fhir.completion import Completed
from cds_service.hooks.cards import Card
from cds_service.hooks.catalogue import Service
from cds_service.pipeline import Answer, Call
from cds_service.web.body import JSON, read_body
from cds_service.web.logs import CORRELATION_HEADER, current_call, note
from cds_service.web.parts import Parts

_encode = msgspec.json.Encoder().encode


def blueprint(parts: Parts) -> Blueprint:
    """The routes that EHRs call."""
    pages = Blueprint("cds_hooks", __name__)
    advertise = parts.settings.advertise_version
    discovery = _encode(
        {"services": [service.as_discovered(advertise) for service in parts.offered.values()]}
    )

    @pages.get("/cds-services")
    def discover() -> Response:
        """What is offered."""
        parts.guard.check_discovery("/cds-services")
        return Response(discovery, mimetype=JSON)

    @pages.post("/cds-services/<service_id>")
    def call(service_id: str) -> Response:
        """Answer one hook call with cards."""
        caller = parts.guard.caller(f"/cds-services/{service_id}")
        service = service_of(parts, service_id)
        note(service=service.id, tenant=caller.tenant)
        made = Call(caller, current_call().began, _note_reads)
        answer = parts.pipeline.answer(service, read_body(), call=made)
        _note(answer)
        version = parts.pipeline.content.version
        parts.recorder.note(shown(answer.cards, service.id, caller.name, version))
        return Response(_encode({"cards": answer.cards}), mimetype=JSON)

    @pages.get("/icon.png")
    def icon() -> Response:
        """The picture on our cards: 100 by 100 pixels, no transparency."""
        picture = files("cds_service.web") / "pages" / "icon.png"
        return Response(picture.read_bytes(), mimetype="image/png")

    return pages


def allow_origins(app: Any, origins: list[str]) -> None:
    """Let browser clients of the listed origins call, on every route and for errors too."""
    if not origins:
        return
    CORS(
        app,
        origins=origins,
        methods=["GET", "POST", "OPTIONS"],
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=[CORRELATION_HEADER],
        max_age=600,
    )
    app.after_request(_vary_by_origin)


def service_of(parts: Parts, service_id: str) -> Service:
    """The service of that id. Raises CallError (404)."""
    service = parts.offered.get(service_id)
    if service is None:
        raise CallError(404, "not-found", "There is no such service.", "see /cds-services")
    return service


def _vary_by_origin(response: Response) -> Response:
    """Tell caches that the headers depend on who asked, also when one origin is listed."""
    response.vary.add("Origin")
    return response


def _note(answer: Answer) -> None:
    note(
        hookInstance=answer.request.hook_instance_for_log,
        recommended=[j.card for j in answer.judgements if isinstance(j.outcome, Recommended)],
        undetermined=[j.card for j in answer.judgements if isinstance(j.outcome, Undetermined)],
        failed=[j.card for j in answer.judgements if j.outcome is None],
        gaps=len(answer.patient.gaps),
        danglingSelections=answer.dangling,
        cards=[
            {"uuid": card.get("uuid"), "recommendation": card["source"]["topic"]["code"]}
            for card in answer.cards
        ],
    )


def _note_reads(known: Completed, waited_ms: float) -> None:
    if known.read:
        note(fhirRead=known.read, fhirProblems=known.problems, fhirMs=round(waited_ms, 2))


def shown(cards: tuple[Card, ...], service: str, issuer: str, version: str) -> Iterator[Shown]:
    """The cards of an answer, as they are noted."""
    now = datetime.now(UTC).replace(tzinfo=None)
    for card in cards:
        # A client without feedback gets no uuid, and its cards are counted all the same.
        name = card.get("uuid") or str(uuid4())
        topic = card["source"]["topic"]["code"]
        yield Shown(name, topic, card["indicator"], version, service, issuer, now)
