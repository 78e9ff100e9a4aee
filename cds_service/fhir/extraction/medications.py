"""Drugs: what is taken, what was stopped, and what is being ordered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import msgspec

from cds_service.content.model import Product
from cds_service.domain.dates import PartialDate
from cds_service.domain.dosing import BodySurface
from cds_service.domain.medication import DailyDose, MedicationUse, Reason, Stage, UnclearDose
from cds_service.domain.snapshot import Finding
from cds_service.fhir import wire
from cds_service.fhir.dates import parse_date
from cds_service.fhir.extraction.dosage import dosage_of, period_days, planned_days, read_dose
from cds_service.fhir.extraction.reading import Reader, part_of, reference_of
from cds_service.fhir.vocabulary import Drug, texts_of

_CURRENT = frozenset({"active", "on-hold"})  # on hold is not stopped: nothing new is started
_PAST = frozenset({"stopped", "completed"})
_NOT_ORDERED = frozenset({"proposal", "plan", "option"})
_MTOR = frozenset({"sirolimus", "everolimus"})
_TOPICAL = re.compile(r"topical|cutaneous|dermal", re.IGNORECASE)

# value set -> the fact it tells
DRUG_FACTS = {
    "sirolimus": "mtor_inhibitor",
    "everolimus": "mtor_inhibitor",
    "strong-cyp3a4-pgp-inhibitor": "cyp3a4_inhibitor",
    "cyp3a4-inducer": "cyp3a4_inducer",
    "cannabidiol": "cannabidiol",
    "ace-inhibitor": "ace_inhibitor",
    "estrogen": "estrogen",
    "progestin": "hormone",
    "gnrh-agonist": "hormone",
    "serm": "hormone",
    "doxycycline": "doxycycline",
    "bronchodilator": "bronchodilator",
    "contraception": "contraception",
    "live-vaccine": "live_vaccine",
    "vaccine-perhaps-live": "perhaps_live_vaccine",
}
_VACCINES = ("live-vaccine", "vaccine-perhaps-live")
_ORDERED = tuple(DRUG_FACTS)
_TAKEN = tuple(name for name in DRUG_FACTS if name not in _VACCINES)  # one given is no drug taken
_BY_REASON = frozenset({"mtor_inhibitor", "hormone", "doxycycline"})
_REASONS = {
    "lymphangioleiomyomatosis": Reason.LAM,
    "angiomyolipoma": Reason.ANGIOMYOLIPOMA,
    "subependymal-giant-cell-astrocytoma": Reason.SEGA,
    "cancer": Reason.CANCER,
    "organ-transplant": Reason.TRANSPLANT,
    "lung-transplant": Reason.TRANSPLANT,
    "lung-transplant-procedure": Reason.TRANSPLANT,
}

_CONCEPTS = msgspec.json.Decoder(list[wire.CodeableConcept])
_REFERENCES = msgspec.json.Decoder(list[wire.Reference])

Library = Mapping[str, wire.Record]
Found = tuple[str, MedicationUse | Finding]


@dataclass(slots=True)
class MedicationReader:
    """
    Reads the drugs of one record.

    `library` holds Medications by reference, `conditions` the diagnoses an order may point to;
    `surface` gives the body surface area, which is asked for only by doses per m2.
    """

    reader: Reader
    library: Library
    conditions: Iterable[wire.Condition]
    surface: Callable[[], BodySurface | None]
    skip: frozenset[str] = frozenset()  # records that are judged as drafts
    _by_reference: dict[str, wire.CodeableConcept] | None = field(default=None, init=False)

    def on_record(self, records: Iterable[wire.Record]) -> Iterator[Found]:
        """Every drug on the lists that a rule asks for."""
        for record in records:
            if record.intent in _NOT_ORDERED or reference_of(record) in self.skip:
                continue
            code = drug_code(record, self.library)
            if code is None:
                self._note_unknown(record)
                continue
            for drug in self.reader.tools.vocabulary.drugs(code, _TAKEN):
                yield from self._on_record(record, code, drug)

    def _note_unknown(self, record: wire.Record) -> None:
        """A drug that is taken and not named might be an mTOR inhibitor, or interact with one."""
        if record.status in _CURRENT and medication_of(record)[1] is not None:
            self.reader.gap("mtor_inhibitor", reference_of(record), "medication-not-sent")

    def _on_record(
        self, record: wire.Record, code: wire.CodeableConcept, drug: Drug
    ) -> Iterator[Found]:
        fact, reference = DRUG_FACTS[drug.concept.id], reference_of(record)
        if is_topical(record) and drug.concept.id in _MTOR:
            return
        if record.status == "unknown":
            self.reader.gap(fact, reference, "unknown-status", on=begun(record))
        elif record.status not in _CURRENT | _PAST:
            return
        elif self.reader.is_sound(record, fact, begun(record)):
            stage = Stage.CURRENT if record.status in _CURRENT else Stage.PAST
            yield from self._tell(record, code, drug, stage)

    def drafted(self, record: wire.Record, stage: Stage) -> Iterator[Found]:
        """
        The drugs of an order that is not signed yet, or is signed again.

        A ServiceRequest orders a vaccine or no drug at all: one for a sirolimus level names the
        drug too.
        """
        is_service = record.resourceType == "ServiceRequest"
        code = record.code if is_service else drug_code(record, self.library)
        if code is None:
            return
        for drug in self.reader.tools.vocabulary.drugs(code, _VACCINES if is_service else _ORDERED):
            if not (is_topical(record) and drug.concept.id in _MTOR):
                yield from self._tell(record, code, drug, stage)

    def _tell(
        self, record: wire.Record, code: wire.CodeableConcept, drug: Drug, stage: Stage
    ) -> Iterator[Found]:
        fact, reference = DRUG_FACTS[drug.concept.id], reference_of(record)
        if fact == "contraception":
            if stage is not Stage.PAST:
                yield fact, Finding(drug.concept.title, begun(record), reference)
            return
        yield (
            fact,
            MedicationUse(
                drug=drug.concept.id,
                stage=stage,
                on=begun(record),
                reference=reference,
                ended=ended(record),
                name=drug.name,
                reasons=self._reasons(record, fact),
                days=self._days(record, drug, stage),
                dose=self._dose(record, code, drug, stage),
            ),
        )

    def _dose(
        self, record: wire.Record, code: wire.CodeableConcept, drug: Drug, stage: Stage
    ) -> DailyDose | UnclearDose | None:
        """The dose of an mTOR inhibitor that is being ordered; no other dose is judged."""
        if drug.concept.id not in _MTOR or stage is not Stage.DRAFTED:
            return None
        surface = self.surface() if _by_surface(record) else None
        return read_dose(record, self._product(code), surface, self.reader)

    def _product(self, code: wire.CodeableConcept) -> Product | None:
        products = self.reader.tools.content.products
        known = (products.get(c.code or "") for c in code.coding
                 if self.reader.tools.vocabulary.is_rxnorm(c))  # fmt: skip
        return next((product for product in known if product and product.mg), None)

    def _days(self, record: wire.Record, drug: Drug, stage: Stage) -> Fraction | None:
        """How long it is meant to be taken; what is still taken has lasted until today."""
        if drug.concept.id != "doxycycline":
            return None  # nothing else is judged by its duration
        period = record.effectivePeriod
        if period and stage is Stage.CURRENT and period.end is None:
            period = wire.Period(start=period.start, end=str(self.reader.as_of))
        known = [days for days in (planned_days(record), period_days(period)) if days is not None]
        return max(known, default=None)

    def _reasons(self, record: wire.Record, fact: str) -> frozenset[Reason]:
        """What the order says that it is for, in its own words or by pointing to a diagnosis."""
        if fact not in _BY_REASON:
            return frozenset()
        given, pointers = record.reasonCode, record.reasonReference
        concepts: list[wire.CodeableConcept] = [*(part_of(_CONCEPTS, given) or ())]
        for pointer in part_of(_REFERENCES, pointers) or ():
            named = self._condition(pointer)
            concepts += [named] if named else []
        vocabulary = self.reader.tools.vocabulary
        return frozenset(
            _REASONS[concept.id]
            for code in concepts
            for concept in (*vocabulary.coded(code), *vocabulary.mentioned(code, _REASONS))
            if concept.id in _REASONS
        )

    def _condition(self, pointer: wire.Reference) -> wire.CodeableConcept | None:
        if self._by_reference is None:
            self._by_reference = {reference_of(c): c.code for c in self.conditions if c.code}
        return self._by_reference.get(local_reference(pointer.reference or ""))


def library_of(*records: Iterable[wire.Record]) -> dict[str, wire.Record]:
    """The Medications that came along, by reference."""
    return {
        reference_of(record): record
        for group in records
        for record in group
        if record.resourceType == "Medication"
    }


def medication_of(
    record: wire.Record,
) -> tuple[wire.CodeableConcept | None, wire.Reference | None]:
    """The drug as a concept, or as a reference, as R4 and R5 write them."""
    sent = record.medication
    return (
        record.medicationCodeableConcept or (sent.concept if sent else None),
        record.medicationReference or (sent.reference if sent else None),
    )


def drug_code(record: wire.Record, library: Library) -> wire.CodeableConcept | None:
    """The drug, inline, contained, or in the same Bundle."""
    concept, pointer = medication_of(record)
    if concept is not None or pointer is None:
        return concept
    target = pointer.reference or ""
    if target.startswith("#"):
        inside = {contained.id: contained for contained in record.contained}
        medication = inside.get(target[1:])
    else:
        medication = library.get(target) or library.get(local_reference(target))
    if medication is not None and medication.code is not None:
        return medication.code
    return wire.CodeableConcept(text=pointer.display) if pointer.display else None


def unresolved(records: Iterable[wire.Record], library: Library) -> Iterator[str]:
    """The references of orders and statements to Medications that did not come along."""
    for record in records:
        concept, pointer = medication_of(record)
        target = (pointer.reference if pointer else None) or "#"
        known = target in library or local_reference(target) in library
        if concept is None and not known and not target.startswith("#"):
            yield target


def local_reference(reference: str) -> str:
    """Type and id of a reference that may be absolute or name a version."""
    return "/".join(reference.split("/_history/")[0].split("/")[-2:])


def is_topical(record: wire.Record) -> bool:
    """A gel on the skin, common in TSC, is no treatment of the lung."""
    try:
        routes = [line.route for line in dosage_of(record) if line.route]
    except msgspec.ValidationError:
        return False
    return any(_TOPICAL.search(texts_of(route)) for route in routes)


def _by_surface(record: wire.Record) -> bool:
    """Whether a dose mentions square metres, so that the body surface must be looked up."""
    return b"m2" in bytes(record.dosageInstruction) or b"m\xc2\xb2" in bytes(
        record.dosageInstruction
    )


def begun(record: wire.Record) -> PartialDate | None:
    """When the use began, or was ordered."""
    period = record.effectivePeriod
    for text in (period and period.start, record.effectiveDateTime, record.authoredOn,
                 record.dateAsserted):  # fmt: skip
        if text:
            return parse_date(text)
    return None


def ended(record: wire.Record) -> PartialDate | None:
    """When the use ended."""
    period = record.effectivePeriod
    return parse_date(period.end) if period and period.end else None


_ORDER_OF_STAGES = (Stage.DRAFTED, Stage.BACKGROUND, Stage.CURRENT, Stage.PAST)


def in_order(uses: Iterable[MedicationUse]) -> tuple[MedicationUse, ...]:
    """What is being ordered first, then what is taken, then the latest of what was stopped."""
    late = sorted(uses, key=_lateness, reverse=True)
    return tuple(sorted(late, key=lambda use: _ORDER_OF_STAGES.index(use.stage)))


def _lateness(use: MedicationUse) -> str:
    when = use.ended or use.on
    return when.last.isoformat() if when else ""
