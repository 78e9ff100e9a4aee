"""What every test may use: the content, a client whose clock stands still."""

from __future__ import annotations

from datetime import date

import pytest

from cds_service.app import close_app, create_app, load_clinical_content
from cds_service.pipeline import Pipeline
from tests.support import AS_OF, counted_uuids, settings


@pytest.fixture(scope="session")
def content():
    return load_clinical_content()


@pytest.fixture(scope="session")
def thresholds(content):
    return content.thresholds_on(AS_OF)


@pytest.fixture(scope="session")
def pipeline(content):
    return Pipeline(
        content, icon="http://127.0.0.1:8080/icon.png", max_cards=5, today=lambda: AS_OF,
        new_uuid=counted_uuids(),
    )  # fmt: skip


@pytest.fixture(scope="session")
def app():
    made = create_app(settings(), today=lambda: AS_OF)
    yield made
    close_app(made)


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def make_client():
    """A client of an application with other settings, or on another day."""

    made = []

    def make(today: date = AS_OF, **changed):
        made.append(create_app(settings(**changed), today=lambda: today))
        return made[-1].test_client()

    yield make
    for app in made:
        close_app(app)
