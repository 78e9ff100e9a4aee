"""Drugs, allergies, procedures, requests and imaging reports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cds_service.domain.dates import PartialDate
from cds_service.domain.snapshot import Finding, MedicationUse
from cds_service.fhir import wire
from cds_service.fhir.dates import parse_date, parse_span
from cds_service.fhir.extraction.reading import Reader, reference_of
from cds_service.fhir.models import NotReadable, record_model
from cds_service.fhir.vocabulary import texts_of

Found = tuple[str, Finding]

_CURRENT = frozenset({"active", "on-hold"})  # on hold is not stopped: nothing new is started
_PAST = frozenset({"stopped", "completed"})
_NOT_ORDERED = frozenset({"proposal", "plan", "option"})
_DRUGS = ("sirolimus", "everolimus")
_TOPICAL = re.compile(r"topical|cutaneous|dermal", re.IGNORECASE)

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


def read_medications(
    requests: Iterable[wire.Record], statements: Iterable[wire.Record], reader: Reader
) -> tuple[MedicationUse, ...]:
    """Every systemic use of an mTOR inhibitor, current ones first, then the latest."""
    found = [*requests, *statements]
    library = {reference_of(r): r for r in found if r.resourceType == "Medication"}
    uses = [use for record in found for use in _uses(record, library, reader)]
    return tuple(sorted(uses, key=_current_and_late, reverse=True))


def read_contraceptives(
    requests: Iterable[wire.Record], statements: Iterable[wire.Record], reader: Reader
) -> Iterator[Finding]:
    """Every current contraceptive drug."""
    found = [*requests, *statements]
    library = {reference_of(r): r for r in found if r.resourceType == "Medication"}
    for record in found:
        code = _drug_code(record, library)
        if record.status not in _CURRENT or not reader.is_about_patient(record.subject):
            continue
        for concept in reader.tools.vocabulary.named(code, ("contraception",)):
            yield Finding(concept.title, _begun(record), reference_of(record))


def _uses(
    record: wire.Record, library: Mapping[str, wire.Record], reader: Reader
) -> Iterator[MedicationUse]:
    code = _drug_code(record, library)
    if code is None or _is_topical(record) or record.intent in _NOT_ORDERED:
        return
    for concept in reader.tools.vocabulary.named(code, _DRUGS):
        reference = reference_of(record)
        if record.status == "unknown":
            reader.gap("mtor_inhibitor", reference, "unknown-status", on=_begun(record))
        elif record.status in _CURRENT | _PAST and _is_sound(record, "mtor_inhibitor", reader):
            current = record.status in _CURRENT
            yield MedicationUse(concept.id, current, _begun(record), reference, _ended(record))


def _drug_code(
    record: wire.Record, library: Mapping[str, wire.Record]
) -> wire.CodeableConcept | None:
    """The drug, inline, contained, or in the same Bundle."""
    if record.medicationCodeableConcept is not None:
        return record.medicationCodeableConcept
    pointer = record.medicationReference
    if pointer is None:
        return None
    target = pointer.reference or ""
    if target.startswith("#"):
        inside = {contained.id: contained for contained in record.contained}
        medication = inside.get(target[1:])
    else:
        medication = library.get("/".join(target.split("/_history/")[0].split("/")[-2:]))
    if medication is not None and medication.code is not None:
        return medication.code
    return wire.CodeableConcept(text=pointer.display) if pointer.display else None


def _is_topical(record: wire.Record) -> bool:
    """A gel on the skin, common in TSC, is no treatment of the lung."""
    routes = [dose.route for dose in (*record.dosageInstruction, *record.dosage) if dose.route]
    return any(_TOPICAL.search(texts_of(route)) for route in routes)


def _begun(record: wire.Record) -> PartialDate | None:
    period = record.effectivePeriod
    for text in (period and period.start, record.effectiveDateTime, record.authoredOn,
                 record.dateAsserted):  # fmt: skip
        if text:
            return parse_date(text)
    return None


def _ended(record: wire.Record) -> PartialDate | None:
    period = record.effectivePeriod
    return parse_date(period.end) if period and period.end else None


def _current_and_late(use: MedicationUse) -> tuple[bool, str]:
    when = use.ended or use.on
    return use.is_current, when.last.isoformat() if when else ""


def read_allergies(found: Iterable[wire.Record], reader: Reader) -> Iterator[Finding]:
    """Allergies to and intolerances of a drug of the class."""
    for record in found:
        if record.resourceType != "AllergyIntolerance" or _is_ruled_out(record):
            continue
        for concept in reader.tools.vocabulary.named(record.code, ("mtor-inhibitor-allergy",)):
            if _is_sound(record, "mtor_allergy", reader):
                on = parse_date(record.recordedDate) if record.recordedDate else None
                yield Finding(concept.title, on, reference_of(record))


def _is_ruled_out(record: wire.Record) -> bool:
    clinical, verified = _codes(record.clinicalStatus), _codes(record.verificationStatus)
    inactive = bool(clinical) and "active" not in clinical
    return inactive or bool({"refuted", "entered-in-error"} & verified)


def _codes(status: wire.CodeableConcept | None) -> set[str | None]:
    return {coding.code for coding in status.coding} if status else set()


def read_acts(found: Iterable[wire.Record], reader: Reader) -> Iterator[Found]:
    """What procedures, requests and imaging reports tell."""
    for record in found:
        facts = _FACTS.get(record.resourceType or "", {})
        for concept in reader.tools.vocabulary.named(record.code, facts):
            fact, statuses = facts[concept.id]
            counts = record.status in statuses and record.intent not in _NOT_ORDERED
            if counts and _is_sound(record, fact, reader):
                yield fact, Finding(concept.title, _performed(record), reference_of(record))
        _note_conflict(record, facts, reader)


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


def _is_sound(record: wire.Record, fact: str, reader: Reader) -> bool:
    """About this patient and valid FHIR; otherwise a gap."""
    reference = reference_of(record)
    if not reader.is_about_patient(record.patient or record.subject):
        reader.gap(fact, reference, "other-patient", on=_performed(record))
        return False
    try:
        record_model(record)
    except NotReadable as error:
        reader.gap(fact, reference, "malformed", on=_performed(record), shown=error.element)
        return False
    return True


def newest_findings(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings newest first, undated ones last."""
    return tuple(sorted(found, key=lambda f: f.on.last.isoformat() if f.on else "", reverse=True))
