"""Pages for the people who run the service: what became of the cards, and the metrics."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from flask import Blueprint, Response, render_template, request

from cds_service.errors import CallError
from cds_service.feedback.report import Row, as_csv, as_json, report
from cds_service.web.guard import password_check
from cds_service.web.pages.assets import asset, protect
from cds_service.web.parts import Parts

_DAYS = 90  # that a report covers unless told otherwise


def blueprint(parts: Parts, shared_metrics: Path | None) -> Blueprint:
    """The report page, its style, and the metrics; all behind one password."""
    pages = Blueprint("reports", __name__, template_folder="pages")
    pages.before_request(password_check(parts.settings))

    @pages.get("/reports/feedback")
    def feedback() -> Response:
        """The report as a page, or as CSV or JSON."""
        since = _since(parts.pipeline.today())
        start = datetime.combine(since, time())
        rows = report(parts.store, start)
        form = request.args.get("format", "html")
        if form == "csv":
            return Response(as_csv(rows), mimetype="text/csv")
        if form == "json":
            return Response(as_json(rows), mimetype="application/json")
        return protect(Response(_page(rows, since), mimetype="text/html"))

    @pages.get("/reports/pages.css")
    def style() -> Response:
        """The style that all pages share."""
        return asset("pages.css", "text/css")

    @pages.get("/metrics")
    def metrics() -> Response:
        """What Prometheus reads."""
        page, kind = parts.metrics.page(shared_metrics)
        return Response(page, content_type=kind)

    return pages


def _since(today: date) -> date:
    given = request.args.get("since", "")
    try:
        return date.fromisoformat(given) if given else today - timedelta(days=_DAYS)
    except ValueError:
        text = "The start of the report cannot be read."
        raise CallError(400, "invalid", text, "since: expected a date such as 2026-01-31") from None


def _page(rows: list[Row], since: date) -> str:
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return render_template("feedback.html", rows=rows, since=since, made=made)
