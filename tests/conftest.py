"""What every test may use: the content, a client whose clock stands still."""

from __future__ import annotations

from datetime import date

import pytest

from cds_service.app import create_app, load_clinical_content
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
    return create_app(settings(), today=lambda: AS_OF)


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def make_client():
    """A client of an application with other settings, or on another day."""

    def make(today: date = AS_OF, **changed):
        return create_app(settings(**changed), today=lambda: today).test_client()

    return make
