"""Reads the bodies of calls: JSON, of a bounded size, as it is sent."""

from __future__ import annotations

from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import RequestEntityTooLarge

from cds_service.errors import CallError

JSON = "application/json"
_DRAINED = 1_000_000  # bytes of a refused call that are read to its end all the same


def register(app: Flask) -> None:
    """
    End refused calls so that their connection can go on, or is known not to.

    A call may be refused before its body is read. A server that answers while a client still sends
    resets the connection, and the client never sees why.
    """
    app.after_request(_end_body)


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
    g.has_read_body = True
    body: bytes = request.environ["wsgi.input"].read(limit + 1 if length is None else length)
    if len(body) > limit:
        raise RequestEntityTooLarge
    return body


def _end_body(response: Response) -> Response:
    length = request.content_length
    is_chunked = length is None and "chunked" in request.headers.get("Transfer-Encoding", "")
    if g.get("has_read_body") or not (length or is_chunked):
        return response
    if length is not None and length <= _DRAINED:
        request.environ["wsgi.input"].read(length)
    else:
        response.headers["Connection"] = "close"
    return response
