"""Small helpers that several kinds of tests share."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jsonschema import Draft202012Validator

from cds_service.settings import Settings

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "fixtures"
AS_OF = date(2026, 11, 2)
SERVICE = "/cds-services/lam-tsc-patient-view"
ORDER_HOOKS = ("order-select", "order-sign")
SANDBOX = "https://sandbox.cds-hooks.org"
DATABASE = TemporaryDirectory(prefix="cds-service-tests-")
LOINC = "http://loinc.org"


def settings(**changed: Any) -> Settings:
    """Settings of a test, whatever the environment says."""
    usual = {
        "allowed_origins": SANDBOX,
        "log_level": "error",
        "client_auth": "off",
        "allow_unauthenticated": True,
        "database_url": f"sqlite:///{DATABASE.name}/cds-service.db",
    }
    return Settings(**(usual | changed))


def counted_uuids() -> Callable[[], str]:
    """UUIDs that count up, so that an answer is the same every time."""
    numbers = itertools.count(1)
    return lambda: f"00000000-0000-4000-8000-{next(numbers):012d}"


@cache
def _case_text(name: str, hook: str) -> str:
    return (FIXTURES / hook / name / "request.json").read_text(encoding="utf-8")


def case_request(
    name: str = "start-mtor-inhibitor/fev1-62-percent", hook: str = "patient-view"
) -> dict[str, Any]:
    """The request of a case, free to be changed."""
    return json.loads(_case_text(name, hook))


def post(client: Any, body: Any, **options: Any) -> Any:
    """Post a call to the service of its hook; a value that is not bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    hook = body.get("hook") if isinstance(body, dict) else None
    address = f"/cds-services/lam-tsc-{hook}" if hook in ORDER_HOOKS else SERVICE
    return client.post(address, data=data, **({"content_type": "application/json"} | options))


def topics(answer: Any) -> list[str]:
    """The recommendations of an answer, in order."""
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return [card["source"]["topic"]["code"] for card in answer.get_json()["cards"]]


@cache
def schema(name: str) -> Draft202012Validator:
    """One of our own message schemas."""
    path = files("cds_service.hooks") / "schemas" / f"{name}.schema.json"
    return Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


def assert_valid(name: str, message: Any) -> None:
    """Hold a message against its schema, and show the first fault."""
    error = next(schema(name).iter_errors(message), None)
    assert error is None, f"{list(error.absolute_path)}: {error.message}"


def walk(value: Any) -> Iterator[Any]:
    """A value and everything in it."""
    yield value
    children = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    )
    for child in children:
        yield from walk(child)


def without(body: dict[str, Any], *path: str) -> dict[str, Any]:
    """A copy of a request without one member."""
    changed = copy.deepcopy(body)
    place = changed
    for part in path[:-1]:
        place = place[part]
    del place[path[-1]]
    return changed
