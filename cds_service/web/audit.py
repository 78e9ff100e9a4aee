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

_RECORDED = ("/cds-services/", "/smart/evaluation")


class Audit:
    """
    Appends to a file.

    A file that is moved away by logrotate is opened anew. A line is one write, so that several
    processes may append to one file.
    """

    def __init__(self, path: Path, content_version: str) -> None:
        """Open the file. Raises SettingError if that cannot be done."""
        try:
            self._file = WatchedFileHandler(path, encoding="utf-8")
        except OSError as error:
            raise SettingError(f"CDS_AUDIT_FILE={path}: {error.strerror}") from None
        self._file.setFormatter(JsonFormatter())
        self._log = logging.Logger("cds_service.audit", logging.INFO)  # whatever level the log has
        self._log.addHandler(self._file)
        self._version = content_version

    def observe(self, call: Call, response: Response, route: str) -> None:
        """Append the line of one call; what judges no chart and keeps no feedback has none."""
        if not route.startswith(_RECORDED):
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
        self._file.close()
