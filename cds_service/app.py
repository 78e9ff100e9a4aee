"""Puts the service together: settings, content, routes. Bad content or settings stop the start."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from functools import cache
from typing import Any
from uuid import uuid4

from flask import Blueprint, Flask
from sqlalchemy.exc import ArgumentError
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from cds_service.content.load import load_content
from cds_service.content.model import Content
from cds_service.content.root import cards_root
from cds_service.environment import check_trust, load_settings, shared_metrics
from cds_service.errors import SettingError, Unavailable
from cds_service.feedback.comments import CommentBox
from cds_service.feedback.recorder import Recorder
from cds_service.feedback.store import Store
from cds_service.hooks.cards import NOTICES
from cds_service.hooks.catalogue import Service, services
from cds_service.hooks.profiles import PROFILES
from cds_service.pipeline import Pipeline
from cds_service.recommendations import SAYS
from cds_service.settings import Settings, split
from cds_service.trust.egress import Egress
from cds_service.web import body, errors, feedback, health, logs, reports, routes, smart, traces
from cds_service.web.audit import Audit
from cds_service.web.guard import Guard
from cds_service.web.logs import Observer
from cds_service.web.metrics import Metrics
from cds_service.web.pages import demo
from cds_service.web.parts import Parts

log = logging.getLogger(__name__)


def create_app(
    settings: Settings | None = None,
    *,
    today: Callable[[], date] = date.today,
    new_uuid: Callable[[], str] = lambda: str(uuid4()),
) -> Flask:
    """
    Make the application.

    `today` and `new_uuid` let a case be judged on its own date, with the same answer every time.
    Raises SettingError or ContentError.
    """
    settings = settings or load_settings()
    check_trust(settings)
    content = load_clinical_content()
    egress, metrics = Egress(), Metrics()
    store = open_store(settings)
    parts = Parts(
        settings=settings,
        pipeline=Pipeline(
            content,
            icon=f"{settings.base_url}/icon.png",
            max_cards=settings.max_cards,
            profile=PROFILES[settings.client_profile],
            app_url=f"{settings.base_url}/smart/launch.html",
            egress=egress,
            deadline=settings.deadline_ms / 1000,
            today=today,
            new_uuid=new_uuid,
        ),
        offered=_offered(content, settings),
        guard=Guard(settings, egress),
        store=store,
        recorder=Recorder(store, settings.retention_days, metrics.lost),
        metrics=metrics,
        audit=_audit(settings, content),
    )
    app = Flask("cds_service", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.extensions["parts"] = parts
    for pages in _blueprints(parts):
        app.register_blueprint(pages)
    body.register(app)
    logs.register(app, _observers(parts))
    errors.register(app, metrics)
    routes.allow_origins(app, settings.origins)
    _mount(app, settings.path_prefix)
    _tell_what_awaits_review(content)
    return app


def close_app(app: Flask) -> None:
    """Write what waits and let go of files and connections, where an application ends early."""
    parts: Parts = app.extensions["parts"]
    parts.recorder.flush()
    parts.store.close()
    if parts.audit:
        parts.audit.close()


def open_store(settings: Settings) -> Store:
    """Where feedback is kept. Raises SettingError for an address that is none."""
    try:
        return Store(
            settings.database_url.get_secret_value(), CommentBox(settings.keys_for_comments)
        )
    except (ArgumentError, KeyError, ImportError):
        raise SettingError(
            "CDS_DATABASE_URL: expected sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST"
            "/NAME"
        ) from None


def _blueprints(parts: Parts) -> Iterator[Blueprint]:
    yield routes.blueprint(parts)
    yield feedback.blueprint(parts)
    yield health.blueprint(parts)
    yield reports.blueprint(parts, shared_metrics())
    if smart.servers_of(parts) or parts.settings.is_local:
        yield smart.blueprint(parts)
    if parts.settings.demo_is_on:
        yield demo.blueprint(parts)


def _observers(parts: Parts) -> list[Observer]:
    """Who is told of each call that is answered."""
    traced = traces.observer(parts.settings.traces)
    audited = parts.audit.observe if parts.audit else None
    optional = [observer for observer in (audited, traced) if observer]
    return [logs.write_line, parts.metrics.observe, *optional]


def _audit(settings: Settings, content: Content) -> Audit | None:
    return Audit(settings.audit_file, content.version) if settings.audit_file else None


def check_start(settings: Settings) -> None:
    """
    Try what every worker will need, and bring the tables up to date.

    A database that is down does not stop the start: cards matter more than feedback.
    Raises SettingError or ContentError.
    """
    content = load_clinical_content()
    _offered(content, settings)
    Guard(settings, Egress())
    _audit(settings, content)
    traces.check(settings.traces)
    store = open_store(settings)
    with suppress(Unavailable):
        store.check()
    store.close()


@cache
def load_clinical_content() -> Content:
    """
    The content of `cards/`, checked against the rules that speak through it.

    Read once for a process and for those that it starts: all of them say the same.
    """
    return load_content(cards_root(), {**SAYS, **NOTICES})


def serve_app() -> Any:
    """The application for a server process, its long-lived objects out of garbage collection."""
    app = create_app()
    freeze()
    return app


def freeze() -> None:
    """
    Leave what start-up made out of every later garbage collection.

    A full collection would walk some hundred thousand objects while a clinician waits.
    """
    gc.collect()
    gc.freeze()


def _offered(content: Content, settings: Settings) -> dict[str, Service]:
    known = {service.id: service for service in services(content)}
    if settings.services in ("all", "none"):
        return known if settings.services == "all" else {}
    chosen = split(settings.services)
    for name in chosen:
        if name not in known:
            raise SettingError(f"CDS_SERVICES: no service {name!r}; known: {', '.join(known)}")
    return {name: known[name] for name in chosen}


def _mount(app: Flask, prefix: str) -> None:
    """Answer below the prefix of the public URL, and without it for a proxy that strips it."""
    if prefix:
        inner = app.wsgi_app
        app.wsgi_app = DispatcherMiddleware(inner, {prefix: inner})  # type: ignore[method-assign]


def _tell_what_awaits_review(content: Content) -> None:
    waiting = [card.id for card in content.cards.values() if card.review.status == "awaiting"]
    log.warning("content awaits clinical review", extra={"fields": {"cards": len(waiting)}})
