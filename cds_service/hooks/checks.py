"""Holds messages that come in against their JSON Schemas, and says where they fail."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator, ValidationError


def first_fault(schema: str, message: Any) -> str | None:
    """The first fault of a message, by member and expectation; nothing of it is repeated."""
    error = next(_validator(schema).iter_errors(message), None)
    return None if error is None else _where(error)


@cache
def _validator(name: str) -> Draft202012Validator:
    schema = files("cds_service.hooks") / "schemas" / f"{name}.schema.json"
    return Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))


def _where(error: ValidationError) -> str:
    path = ".".join(str(part) for part in error.absolute_path)
    if error.validator in ("required", "dependentRequired"):
        wanted = error.message.split("'")[1]
        return f"{path}.{wanted}: missing".lstrip(".")
    schema = error.schema if isinstance(error.schema, dict) else {}
    return f"{path or 'the whole body'}: expected {schema.get('description', 'another form')}"
