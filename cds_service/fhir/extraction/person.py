"""Who the patient is."""

from __future__ import annotations

from typing import Any

from cds_service.domain.snapshot import Sex
from cds_service.errors import CallError
from cds_service.fhir import wire
from cds_service.fhir.dates import parse_date
from cds_service.fhir.extraction.reading import Reader
from cds_service.fhir.models import NotReadable, check_person
from cds_service.fhir.prefetch import Answer

_BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"


def read_patient(answer: Answer, reader: Reader) -> dict[str, Any]:
    """Birth, sex and death; what is missing or cannot be read is a gap."""
    sent: wire.Patient = answer.resources[0]
    try:
        check_person(sent)
    except NotReadable as error:
        reader.gap("birth", "Patient", "malformed", shown=error.element)
    birth = parse_date(sent.birthDate) if sent.birthDate else None
    if birth is None:
        reason = "unreadable-date" if sent.birthDate else "missing-birth-date"
        reader.gap("birth", "Patient", reason)
    sex = _sex(sent)
    if sex is None:
        reader.gap("sex", "Patient", "missing-sex")
    return {"birth": birth, "sex": sex, "deceased": _is_deceased(sent)}


def check_patient(answer: Answer, patient_id: str) -> None:
    """Raise CallError (412) unless the patient that came is the patient of the call."""
    if answer.resources and answer.resources[0].id == patient_id:
        return
    raise CallError(
        412,
        "required",
        "The patient supplied is not the patient of the call.",
        "prefetch key: patient",
    )


def _sex(sent: wire.Patient) -> Sex | None:
    """Sex at birth if recorded; administrative gender is its usual proxy."""
    codes = {"F": Sex.FEMALE, "M": Sex.MALE, "female": Sex.FEMALE, "male": Sex.MALE}
    for extension in sent.extension:
        if extension.url == _BIRTH_SEX and extension.valueCode in codes:
            return codes[extension.valueCode]
    return codes.get(sent.gender or "")


def _is_deceased(sent: wire.Patient) -> bool:
    return bool(sent.deceasedBoolean) or sent.deceasedDateTime is not None
