"""The SMART app: its pages, what it must know of the EHRs, and the evaluation it asks for."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from flask import Blueprint, Response, request

from cds_service.course import view
from cds_service.errors import CallError
from cds_service.trust.model import FhirServer
from cds_service.web.body import JSON, read_body
from cds_service.web.logs import note
from cds_service.web.pages.assets import asset
from cds_service.web.parts import Parts

_FILES = {"app.js": "text/javascript", "launch.js": "text/javascript", "pages.css": "text/css",
          "uplot.css": "text/css"}  # fmt: skip


def blueprint(parts: Parts) -> Blueprint:
    """The routes below `/smart`; the app reads the chart itself, with the user's own token."""
    pages = Blueprint("smart", __name__, url_prefix="/smart")
    servers = servers_of(parts)
    known = msgspec.json.encode(_configuration(parts, servers))
    connect, framed_by = _origins(servers)

    @pages.get("/")
    def app() -> Response:
        """The app, opened by the EHR after its launch."""
        return asset("app.html", "text/html", connect, framed_by)

    @pages.get("/launch.html")
    def launch() -> Response:
        """Where an EHR launches the app, and where a user starts it without one."""
        return asset("launch.html", "text/html", connect, framed_by)

    @pages.get("/<name>")
    def file(name: str) -> Response:
        """Scripts and styles."""
        if name not in _FILES:
            raise CallError(404, "not-found", "There is nothing at this address.")
        return asset(name, _FILES[name])

    @pages.get("/configuration")
    def configuration() -> Response:
        """The EHRs that may launch the app, and what it reads there."""
        return Response(known, mimetype=JSON)

    @pages.post("/evaluation")
    def evaluation() -> Response:
        """
        What the chart that the app has read amounts to.

        It is held in memory for as long as the answer takes, and no token comes with it.
        """
        service = parts.offered.get("lam-tsc-patient-view")
        if service is None:
            raise CallError(404, "not-found", "The chart service is not offered here.")
        _check_same_origin()
        note(service="smart-evaluation")
        as_of = parts.pipeline.today()
        answer = parts.pipeline.answer(service, read_body(), as_of)
        return Response(msgspec.json.encode(view(parts.pipeline, answer, as_of)), mimetype=JSON)

    return pages


def servers_of(parts: Parts) -> list[FhirServer]:
    """The FHIR servers at which the app is registered; elsewhere than at home it needs one."""
    return [server for server in parts.guard.trust.fhir_servers() if server.smart]


def _configuration(parts: Parts, servers: Iterable[FhirServer]) -> dict[str, object]:
    service = parts.offered.get("lam-tsc-patient-view")
    templates = dict(service.prefetch) if service else {}
    types = sorted({template.replace("?", "/").partition("/")[0]
                    for template in templates.values()} | {"Medication"})  # fmt: skip
    return {
        "servers": [
            {"url": server.url, "clientId": server.smart.client_id}
            for server in servers if server.smart
        ],
        "resourceTypes": types,
        "prefetch": templates,
        "required": sorted(service.required) if service else [],
    }  # fmt: skip


def _origins(servers: Iterable[FhirServer]) -> tuple[str, str]:
    """Where the app may read, and which pages may hold it in a frame."""
    smart = [(server.origin, server.smart) for server in servers if server.smart]
    connect = {origin for origin, _ in smart} | {o for _, s in smart for o in s.origins}
    framed_by = {origin for _, s in smart for origin in s.framed_by}
    return " ".join(sorted(connect)), " ".join(sorted(framed_by))


def _check_same_origin() -> None:
    """The evaluation serves our own pages: others would use it to judge charts elsewhere."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if site not in ("same-origin", "none"):
        raise CallError(403, "forbidden", "This address serves the pages of this service only.")
