"""Laboratory results, NYHA class, pregnancy and smoking status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from cds_service.domain.snapshot import Finding, FunctionalClass, Measurement
from cds_service.fhir import wire
from cds_service.fhir.extraction.reading import (
    Coded,
    Observations,
    Reader,
    newest_first,
    reference_of,
)
from cds_service.fhir.models import NotReadable, check_observation

Groups = Mapping[str, Observations]


def read_levels(groups: Groups, reader: Reader) -> dict[str, Measurement | None]:
    """The newest haematocrit and drug levels."""
    names = ("haematocrit", "sirolimus-level", "everolimus-level")
    return {
        name.replace("-", "_"): reader.newest(groups.get(name, ()), name, name.replace("-", "_"))
        for name in names
    }


def read_vegf_d(groups: Groups, reader: Reader) -> tuple[Measurement, ...]:
    """Every VEGF-D: one high result at any time supports the diagnosis."""
    return tuple(reader.series(groups.get("vegf-d", ()), "vegf-d", "vegf_d"))


def read_done(groups: Groups, reader: Reader) -> dict[str, Finding | None]:
    """When safety laboratory tests were last done; their values are the clinician's to read."""
    names = ("lipids", "blood-count", "creatinine", "urine-protein")
    return {
        name.replace("-", "_"): _last_done(groups.get(name, ()), name, reader) for name in names
    }


def _last_done(found: Observations, name: str, reader: Reader) -> Finding | None:
    fact = name.replace("-", "_")
    for coded in newest_first(found):
        sent = coded.observation
        on = reader.date_of(sent, fact)
        if on is not None and _is_usable(coded, fact, reader):
            return Finding(reader.tools.content.concepts[name].title, on, reference_of(sent))
    return None


def _is_usable(coded: Coded, fact: str, reader: Reader) -> bool:
    reference = reference_of(coded.observation)
    if not reader.is_about_patient(coded.observation.subject):
        reader.gap(fact, reference, "other-patient")
        return False
    try:
        check_observation(coded.observation, coded.coding)
    except NotReadable as error:
        reader.gap(fact, reference, "malformed", shown=error.element)
        return False
    return True


def read_functional_class(groups: Groups, reader: Reader) -> FunctionalClass | None:
    """The newest NYHA class, given as an answer or as a finding of its own."""
    found = [*groups.get("nyha-class", ())]
    for number in (1, 2, 3, 4):
        found += groups.get(f"nyha-class-{number}", ())
    for coded in newest_first(found):
        sent = coded.observation
        on = reader.date_of(sent, "functional_class")
        if on is None or not _is_usable(coded, "functional_class", reader):
            continue
        value = _class_of(coded, reader)
        if value is not None:
            return FunctionalClass(value, on, reference_of(sent))
        reader.gap("functional_class", reference_of(sent), "unknown-answer", on=on)
    return None


def _class_of(coded: Coded, reader: Reader) -> int | None:
    names = {f"nyha-class-{number}": number for number in (1, 2, 3, 4)}
    sent = coded.observation
    finding = wire.Coding(system=coded.coding.system, code=coded.coding.code)
    for code in (_answer(sent), wire.CodeableConcept(coding=(finding,))):
        for concept in reader.tools.vocabulary.named(code, names):
            return names[concept.id]
    return None


def _answer(sent: wire.Observation) -> wire.CodeableConcept | None:
    """The answer of an observation, whatever type it was sent as."""
    if sent.valueCodeableConcept is not None:
        return sent.valueCodeableConcept
    if sent.valueString is not None:
        return wire.CodeableConcept(text=sent.valueString.strip())
    number = sent.valueInteger
    if number is None and sent.valueQuantity and sent.valueQuantity.value is not None:
        value = sent.valueQuantity.value
        number = int(value) if value == int(value) else None
    if number is not None:
        return wire.CodeableConcept(text=str(number))
    if sent.valueBoolean is not None:
        return wire.CodeableConcept(text="yes" if sent.valueBoolean else "no")
    return None


def read_pregnancy_status(groups: Groups, reader: Reader) -> Iterator[Finding]:
    """The newest pregnancy status, if it is positive and recent enough to hold still."""
    days = reader.thresholds["pregnancy-status-validity"].number
    for coded in newest_first(groups.get("pregnancy-status", ())):
        sent = coded.observation
        on = reader.date_of(sent, "pregnancy")
        if on is None or not _is_usable(coded, "pregnancy", reader):
            continue
        answer = list(reader.tools.vocabulary.named(_answer(sent), ("pregnancy-positive",)))
        if answer and on.first >= reader.as_of - timedelta(days=days):
            yield Finding("Positive pregnancy status", on, reference_of(sent))
        return


def read_smoking_status(groups: Groups, reader: Reader) -> tuple[Finding, ...] | None:
    """The newest smoking status: a finding for a smoker, none for others, None if not recorded."""
    for coded in newest_first(groups.get("smoking-status", ())):
        sent = coded.observation
        on = reader.date_of(sent, "smoker")
        if on is None or not _is_usable(coded, "smoker", reader):
            continue
        concepts = reader.tools.vocabulary.coded(_answer(sent))
        smokes = any(concept.id == "current-smoker" for concept in concepts)
        return (Finding("Current smoker", on, reference_of(sent)),) if smokes else ()
    return None
