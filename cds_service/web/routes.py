"""The routes of CDS Hooks, and the health of the service."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from importlib.resources import files
from typing import Any

import msgspec
from flask import Blueprint, Response, current_app, request
from flask_cors import CORS
from werkzeug.exceptions import RequestEntityTooLarge

from cds_service import __version__
from cds_service.content.model import Content
from cds_service.domain.outcomes import Recommended
from cds_service.errors import CallError
from cds_service.hooks.catalogue import Service
from cds_service.pipeline import Answer, Pipeline
from cds_service.settings import Settings
from cds_service.web.logs import CORRELATION_HEADER, note

_encode = msgspec.json.Encoder().encode
_JSON = "application/json"


def blueprint(pipeline: Pipeline, offered: Mapping[str, Service], settings: Settings) -> Blueprint:
    """The routes that EHRs call."""
    pages = Blueprint("cds_hooks", __name__)
    discovery = _encode(
        {"services": [s.as_discovered(settings.advertise_version) for s in offered.values()]}
    )

    @pages.get("/cds-services")
    def discover() -> Response:
        """What is offered."""
        return Response(discovery, mimetype=_JSON)

    @pages.post("/cds-services/<service_id>")
    def call(service_id: str) -> Response:
        """Answer one hook call with cards."""
        answer = pipeline.answer(_service(offered, service_id), _body())
        _note(service_id, answer)
        return Response(_encode({"cards": answer.cards}), mimetype=_JSON)

    @pages.get("/health")
    def health() -> Response:
        """Whether the service stands, and which content awaits review."""
        return Response(_encode(_health(pipeline.content, pipeline.today())), mimetype=_JSON)

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


def _vary_by_origin(response: Response) -> Response:
    """Tell caches that the headers depend on who asked, also when one origin is listed."""
    response.vary.add("Origin")
    return response


def _service(offered: Mapping[str, Service], service_id: str) -> Service:
    service = offered.get(service_id)
    if service is None:
        raise CallError(404, "not-found", "There is no such service.", "see /cds-services")
    return service


def _body() -> bytes:
    if request.mimetype != _JSON:
        raise CallError(415, "not-supported", "The body must be sent as application/json.")
    limit, length = current_app.config["MAX_CONTENT_LENGTH"], request.content_length
    if length is not None and length > limit:
        raise RequestEntityTooLarge
    # At once, not piece by piece: each piece would be a wait for the interpreter. A body in chunks
    # tells no length; the server ends the stream where it ends.
    body: bytes = request.environ["wsgi.input"].read(limit + 1 if length is None else length)
    if len(body) > limit:
        raise RequestEntityTooLarge
    return body


def _note(service_id: str, answer: Answer) -> None:
    note(
        service=service_id,
        hookInstance=answer.request.hook_instance_for_log,
        recommended=[j.card for j in answer.judgements if isinstance(j.outcome, Recommended)],
        failed=[j.card for j in answer.judgements if j.outcome is None],
        gaps=len(answer.patient.gaps),
        danglingSelections=answer.dangling,
    )


def _health(content: Content, today: date) -> dict[str, Any]:
    reviews = {card.id: card.review for card in content.cards.values()}
    reviews |= {name: history.review for name, history in content.thresholds.items()}
    return {
        "status": "ok",
        "version": __version__,
        "awaitingReview": sorted(n for n, r in reviews.items() if r.status == "awaiting"),
        "reviewOverdue": sorted(name for name, r in reviews.items() if r.due < today),
    }
