"""The real parts, started once."""

from __future__ import annotations

import pytest

from tests.processes import FhirServer, Postgres, Redis


@pytest.fixture(scope="session")
def redis_server():
    server = Redis()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    server = Postgres(tmp_path_factory.mktemp("postgres"))
    yield server
    server.kill()


@pytest.fixture(scope="session")
def fhir_server():
    server = FhirServer()
    yield server
    server.stop()
