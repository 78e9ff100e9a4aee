"""Reads the bodies of calls: JSON, of a bounded size, as it is sent."""

from __future__ import annotations

from flask import current_app, request
from werkzeug.exceptions import RequestEntityTooLarge

from cds_service.errors import CallError

JSON = "application/json"


def read_body() -> bytes:
    """
    The body of the call under way.

    Raises CallError (415) for what is no plain JSON, and RequestEntityTooLarge.
    """
    if request.mimetype != JSON:
        raise CallError(415, "not-supported", "The body must be sent as application/json.")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        # A few compressed kilobytes may unfold to gigabytes, and no EHR is known to compress.
        raise CallError(415, "not-supported", "The body must be sent without Content-Encoding.")
    limit, length = current_app.config["MAX_CONTENT_LENGTH"], request.content_length
    if length is not None and length > limit:
        raise RequestEntityTooLarge
    # At once, not piece by piece: each piece would be a wait for the interpreter. A body in chunks
    # tells no length; the server ends the stream where it ends.
    body: bytes = request.environ["wsgi.input"].read(limit + 1 if length is None else length)
    if len(body) > limit:
        raise RequestEntityTooLarge
    return body
