"""The demonstration page: synthetic patients, their cards and course, and one's own request."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
from flask import Blueprint, Response, request

from cds_service.content.root import fixtures_root
from cds_service.course import view
from cds_service.errors import CallError
from cds_service.hooks.catalogue import Service, named_in
from cds_service.trust.model import ANONYMOUS
from cds_service.web.body import JSON, read_body
from cds_service.web.pages.assets import asset
from cds_service.web.parts import Parts
from cds_service.web.routes import shown

_ASSETS = {"demo.js": "text/javascript", "pages.css": "text/css", "uplot.css": "text/css"}


@dataclass(frozen=True, slots=True)
class Case:
    """A synthetic patient of `fixtures/`."""

    id: str
    hook: str
    title: str
    story: str
    as_of: date
    request: Path


def load_cases(root: Path) -> dict[str, Case]:
    """Every case, by its path below `fixtures/`."""
    found = {}
    for path in sorted(root.glob("*/*/*/case.json"), key=_charts_first):
        about = json.loads(path.read_text(encoding="utf-8"))
        name = path.parent.relative_to(root).as_posix()
        as_of = date.fromisoformat(about["as_of"])
        found[name] = Case(
            name, name.split("/")[0], about["title"], about["story"], as_of,
            path.parent / "request.json",
        )  # fmt: skip
    return found


def _charts_first(path: Path) -> tuple[bool, str]:
    return "patient-view" not in path.parts, path.as_posix()


def blueprint(parts: Parts) -> Blueprint:
    """The page, what it loads, and the answers it shows."""
    pages = Blueprint("demo", __name__)
    cases = load_cases(fixtures_root())

    @pages.get("/")
    def page() -> Response:
        """The page itself."""
        return asset("demo.html", "text/html")

    @pages.get("/demo/<name>")
    def file(name: str) -> Response:
        """Its script and styles."""
        if name not in _ASSETS:
            raise CallError(404, "not-found", "There is nothing at this address.")
        return asset(name, _ASSETS[name])

    @pages.get("/demo/cases")
    def index() -> Response:
        """The patients to choose from."""
        return _json([{"id": c.id, "title": c.title, "story": c.story} for c in cases.values()])

    @pages.get("/demo/cases/<path:case_id>")
    def answer(case_id: str) -> Response:
        """One patient, on the day of the story or on another."""
        if case_id not in cases:
            raise CallError(404, "not-found", "There is no such synthetic patient.")
        case = cases[case_id]
        service = next((s for s in parts.offered.values() if s.hook == case.hook), None)
        return _json(_answer(parts, service, case.request.read_bytes(), _day(case.as_of)))

    @pages.post("/demo/ask")
    def ask() -> Response:
        """A request that somebody pasted: the answer, or the exact error."""
        body = read_body()
        service = named_in(body, list(parts.offered.values()))
        return _json(_answer(parts, service, body, _day(None)))

    return pages


def _answer(parts: Parts, service: Service | None, body: bytes, day: date | None) -> dict[str, Any]:
    if service is None:
        raise CallError(404, "not-found", "The service of this hook is not offered.")
    as_of = day or parts.pipeline.today()
    answer = parts.pipeline.answer(service, body, as_of=as_of)
    version = parts.pipeline.content.version
    parts.recorder.note(shown(answer.cards, service.id, ANONYMOUS, version))
    return {
        "service": service.id,
        "asOf": as_of.isoformat(),
        "request": msgspec.Raw(body),
        "response": {"cards": answer.cards},
        "view": view(parts.pipeline, answer, as_of),
    }


def _day(usual: date | None) -> date | None:
    given = request.args.get("as_of")
    try:
        return date.fromisoformat(given) if given else usual
    except ValueError:
        text = "The day cannot be read."
        raise CallError(400, "invalid", text, "as_of: expected a date such as 2026-01-31") from None


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), mimetype=JSON)
