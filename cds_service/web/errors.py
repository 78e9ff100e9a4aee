"""Every error as a FHIR OperationOutcome, without a word of what was sent."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from cds_service.errors import CallError, Unavailable, Untrusted
from cds_service.pipeline import where_it_failed
from cds_service.web.logs import note
from cds_service.web.metrics import Metrics

log = logging.getLogger(__name__)

_ISSUES = {
    400: ("invalid", "The request is malformed."),
    404: ("not-found", "There is nothing at this address."),
    405: ("not-supported", "This method is not supported at this address."),
    413: ("too-long", "The body is larger than this service accepts."),
    415: ("not-supported", "The body must be sent as application/json."),
}


def register(app: Flask, metrics: Metrics) -> None:
    """Answer all errors of the application."""

    def untrusted(error: Untrusted) -> Response:
        """The same for every reason: what was wrong is told in the log alone."""
        metrics.refused(error.reason)
        note(refused=error.reason, issuer=error.issuer or "unknown")
        response = outcome(401, "login", "The caller is not known.")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    app.register_error_handler(Untrusted, untrusted)
    app.register_error_handler(Unavailable, _unavailable)
    app.register_error_handler(CallError, _call_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _fault)


def outcome(status: int, issue: str, text: str, diagnostics: str | None = None) -> Response:
    """An OperationOutcome as a response."""
    problem: dict[str, Any] = {"severity": "error", "code": issue, "details": {"text": text}}
    if diagnostics:
        problem["diagnostics"] = diagnostics
    body = msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [problem]})
    return Response(body, status, mimetype="application/fhir+json")


def _call_error(error: CallError) -> Response:
    note(refused=error.diagnostics or error.issue)
    response = outcome(error.status, error.issue, error.text, error.diagnostics)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _unavailable(error: Unavailable) -> Response:
    """A part of ours is down for a while: whoever asks may ask again, and nothing was kept."""
    note(refused=f"{error.part} unavailable")
    response = outcome(503, "transient", "A part of the service is down; try again in a while.")
    response.headers["Retry-After"] = "5"
    return response


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    issue, text = _ISSUES.get(status, ("processing", "The request could not be processed."))
    response = outcome(status, issue, text)
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _fault(error: Exception) -> Response:
    """Our own fault: kind and place go to the log, nothing of it to the caller."""
    log.error("unexpected error", extra={"fields": where_it_failed(error)})
    return outcome(500, "exception", "An unexpected error occurred; it has been recorded.")
