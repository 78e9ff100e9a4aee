"""The service itself, on its own day or on a day when the charts of the benchmark are fresh."""

from __future__ import annotations

from datetime import date

from flask import Flask

from cds_service.app import create_app, freeze
from cds_service.web import logs

CHARTS_ARE_FRESH = date(2023, 12, 4)


def today_app() -> Flask:
    """As `cds-service serve` runs it, log included."""
    return _app(date.today)


def fresh_app() -> Flask:
    """With the newest results a week old, so that every rule has something to read."""
    return _app(lambda: CHARTS_ARE_FRESH)


def _app(today) -> Flask:
    logs.configure("info")
    app = create_app(today=today)
    freeze()
    return app
