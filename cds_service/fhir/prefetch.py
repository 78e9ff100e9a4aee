"""
Which prefetch keys are answered, and with what.

An absent key means *ask the server*; null or an empty Bundle, *asked, and nothing there*; an
OperationOutcome, *asked, and it failed*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from cds_service.errors import CallError
from cds_service.fhir import wire
from cds_service.fhir.versions_read import refuse_older_version


class State(StrEnum):
    """What became of one prefetch template."""

    ANSWERED = "answered"
    PARTIAL = "first page only"
    FAILED = "failed"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Malformed:
    """A resource that cannot be decoded: `codings` are what could still be read of its code."""

    key: str
    reference: str
    codings: tuple[wire.Coding, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The resources that came for one key."""

    state: State
    resources: tuple[Any, ...] = ()
    malformed: tuple[Malformed, ...] = ()
    more: str | None = field(default=None, repr=False)  # where the next page is


ABSENT = Answer(State.ABSENT)
_FAILED = Answer(State.FAILED)
_EMPTY = Answer(State.ANSWERED)


class _Issue(wire.Wire):
    """What an OperationOutcome says."""

    severity: str | None = None


class Prefetch(wire.Wire):
    """A sound prefetch, decoded in one pass; keys that we did not ask for are skipped."""

    patient: wire.Patient | msgspec.UnsetType | None = msgspec.UNSET
    conditions: wire.Bundle[wire.Condition] | msgspec.UnsetType | None = msgspec.UNSET
    observations: wire.Bundle[wire.Observation] | msgspec.UnsetType | None = msgspec.UNSET
    measurements: wire.Bundle[wire.Observation] | msgspec.UnsetType | None = msgspec.UNSET
    laboratory: wire.Bundle[wire.Observation] | msgspec.UnsetType | None = msgspec.UNSET
    medicationRequests: wire.Bundle[wire.Record] | msgspec.UnsetType | None = msgspec.UNSET
    medicationStatements: wire.Bundle[wire.Record] | msgspec.UnsetType | None = msgspec.UNSET
    allergies: wire.Bundle[wire.Record] | msgspec.UnsetType | None = msgspec.UNSET
    procedures: wire.Bundle[wire.Record] | msgspec.UnsetType | None = msgspec.UNSET
    serviceRequests: wire.Bundle[wire.Record] | msgspec.UnsetType | None = msgspec.UNSET
    imaging: wire.Bundle[wire.Record] | msgspec.UnsetType | None = msgspec.UNSET


_TYPES: Mapping[str, type] = {
    "patient": wire.Patient,
    "conditions": wire.Condition,
    "observations": wire.Observation,
    "measurements": wire.Observation,
    "laboratory": wire.Observation,
}
# The resource type that answers each key; helpers such as Medication may stand beside it.
_EXPECTED = {
    "patient": "Patient",
    "conditions": "Condition",
    "observations": "Observation",
    "measurements": "Observation",
    "laboratory": "Observation",
    "medicationRequests": "MedicationRequest",
    "medicationStatements": "MedicationStatement",
    "allergies": "AllergyIntolerance",
    "procedures": "Procedure",
    "serviceRequests": "ServiceRequest",
    "imaging": "DiagnosticReport",
}
KEYS = tuple(_EXPECTED)

_BUNDLES: dict[str, msgspec.json.Decoder[Any]] = {
    key: msgspec.json.Decoder(wire.Bundle[_TYPES.get(key, wire.Record)])  # type: ignore[misc]
    for key in KEYS
}
_SINGLES: dict[str, msgspec.json.Decoder[Any]] = {
    key: msgspec.json.Decoder(_TYPES.get(key, wire.Record)) for key in KEYS
}
_ISSUES = msgspec.json.Decoder(list[_Issue])
_RAW_BUNDLE = msgspec.json.Decoder(wire.RawBundle)
_ANYTHING = msgspec.json.Decoder()


def read_answers(prefetch: Prefetch | Mapping[str, msgspec.Raw]) -> dict[str, Answer]:
    """
    What came for every key of the catalogue.

    Raises CallError (412) for a chart in a version of FHIR that is not read.
    """
    if isinstance(prefetch, Prefetch):
        return {key: _decoded(key, getattr(prefetch, key)) for key in KEYS}
    return {key: read_answer(key, prefetch.get(key)) for key in KEYS}


def check_required(
    answers: Mapping[str, Answer], required: frozenset[str], problems: Mapping[str, str]
) -> None:
    """
    Raise CallError (412) that names the first required key without a usable answer.

    `problems` says what the FHIR server did about a key, in a word.
    """
    for key in sorted(required):
        if answers[key].state in (State.FAILED, State.ABSENT):
            problem = problems.get(key)
            where = f"; FHIR server: {problem}" if problem else ""
            raise CallError(
                412,
                "required",
                "Required data was not supplied and could not be read.",
                f"prefetch key: {key}{where}",
            )


def joined(parts: Sequence[Answer], state: State) -> Answer:
    """Several pages of one search as one answer."""
    return Answer(
        state,
        tuple([resource for part in parts for resource in part.resources]),
        tuple([bad for part in parts for bad in part.malformed]),
    )


