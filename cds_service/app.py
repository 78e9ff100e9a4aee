"""Puts the service together: settings, content, routes. Bad content or settings stop the start."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import uuid4

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from cds_service.content.load import load_content
from cds_service.content.model import Content
from cds_service.content.root import cards_root
from cds_service.errors import SettingError
from cds_service.hooks.cards import NOTICES
from cds_service.hooks.catalogue import Service, services
from cds_service.hooks.profiles import PROFILES
from cds_service.pipeline import Pipeline
from cds_service.recommendations import SAYS
from cds_service.settings import Settings, load_settings, split
from cds_service.web import errors, logs, routes
from cds_service.web.pages import demo

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
    content = load_clinical_content()
    pipeline = Pipeline(
        content,
        icon=f"{settings.base_url}/icon.png",
        max_cards=settings.max_cards,
        profile=PROFILES[settings.client_profile],
        today=today,
        new_uuid=new_uuid,
    )
    app = Flask("cds_service", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    offered = _offered(content, settings)
    app.register_blueprint(routes.blueprint(pipeline, offered, settings))
    if settings.demo_is_on:
        app.register_blueprint(demo.blueprint(pipeline, offered))
    logs.register(app)
    errors.register(app)
    routes.allow_origins(app, settings.origins)
    _mount(app, settings.path_prefix)
    _tell_what_awaits_review(content)
    return app


def load_clinical_content() -> Content:
    """The content of `cards/`, checked against the rules that speak through it."""
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
