"""One JSON line per call: what was asked, what was answered, how long it took; never whom of."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO
from uuid import uuid4

import msgspec
from flask import Flask, Response, g, request

log = logging.getLogger("cds_service.access")
CORRELATION_HEADER = "X-Correlation-Id"
_encode = msgspec.json.Encoder().encode


class JsonFormatter(logging.Formatter):
    """Time, level, event, and the fields that the call site chose to log."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; arguments and tracebacks are left out, for they may quote a record."""
        when = datetime.fromtimestamp(record.created, UTC)
        fields = getattr(record, "fields", {})
        line = {"time": when, "level": record.levelname.lower(), "event": record.msg, **fields}
        return _encode(line).decode()


class Call:
    """What is told of one call."""

    __slots__ = ("began", "fields", "id", "seconds")

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.id = str(uuid4())
        self.fields: dict[str, Any] = {}
        self.seconds = 0.0  # how long it took, once it is answered


# Told of each call that is answered: the call, the response, and the route it matched.
Observer = Callable[[Call, Response, str], None]


def configure(level: str, stream: TextIO | None = None) -> None:
    """Write our own loggers as JSON, to standard error unless told otherwise."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    ours = logging.getLogger("cds_service")
    ours.handlers[:] = [handler]
    ours.propagate = False
    ours.setLevel(level.upper())


def register(app: Flask, observers: Sequence[Observer]) -> None:
    """Give each call a correlation id, in the answer and in the log, and tell the observers."""

    def end(response: Response) -> Response:
        call = current_call()
        call.seconds = time.monotonic() - call.began
        route = request.url_rule.rule if request.url_rule else "unknown"
        response.headers[CORRELATION_HEADER] = call.id
        for observe in observers:
            observe(call, response, route)
        return response

    app.before_request(_begin)
    app.after_request(end)


def current_call() -> Call:
    """The call under way."""
    call: Call = g.call
    return call


def note(**fields: Any) -> None:
    """Add to the line of the call under way: ids, counts and kinds, never values or names."""
    g.call.fields.update(fields)


def write_line(call: Call, response: Response, route: str) -> None:
    """The observer that writes the log."""
    if log.isEnabledFor(logging.INFO):
        fields = {
            "correlationId": call.id,
            "method": request.method if route != "unknown" else "other",
            "route": route,
            "status": response.status_code,
            "ms": round(call.seconds * 1000, 2),
        }
        log.info("call", extra={"fields": fields | call.fields})


def _begin() -> None:
    g.call = Call()
