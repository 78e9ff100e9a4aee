"""Runs the service on granian, a production WSGI server."""

from __future__ import annotations

import sys
from tempfile import TemporaryDirectory
from typing import Any

from granian import Granian
from granian.constants import Interfaces
from granian.server.common import AbstractServer

from cds_service.environment import share_metrics_in
from cds_service.settings import Settings


def serve(settings: Settings) -> None:
    """
    Serve until SIGTERM, then finish the calls under way.

    A few blocking threads per process: judging is pure computation and gains nothing by them, but
    with a single one a client that stalls in the middle of its body would stall every other.
    """
    with TemporaryDirectory(prefix="cds-service-metrics-") as folder:
        share_metrics_in(folder)
        _server(settings).serve()


def _server(settings: Settings) -> AbstractServer[Any]:
    server = Granian(
        "cds_service.app:serve_app",
        factory=True,
        interface=Interfaces.WSGI,
        address=settings.host,
        port=settings.port,
        workers=settings.workers,
        blocking_threads=settings.threads,
        backpressure=1024,
        workers_kill_timeout=settings.drain_seconds,
        log_access=False,
        websockets=False,
    )
    print(f"Serving on {settings.base_url}/ (discovery: {settings.base_url}/cds-services)",
          file=sys.stderr, flush=True)  # fmt: skip
    return server
