"""
The few FHIR elements that rules read, as types for a decoder that skips all the rest.

A chart of hundreds of kilobytes is decoded without building what nobody reads. Names are those of
FHIR R4 on the wire. `gc=False` keeps these short-lived trees out of garbage collection.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Raw, Struct


class Wire(Struct, gc=False, kw_only=True):
    """What all types here share."""


class Coding(Wire):
    """A code with its system."""

    system: str | None = None
    code: str | None = None
    display: str | None = None


class SystemAndCode(Wire):
    """A code with its system, where no display is read."""

    system: str | None = None
    code: str | None = None


class CodeableConcept(Wire):
    """Codes and text of one concept."""

    coding: tuple[Coding, ...] = ()
    text: str | None = None


class Subject(Wire):
    """Whom a resource is about."""

    reference: str | None = None


class Reference(Wire):
    """A reference to another resource."""

    reference: str | None = None
    display: str | None = None


class CodeableReference(Wire):
    """A concept, or a reference to what holds it: the way of R5."""

    concept: CodeableConcept | None = None
    reference: Reference | None = None


class Period(Wire):
    """A time span."""

    start: str | None = None
    end: str | None = None


class Quantity(Wire):
    """A number with its unit."""

    value: float | None = None
    comparator: str | None = None
    unit: str | None = None
    system: str | None = None
    code: str | None = None


class Annotation(Wire):
    """A remark."""

    text: str | None = None


class Component(Wire):
    """A part of an observation."""

    code: CodeableConcept | None = None
    valueQuantity: Quantity | None = None
    valueCodeableConcept: CodeableConcept | None = None
    valueString: str | None = None


class ObservedCode(Wire):
    """What was observed: by code alone, for no display of a code is read here."""

    coding: tuple[SystemAndCode, ...] = ()
    text: str | None = None


class Observation(Wire):
    """
    What is read of an Observation.

    Elements kept as `Raw` are read of a few observations only, and decoded then.
    """

    resourceType: str | None = None
    id: str | None = None
    status: str | None = None
    code: ObservedCode | None = None
    category: Raw = Raw()
    subject: Subject | None = None
    effectiveDateTime: str | None = None
    effectivePeriod: Period | None = None
    effectiveInstant: str | None = None
    issued: str | None = None
    valueQuantity: Quantity | None = None
    valueCodeableConcept: CodeableConcept | None = None
    valueString: str | None = None
    valueBoolean: bool | None = None
    valueInteger: int | None = None
    dataAbsentReason: Raw = Raw()
    component: Raw = Raw()
    bodySite: Raw = Raw()
    method: Raw = Raw()
    note: Raw = Raw()
    issue: Raw = Raw()  # of an OperationOutcome among the results


class Condition(Wire):
    """What is read of a Condition."""

    resourceType: str | None = None
    id: str | None = None
    clinicalStatus: CodeableConcept | None = None
    verificationStatus: CodeableConcept | None = None
    code: CodeableConcept | None = None
    bodySite: tuple[CodeableConcept, ...] = ()
    subject: Subject | None = None
    onsetDateTime: str | None = None
    onsetPeriod: Period | None = None
    recordedDate: str | None = None
    issue: Raw = Raw()  # of an OperationOutcome among the results


class Range(Wire):
    """A lowest and a highest quantity."""

    low: Quantity | None = None
    high: Quantity | None = None


class Ratio(Wire):
    """A quantity for each of another."""

    numerator: Quantity | None = None
    denominator: Quantity | None = None


class Repeat(Wire):
    """How often a drug is taken, and for how long."""

    boundsDuration: Quantity | None = None
    boundsPeriod: Period | None = None
    frequency: int | None = None
    frequencyMax: int | None = None
    period: float | None = None
    periodMax: float | None = None
    periodUnit: str | None = None
    when: tuple[str, ...] = ()
    timeOfDay: tuple[str, ...] = ()


class Timing(Wire):
    """When a drug is taken."""

    repeat: Repeat | None = None
    code: CodeableConcept | None = None


class DoseAndRate(Wire):
    """How much of a drug is taken at a time."""

    doseQuantity: Quantity | None = None
    doseRange: Range | None = None


class Dosage(Wire):
    """The way a drug is given."""

    sequence: int | None = None
    text: str | None = None
    timing: Timing | None = None
    asNeededBoolean: bool | None = None
    asNeededCodeableConcept: CodeableConcept | None = None
    route: CodeableConcept | None = None
    doseAndRate: tuple[DoseAndRate, ...] = ()
    maxDosePerPeriod: Ratio | None = None


class DispenseRequest(Wire):
    """For how long a drug is dispensed."""

    numberOfRepeatsAllowed: int | None = None
    expectedSupplyDuration: Quantity | None = None


class Record(Wire):
    """
    What is read of every other type: drugs, allergies, procedures, requests, reports.

    Elements kept as `Raw` are read of the few drugs that a rule asks for, and decoded then.
    """

    resourceType: str | None = None
    id: str | None = None
    status: str | None = None
    intent: str | None = None
    clinicalStatus: CodeableConcept | None = None
    verificationStatus: CodeableConcept | None = None
    code: CodeableConcept | None = None
    subject: Subject | None = None
    patient: Subject | None = None
    medicationCodeableConcept: CodeableConcept | None = None
    medicationReference: Reference | None = None
    medication: CodeableReference | None = None
    authoredOn: str | None = None
    dateAsserted: str | None = None
    recordedDate: str | None = None
    effectiveDateTime: str | None = None
    effectivePeriod: Period | None = None
    performedDateTime: str | None = None
    performedPeriod: Period | None = None
    occurrenceDateTime: str | None = None
    conclusion: str | None = None
    dosageInstruction: Raw = Raw()
    dosage: Raw = Raw()
    dispenseRequest: Raw = Raw()
    reasonCode: Raw = Raw()
    reasonReference: Raw = Raw()
    contained: tuple[Record, ...] = ()
    issue: Raw = Raw()  # of an OperationOutcome among the results


class Extension(Wire):
    """An extension that carries a code."""

    url: str | None = None
    valueCode: str | None = None


class Patient(Wire):
    """What is read of a Patient; no name, number or address among it."""

    resourceType: str | None = None
    id: str | None = None
    gender: str | None = None
    birthDate: str | None = None
    deceasedBoolean: bool | None = None
    deceasedDateTime: str | None = None
    extension: tuple[Extension, ...] = ()


R = TypeVar("R")


class Entry(Wire, Generic[R]):
    """An entry of a Bundle."""

    resource: R | None = None


class Link(Wire):
    """A link of a Bundle; `next` tells that this is not all."""

    relation: str | None = None
    url: str | None = None


class Bundle(Wire, Generic[R]):
    """A Bundle of resources read as one type; `resourceType` tells what really came."""

    resourceType: str | None = None
    link: tuple[Link, ...] = ()
    entry: tuple[Entry[R], ...] = ()


class RawEntry(Wire):
    """An entry whose resource is not decoded yet."""

    fullUrl: str | None = None
    resource: Raw = Raw()


class RawBundle(Wire):
    """A Bundle that is looked through resource by resource."""

    resourceType: str | None = None
    link: tuple[Link, ...] = ()
    entry: tuple[RawEntry, ...] = ()