def is_sound(prefetch: Prefetch) -> bool:
    """Whether every value is what its key asks for: a Patient, and Bundles for the searches."""
    for key in KEYS:
        value = getattr(prefetch, key)
        if value is None or value is msgspec.UNSET:
            continue
        if value.resourceType != ("Patient" if key == "patient" else "Bundle"):
            return False
    return True


def _decoded(key: str, value: Any) -> Answer:
    if value is msgspec.UNSET:
        return ABSENT
    if value is None:
        return _EMPTY
    return Answer(State.ANSWERED, (value,)) if key == "patient" else _bundle(value)


def _bundle(bundle: wire.Bundle[Any]) -> Answer:
    return _answered([entry.resource for entry in bundle.entry], next_link(bundle))


def _answered(found: Sequence[Any], more: str | None, bad: Sequence[Malformed] = ()) -> Answer:
    """
    The results of a search.

    It may add an OperationOutcome: a hint, or the word that it failed, wholly or in part.
    """
    results = _results(found)
    failed = any(_is_failure(resource) for resource in found)
    if failed and not results and not bad:
        return _FAILED
    state = State.ANSWERED if more is None and not failed else State.PARTIAL
    return Answer(state, results, tuple(bad), more)


def _is_failure(resource: Any) -> bool:
    if resource is None or resource.resourceType != "OperationOutcome":
        return False
    try:
        issues = _ISSUES.decode(resource.issue) if resource.issue else []
    except msgspec.ValidationError:
        return False
    return any(issue.severity in ("error", "fatal") for issue in issues)


def read_answer(key: str, raw: msgspec.Raw | bytes | None) -> Answer:
    """
    One value, whatever it is.

    Raises CallError (412) for a chart in a version of FHIR that is not read.
    """
    if raw is None:
        return ABSENT
    body = bytes(raw)
    if body == b"null":
        return _EMPTY
    try:
        return _typed(key, body)
    except msgspec.ValidationError:
        return _untyped(key, body)


def _typed(key: str, body: bytes) -> Answer:
    """The fast way: everything decodes."""
    bundle = _BUNDLES[key].decode(body)
    if bundle.resourceType != "Bundle":
        return _single(key, bundle.resourceType, body)
    return _bundle(bundle)


def _results(found: Sequence[Any]) -> tuple[Any, ...]:
    """A search may add an OperationOutcome with hints, and entries may be empty: no results."""
    return tuple([r for r in found if r is not None and r.resourceType != "OperationOutcome"])


def next_link(bundle: wire.RawBundle | wire.Bundle[Any]) -> str | None:
    """Where the next page of a Bundle is; empty if it does not say where."""
    return next((link.url or "" for link in bundle.link if link.relation == "next"), None)


def _single(key: str, resource_type: str | None, body: bytes) -> Answer:
    """A bare resource instead of a Bundle: right for a read, tolerated for a search."""
    if resource_type == "OperationOutcome":
        return _FAILED
    if resource_type != _EXPECTED[key]:
        return ABSENT
    return Answer(State.ANSWERED, (_SINGLES[key].decode(body),))


def _untyped(key: str, body: bytes) -> Answer:
    """The slow way: find out which resource does not decode, and keep the others."""
    try:
        bundle = _RAW_BUNDLE.decode(body)
    except msgspec.ValidationError:
        return ABSENT  # not even an object: as if it had not been sent
    if bundle.resourceType != "Bundle":
        return _bare(key, bundle.resourceType, body)
    good: list[Any] = []
    bad: list[Malformed] = []
    for entry in bundle.entry:
        if bytes(entry.resource) not in (b"", b"null"):
            _sort(key, bytes(entry.resource), good, bad)
    return _answered(good, next_link(bundle), bad)


def _bare(key: str, resource_type: str | None, body: bytes) -> Answer:
    if resource_type != _EXPECTED[key]:
        return _FAILED if resource_type == "OperationOutcome" else ABSENT
    if key == "patient":
        return ABSENT  # a patient that cannot be read is as good as none
    return Answer(State.ANSWERED, (), (_malformed(key, body),))


def _sort(key: str, body: bytes, good: list[Any], bad: list[Malformed]) -> None:
    try:
        good.append(_SINGLES[key].decode(body))
    except msgspec.ValidationError:
        bad.append(_malformed(key, body))


def _malformed(key: str, body: bytes) -> Malformed:
    content = _ANYTHING.decode(body)
    if not isinstance(content, dict):
        return Malformed(key, _EXPECTED[key], ())
    refuse_older_version(key, content)
    reference = f"{_EXPECTED[key]}/{content.get('id')}"
    return Malformed(key, reference, tuple(_salvaged_codings(content.get("code"))))


def _salvaged_codings(code: object) -> Iterator[wire.Coding]:
    codings = code.get("coding") if isinstance(code, dict) else None
    for coding in codings if isinstance(codings, list) else ():
        try:
            yield msgspec.convert(coding, wire.Coding)
        except msgspec.ValidationError:
            continue
