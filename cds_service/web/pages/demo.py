"""The demonstration page: a synthetic patient, the cards as an EHR shows them, and the messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from flask import Blueprint, Response
from markdown_it import MarkdownIt

from cds_service.content.root import fixtures_root
from cds_service.errors import CallError
from cds_service.hooks.catalogue import Service
from cds_service.pipeline import Pipeline
from cds_service.web.pages.security import protect

_ASSETS = {"demo.js": "text/javascript", "pages.css": "text/css"}
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")


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


def blueprint(pipeline: Pipeline, offered: Mapping[str, Service]) -> Blueprint:
    """The page, its two assets, and the answers it shows."""
    pages = Blueprint("demo", __name__)
    cases = load_cases(fixtures_root())

    @pages.get("/")
    def page() -> Response:
        """The page itself."""
        return _asset("demo.html", "text/html")

    @pages.get("/demo/<name>")
    def asset(name: str) -> Response:
        """Its script and style."""
        if name not in _ASSETS:
            raise CallError(404, "not-found", "There is nothing at this address.")
        return _asset(name, _ASSETS[name])

    @pages.get("/demo/cases")
    def index() -> Response:
        """The patients to choose from."""
        return _json([{"id": c.id, "title": c.title, "story": c.story} for c in cases.values()])

    @pages.get("/demo/cases/<path:case_id>")
    def answer(case_id: str) -> Response:
        """One patient: what the EHR sends, what we answer, and how the cards look."""
        if case_id not in cases:
            raise CallError(404, "not-found", "There is no such synthetic patient.")
        return _json(_answer(cases[case_id], pipeline, offered))

    return pages


def _answer(case: Case, pipeline: Pipeline, offered: Mapping[str, Service]) -> dict[str, Any]:
    service = next((s for s in offered.values() if s.hook == case.hook), None)
    if service is None:
        raise CallError(404, "not-found", "The service of this case is not offered.")
    body = case.request.read_bytes()
    cards = pipeline.answer(service, body, as_of=case.as_of).cards
    return {
        "service": service.id,
        "asOf": case.as_of.isoformat(),
        "request": msgspec.Raw(body),
        "response": {"cards": cards},
        "details": [_markdown.render(card["detail"]) for card in cards],
    }


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), mimetype="application/json")


def _asset(name: str, mimetype: str) -> Response:
    content = (files("cds_service.web") / "pages" / name).read_bytes()
    return protect(Response(content, mimetype=mimetype), forms="'none'")
