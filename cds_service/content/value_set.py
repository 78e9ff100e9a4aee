"""The FHIR ValueSets in `cards/value_sets/`, with what our extensions add to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_EXTENSION = "urn:x-lam-tsc-cds:"


def extension(element: dict[str, Any], name: str) -> Any:
    """The value of one of our extensions, or None."""
    for found in element.get("extension", ()):
        if found.get("url") == _EXTENSION + name:
            return next(value for key, value in found.items() if key.startswith("value"))
    return None


def pairs(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each (system, concept) of a value set; one with only a text rule has none."""
    for include in document.get("compose", {}).get("include", ()):
        for concept in include.get("concept", ()):
            yield include["system"], concept


def text_rule(document: dict[str, Any]) -> dict[str, Any]:
    """How text in the record may stand for a code: `pattern`, `not`, `alone`."""
    names = {"text-pattern": "pattern", "text-not": "not", "text-alone": "alone"}
    found = {key: extension(document, name) for name, key in names.items()}
    return {key: value for key, value in found.items() if value is not None}
