"""One JSON line per call: what was asked, what was answered, how long it took; never whom of."""

from __future__ import annotations

import logging
import sys
import time
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

    __slots__ = ("began", "fields", "id")

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.id = str(uuid4())
        self.fields: dict[str, Any] = {}


def configure(level: str, stream: TextIO | None = None) -> None:
    """Write our own loggers as JSON, to standard error unless told otherwise."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    ours = logging.getLogger("cds_service")
    ours.handlers[:] = [handler]
    ours.propagate = False
    ours.setLevel(level.upper())


def register(app: Flask) -> None:
    """Give each call a correlation id, in the answer and in the log."""
    app.before_request(_begin)
    app.after_request(_end)


def note(**fields: Any) -> None:
    """Add to the line of the call under way: ids, counts and kinds, never values or names."""
    g.call.fields.update(fields)


def _begin() -> None:
    g.call = Call()


def _end(response: Response) -> Response:
    call: Call = g.call
    response.headers[CORRELATION_HEADER] = call.id
    if log.isEnabledFor(logging.INFO):
        rule = request.url_rule
        fields = {
            "correlationId": call.id,
            "method": request.method if rule else "other",
            "route": rule.rule if rule else "unknown",
            "status": response.status_code,
            "ms": round((time.perf_counter() - call.began) * 1000, 2),
        }
        log.info("call", extra={"fields": fields | call.fields})
    return response
