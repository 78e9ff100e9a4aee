"""
Whether the few resources that a rule reads are valid fhir.resources R4B.

Only the elements that are read are held against the model: a fault in an element nobody reads hides
no value. Statuses, codes and units come back in every chart, so the verdict on them is kept; it is
terminology, nothing of a patient. Dates and numbers have passed stricter checks of our own by then.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from fhir.resources.R4B.allergyintolerance import AllergyIntolerance
from fhir.resources.R4B.codeableconcept import CodeableConcept
from fhir.resources.R4B.condition import Condition
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.medicationrequest import MedicationRequest
from fhir.resources.R4B.medicationstatement import MedicationStatement
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.patient import Patient
from fhir.resources.R4B.procedure import Procedure
from fhir.resources.R4B.quantity import Quantity
from fhir.resources.R4B.reference import Reference
from fhir.resources.R4B.servicerequest import ServiceRequest
from pydantic import ValidationError

from cds_service.domain.dates import PartialDate
from cds_service.fhir import wire
from cds_service.fhir.dates import parse_date

_CLASSES: dict[str, Any] = {
    "AllergyIntolerance": AllergyIntolerance,
    "DiagnosticReport": DiagnosticReport,
    "MedicationRequest": MedicationRequest,
    "MedicationStatement": MedicationStatement,
    "Procedure": Procedure,
    "ServiceRequest": ServiceRequest,
}
_SUBJECT = Reference.model_validate({"reference": "Patient/subject"})  # checked before, by id


Code = tuple[str | None, str | None]


class NotReadable(Exception):
    """A resource is not valid R4B; `element` is the first element at fault."""

    def __init__(self, element: str) -> None:
        """Keep the name of the element and nothing of its content."""
        super().__init__(element)
        self.element = element


def check_observation(sent: wire.Observation, coding: wire.SystemAndCode) -> None:
    """Raise NotReadable unless an Observation is valid by the coding it was chosen by."""
    _observation(sent.status, coding.system, coding.code)
    quantity = sent.valueQuantity
    if quantity is not None and quantity.value is not None:
        _quantity(quantity.unit, quantity.system, quantity.code)


def check_condition(
    sent: wire.Condition, coding: wire.Coding | None, onset: PartialDate | None
) -> None:
    """
    Raise NotReadable unless a Condition is valid by one of its codings, or by its text.

    `onset` is its date as already read.
    """
    if sent.subject is None:
        raise NotReadable("subject")
    clinical, verified = _first_code(sent.clinicalStatus), _first_code(sent.verificationStatus)
    _condition(clinical, verified, (coding.system, coding.code) if coding else (None, None))
    if sent.onsetDateTime is not None and onset is None:
        raise NotReadable("onsetDateTime")


def check_record(sent: wire.Record) -> None:
    """Raise NotReadable unless any other resource is valid."""
    kind = sent.resourceType or ""
    who = sent.patient if kind == "AllergyIntolerance" else sent.subject
    named = (sent.medicationCodeableConcept, sent.medicationReference, sent.medication)
    drug = any(element is not None for element in named)
    _record(kind, sent.status, sent.intent, who is not None, drug)
    for element in ("authoredOn", "performedDateTime", "recordedDate"):
        text: str | None = getattr(sent, element)
        if text is not None and parse_date(text) is None:
            raise NotReadable(element)


def check_person(sent: wire.Patient) -> None:
    """Raise NotReadable unless the Patient is valid."""
    _patient(sent.gender, sent.deceasedBoolean)
    for element in ("birthDate", "deceasedDateTime"):
        text: str | None = getattr(sent, element)
        if text is not None and parse_date(text) is None:
            raise NotReadable(element)


@lru_cache(maxsize=1024)
def _record(
    kind: str, status: str | None, intent: str | None, has_subject: bool, has_drug: bool
) -> None:
    data: dict[str, Any] = {"status": status, "intent": intent}
    if has_subject:
        data["patient" if kind == "AllergyIntolerance" else "subject"] = _SUBJECT
    if has_drug:
        data["medicationCodeableConcept"] = {"text": "named elsewhere"}
    elif kind not in ("MedicationRequest", "MedicationStatement"):
        data["code"] = {"text": "named elsewhere"}
    _build(_CLASSES[kind], data)


@lru_cache(maxsize=16)
def _patient(gender: str | None, deceased: bool | None) -> None:
    _build(Patient, {"gender": gender, "deceasedBoolean": deceased})


def _first_code(status: wire.CodeableConcept | None) -> Code | None:
    if status is None or not status.coding:
        return None
    return status.coding[0].system, status.coding[0].code


@lru_cache(maxsize=1024)
def _observation(status: str | None, system: str | None, code: str | None) -> None:
    _build(Observation, {"status": status, "code": _concept(system, code)})


@lru_cache(maxsize=1024)
def _quantity(unit: str | None, system: str | None, code: str | None) -> None:
    """A Quantity without its value; only units that convert come here."""
    try:
        _build(Quantity, {"unit": unit, "system": system, "code": code})
    except NotReadable:
        raise NotReadable("valueQuantity") from None


@lru_cache(maxsize=1024)
def _condition(clinical: Code | None, verified: Code | None, coded: Code) -> None:
    data: dict[str, Any] = {"subject": _SUBJECT}
    data["code"] = _concept(*coded) if any(coded) else {"text": "named by its text"}
    for name, status in (("clinicalStatus", clinical), ("verificationStatus", verified)):
        if status is not None:
            data[name] = _concept(*status)
    _build(Condition, data)


@lru_cache(maxsize=4096)
def _concept(system: str | None, code: str | None) -> CodeableConcept:
    """Terminology, not patient data: the same few concepts come back in every chart."""
    coding = {"system": system, "code": code}
    return CodeableConcept.model_validate(
        {"coding": [{name: value for name, value in coding.items() if value is not None}]}
    )


def _build(model: Any, data: dict[str, Any]) -> None:
    try:
        model.model_validate({k: v for k, v in data.items() if v is not None})
    except ValidationError as error:
        where = error.errors(include_input=False, include_url=False)[0]["loc"]
        raise NotReadable(str(where[0]) if where else "resource") from None
