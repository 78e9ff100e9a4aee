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
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.msg,
        }
        line |= getattr(record, "fields", {})
        return _encode(line).decode()


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
    g.log_fields.update(fields)


def correlation_id() -> str:
    """The id of the call under way."""
    found: str = g.correlation_id
    return found


def _begin() -> None:
    g.began = time.perf_counter()
    g.correlation_id = str(uuid4())
    g.log_fields = {}


def _end(response: Response) -> Response:
    response.headers[CORRELATION_HEADER] = g.correlation_id
    if log.isEnabledFor(logging.INFO):
        fields = {
            "correlationId": g.correlation_id,
            "method": request.method if request.url_rule else "other",
            "route": request.url_rule.rule if request.url_rule else "unknown",
            "status": response.status_code,
            "ms": round((time.perf_counter() - g.began) * 1000, 2),
        }
        log.info("call", extra={"fields": fields | g.log_fields})
    return response
