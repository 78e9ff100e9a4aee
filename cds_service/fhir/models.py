"""
fhir.resources R4B models of the few resources that a rule reads.

Building one costs as much as decoding a hundred resources we skip, so only what decides is built,
from the elements that are read: a fault in an element nobody reads hides no value. What is cached
is terminology: status and code, nothing of a patient.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
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


def observation_model(
    sent: wire.Observation, coding: wire.SystemAndCode, when: datetime | str
) -> Observation:
    """
    The model of an Observation that was chosen by one of its codings.

    `when` is its time as already read, by rules stricter than those of the model.
    """
    model = _observation(sent.status, coding.system, coding.code)
    read: dict[str, Any] = {"effectiveDateTime": when}
    quantity = sent.valueQuantity
    if quantity is not None and quantity.value is not None:
        unit = _quantity(quantity.unit, quantity.system, quantity.code)
        value = Decimal(repr(quantity.value))
        read["valueQuantity"] = unit.model_copy(update={"value": value})
    return model.model_copy(update=read)


def condition_model(
    sent: wire.Condition, coding: wire.Coding | None, onset: PartialDate | None
) -> Condition:
    """
    The model of a Condition that was chosen by one of its codings, or by its text.

    `onset` is its date as already read, by rules stricter than those of the model.
    """
    if sent.subject is None:
        raise NotReadable("subject")
    clinical, verified = _first_code(sent.clinicalStatus), _first_code(sent.verificationStatus)
    coded = (coding.system, coding.code) if coding else (None, None)
    model = _condition(clinical, verified, coded)
    if sent.onsetDateTime is None:
        return model
    if onset is None:
        raise NotReadable("onsetDateTime")
    return model.model_copy(update={"onsetDateTime": sent.onsetDateTime})


def record_model(sent: wire.Record) -> Any:
    """The model of any other resource."""
    resource_type = sent.resourceType or ""
    who = sent.patient if resource_type == "AllergyIntolerance" else sent.subject
    data: dict[str, Any] = {
        "patient" if resource_type == "AllergyIntolerance" else "subject": _SUBJECT if who else None
    }
    for name in ("status", "intent", "authoredOn", "performedDateTime", "recordedDate"):
        value = getattr(sent, name)
        if value is not None:
            data[name] = value
    if sent.medicationCodeableConcept or sent.medicationReference:
        data["medicationCodeableConcept"] = {"text": "named elsewhere"}
    elif resource_type not in ("MedicationRequest", "MedicationStatement"):
        data["code"] = {"text": "named elsewhere"}
    return _build(_CLASSES[resource_type], data)


def patient_model(sent: wire.Patient) -> Patient:
    """The model of the Patient."""
    model = _patient(sent.gender, sent.deceasedBoolean)
    for element in ("birthDate", "deceasedDateTime"):
        text: str | None = getattr(sent, element)
        if text is not None and parse_date(text) is None:
            raise NotReadable(element)
    return model.model_copy(
        update={"birthDate": sent.birthDate, "deceasedDateTime": sent.deceasedDateTime}
    )


@lru_cache(maxsize=16)
def _patient(gender: str | None, deceased: bool | None) -> Patient:
    model: Patient = _build(Patient, {"gender": gender, "deceasedBoolean": deceased})
    return model


def _first_code(status: wire.CodeableConcept | None) -> Code | None:
    if status is None or not status.coding:
        return None
    return status.coding[0].system, status.coding[0].code


@lru_cache(maxsize=1024)
def _observation(status: str | None, system: str | None, code: str | None) -> Observation:
    """
    An Observation with what is the same in every chart: its status and its code.

    Building it anew for each value would cost three times as much; a copy takes the elements
    that differ, each validated by its own type.
    """
    data = {"status": status, "code": _concept(system, code)}
    model: Observation = _build(Observation, data)
    return model


@lru_cache(maxsize=1024)
def _quantity(unit: str | None, system: str | None, code: str | None) -> Quantity:
    """A Quantity without its value; only units that convert come here."""
    data = {"unit": unit, "system": system, "code": code}
    try:
        model: Quantity = _build(Quantity, data)
    except NotReadable:
        raise NotReadable("valueQuantity") from None
    return model


@lru_cache(maxsize=1024)
def _condition(clinical: Code | None, verified: Code | None, coded: Code) -> Condition:
    data: dict[str, Any] = {"subject": _SUBJECT}
    data["code"] = _concept(*coded) if any(coded) else {"text": "named by its text"}
    for name, status in (("clinicalStatus", clinical), ("verificationStatus", verified)):
        if status is not None:
            data[name] = _concept(*status)
    model: Condition = _build(Condition, data)
    return model


@lru_cache(maxsize=4096)
def _concept(system: str | None, code: str | None) -> CodeableConcept:
    """Terminology, not patient data: the same few concepts come back in every chart."""
    coding = {"system": system, "code": code}
    return CodeableConcept.model_validate(
        {"coding": [{name: value for name, value in coding.items() if value is not None}]}
    )


def _build(model: Any, data: dict[str, Any]) -> Any:
    try:
        return model.model_validate({k: v for k, v in data.items() if v is not None})
    except ValidationError as error:
        where = error.errors(include_input=False, include_url=False)[0]["loc"]
        raise NotReadable(str(where[0]) if where else "resource") from None
