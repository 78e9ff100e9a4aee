"""Allergies, procedures, requests and imaging reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from cds_service.domain.dates import PartialDate
from cds_service.domain.snapshot import Finding
from cds_service.fhir import wire
from cds_service.fhir.dates import parse_date, parse_span
from cds_service.fhir.extraction.reading import Reader, reference_of
from cds_service.fhir.vocabulary import texts_of

Found = tuple[str, Finding]

_NOT_ORDERED = frozenset({"proposal", "plan", "option"})

_DONE = frozenset({"completed"})
_UNDER_WAY = frozenset({"completed", "in-progress"})
_REPORTED = frozenset({"final", "amended", "corrected", "appended"})
_ACTIVE = frozenset({"active"})
_ASKED_OR_DONE = frozenset({"active", "completed"})

# resource type -> value set -> the fact it tells and the statuses in which it does
_FACTS: Mapping[str, Mapping[str, tuple[str, frozenset[str]]]] = {
    "Procedure": {
        "lung-transplant-procedure": ("lung_transplant", _DONE),
        "pleurodesis": ("pleurodesis", _DONE),
        "pulmonary-rehabilitation": ("rehabilitation", _UNDER_WAY),
        "home-oxygen": ("home_oxygen", _UNDER_WAY),
        "ambulatory-oxygen": ("ambulatory_oxygen", _UNDER_WAY),
        "lung-histology": ("lung_histology", _DONE),
        "chest-ct": ("chest_ct", _DONE),
        "contraception": ("contraception", _DONE),
    },
    "ServiceRequest": {
        "transplant-referral": ("transplant_referral", _ACTIVE),
        "pulmonary-rehabilitation": ("rehabilitation", _ASKED_OR_DONE),
        "home-oxygen": ("home_oxygen", _ACTIVE),
        "ambulatory-oxygen": ("ambulatory_oxygen", _ACTIVE),
    },
    "DiagnosticReport": {"chest-ct": ("chest_ct", _REPORTED)},
}


def read_allergies(found: Iterable[wire.Record], reader: Reader) -> Iterator[Finding]:
    """Allergies to and intolerances of a drug of the class."""
    for record in found:
        if record.resourceType != "AllergyIntolerance" or _is_ruled_out(record):
            continue
        for concept in reader.tools.vocabulary.named(record.code, ("mtor-inhibitor-allergy",)):
            if reader.is_sound(record, "mtor_allergy", None):
                on = parse_date(record.recordedDate) if record.recordedDate else None
                yield Finding(concept.title, on, reference_of(record))


def _is_ruled_out(record: wire.Record) -> bool:
    clinical, verified = _codes(record.clinicalStatus), _codes(record.verificationStatus)
    inactive = bool(clinical) and "active" not in clinical
    return inactive or bool({"refuted", "entered-in-error"} & verified)


def _codes(status: wire.CodeableConcept | None) -> set[str | None]:
    return {coding.code for coding in status.coding} if status else set()


def read_acts(
    found: Iterable[wire.Record], reader: Reader, skip: frozenset[str] = frozenset()
) -> Iterator[Found]:
    """What procedures, requests and imaging reports tell; `skip` names orders judged as drafts."""
    for record in found:
        if record.resourceType == "ServiceRequest" and reference_of(record) in skip:
            continue
        facts = _FACTS.get(record.resourceType or "", {})
        for concept in reader.tools.vocabulary.named(record.code, facts):
            fact, statuses = facts[concept.id]
            counts = record.status in statuses and record.intent not in _NOT_ORDERED
            if counts and reader.is_sound(record, fact, _performed(record)):
                yield fact, Finding(concept.title, _performed(record), reference_of(record))
        _note_conflict(record, facts, reader)


def read_drafted_referrals(found: Iterable[wire.Record], reader: Reader) -> Iterator[Found]:
    """Orders for a referral to a transplant centre."""
    for record in found:
        for concept in reader.tools.vocabulary.named(record.code, ("transplant-referral",)):
            if record.resourceType == "ServiceRequest":
                on = _performed(record)
                yield "drafted_referral", Finding(concept.title, on, reference_of(record))


Acts = Mapping[tuple[str | None, str | None], tuple[str, ...]]


def read_requested(found: Iterable[wire.Record], acts: Acts, reader: Reader) -> dict[str, str]:
    """
    Which acts are requested already, each with the request on record.

    `acts` finds them by code, and those without a code by their text.
    """
    requested: dict[str, str] = {}
    for record in found:
        if record.status != "active" or record.resourceType != "ServiceRequest":
            continue
        code = record.code or wire.CodeableConcept()
        keys = [(coding.system, coding.code) for coding in code.coding]
        keys.append((None, (code.text or "").lower()))
        if reader.is_about_patient(record.subject):
            for name in (name for key in keys for name in acts.get(key, ())):
                requested.setdefault(name, reference_of(record))
    return requested


def _note_conflict(record: wire.Record, facts: Iterable[str], reader: Reader) -> None:
    """A CT code beside the text of an X-ray is no CT, and no X-ray either."""
    scan = reader.tools.content.concepts["chest-ct"]
    if scan.id not in facts or record.code is None or scan.text_not is None:
        return
    codes = {(reader.tools.vocabulary.system_of(c), c.code) for c in record.code.coding}
    if codes & scan.codes and scan.text_not.search(texts_of(record.code)):
        reader.gap("chest_ct", reference_of(record), "conflicting-text", on=_performed(record))


def _performed(record: wire.Record) -> PartialDate | None:
    for text in (record.performedDateTime, record.effectiveDateTime, record.occurrenceDateTime):
        if text:
            return parse_date(text)
    for period in (record.performedPeriod, record.effectivePeriod):
        if period and period.start:
            return parse_span(period.start, period.end)
    return parse_date(record.authoredOn) if record.authoredOn else None


def newest_findings(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings newest first, undated ones last."""
    return tuple(sorted(found, key=lambda f: f.on.last.isoformat() if f.on else "", reverse=True))
