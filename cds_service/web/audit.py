"""One line per call, appended and never changed: who asked what, and which cards went out."""

from __future__ import annotations

import logging
from logging.handlers import WatchedFileHandler
from pathlib import Path

from flask import Response

from cds_service.errors import SettingError
from cds_service.web.logs import Call, JsonFormatter

_FIELDS = (
    "issuer", "tenant", "service", "hookInstance", "cards", "fhirRead", "fhirProblems", "feedback",
)  # fmt: skip


class Audit:
    """
    Appends to a file, or to the log.

    A file that is moved away by logrotate is opened anew. A line is one write, so that several
    processes may append to one file.
    """

    def __init__(self, path: Path | None, content_version: str) -> None:
        """Open the file. Raises SettingError if that cannot be done."""
        self._version = content_version
        self._log = logging.getLogger("cds_service.audit") if path is None else _appending(path)

    def observe(self, call: Call, response: Response, route: str) -> None:
        """Append the line of one call; calls that ask for no card or keep no feedback have none."""
        if not route.startswith("/cds-services/"):
            return
        told = {name: call.fields[name] for name in _FIELDS if name in call.fields}
        fields = {
            "correlationId": call.id,
            "route": route,
            "status": response.status_code,
            "contentVersion": self._version,
            **told,
        }
        self._log.info("audit", extra={"fields": fields})

    def close(self) -> None:
        """Let go of the file, for an application that ends before its process."""
        for handler in self._log.handlers:
            handler.close()


def _appending(path: Path) -> logging.Logger:
    """A logger of its own, whatever level the log has."""
    try:
        handler = WatchedFileHandler(path, encoding="utf-8")
    except OSError as error:
        raise SettingError(f"CDS_AUDIT_FILE={path}: {error.strerror}") from None
    handler.setFormatter(JsonFormatter())
    logger = logging.Logger("cds_service.audit", logging.INFO)
    logger.addHandler(handler)
    return logger
