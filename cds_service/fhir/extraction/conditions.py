"""Diagnoses, statuses and events from Conditions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from cds_service.content.model import Concept
from cds_service.domain.dates import PartialDate
from cds_service.domain.snapshot import Finding
from cds_service.fhir import wire
from cds_service.fhir.dates import parse_date, parse_span
from cds_service.fhir.extraction.body import size_in
from cds_service.fhir.extraction.reading import Reader, reference_of
from cds_service.fhir.models import NotReadable, check_condition
from cds_service.fhir.vocabulary import texts_of

_ACTIVE = frozenset({"active", "recurrence", "relapse"})
_POSSIBLE = frozenset({"unconfirmed", "provisional", "differential"})
_REFUTED = frozenset({"refuted", "entered-in-error"})

_LAM = "lymphangioleiomyomatosis"
# Facts that are true while the condition is active and confirmed.
_STATES = {
    _LAM: "lam",
    "tuberous-sclerosis-complex": "tsc",
    "angiomyolipoma": "angiomyolipoma",
    "subependymal-giant-cell-astrocytoma": "subependymal_astrocytoma",
    "cancer": "cancer",
    "organ-transplant": "organ_transplant",
    "chylous-effusion": "chylous_effusion",
    "chylous-ascites": "chylous_effusion",
    "pulmonary-hypertension": "pulmonary_hypertension",
    "oedema": "oedema",
    "p-pulmonale": "p_pulmonale",
    "current-smoker": "smoker",
    "pregnancy": "pregnancy",
    "contraception": "contraception",
    "home-oxygen": "home_oxygen",
    "ambulatory-oxygen": "ambulatory_oxygen",
    "transplant-listing": "transplant_listing",
    "mtor-inhibitor-use": "mtor_use_code",
}
# Facts that stay true once they have happened.
_EVENTS = {
    "pneumothorax": "pneumothorax",
    "lung-transplant": "lung_transplant",
    "pleurodesis": "pleurodesis",
}
FACTS = {**_STATES, **_EVENTS}
_BY_TEXT = (
    "p-pulmonale", "contraception", "home-oxygen", "ambulatory-oxygen",
    "subependymal-giant-cell-astrocytoma", "cancer", "organ-transplant",
)  # fmt: skip
_REFRACTORY = re.compile(r"refractory|persistent", re.IGNORECASE)

Found = tuple[str, Finding]


def read_conditions(found: Iterable[wire.Condition], reader: Reader) -> Iterator[Found]:
    """Each fact that the conditions tell, with its finding."""
    for condition in found:
        if condition.resourceType != "Condition":
            continue
        for concept in _concepts(condition, reader):
            yield from _read(condition, concept, reader)


def _concepts(condition: wire.Condition, reader: Reader) -> list[Concept]:
    vocabulary = reader.tools.vocabulary
    if condition.code is None:
        return []
    coded = [c for c in vocabulary.coded(condition.code) if c.id in FACTS]
    return coded or vocabulary.by_text(condition.code, _BY_TEXT)


def _read(condition: wire.Condition, concept: Concept, reader: Reader) -> Iterator[Found]:
    fact = _fact_of(condition, concept)
    if fact is None:
        return
    on, reference = _onset(condition), reference_of(condition)
    if not reader.is_about_patient(condition.subject):
        reader.gap(fact, reference, "other-patient", on=on)
        return
    coding = condition.code.coding[0] if condition.code and condition.code.coding else None
    try:
        check_condition(condition, coding, on)
    except NotReadable as error:
        reader.gap(fact, reference, "malformed", on=on, shown=error.element)
        return
    yield fact, _finding(condition, concept, on, reference)


def _fact_of(condition: wire.Condition, concept: Concept) -> str | None:
    """Which fact this condition tells, given its clinical and verification status."""
    clinical, verified = _status(condition.clinicalStatus), _status(condition.verificationStatus)
    if concept.id in _EVENTS:
        return None if verified in _REFUTED | _POSSIBLE else _EVENTS[concept.id]
    if clinical is not None and clinical not in _ACTIVE:
        return None
    if verified in (None, "confirmed"):
        return _STATES[concept.id]
    return "possible_lam" if concept.id == _LAM and verified in _POSSIBLE else None


def _status(status: wire.CodeableConcept | None) -> str | None:
    """The code of a status; a status that has only text is as good as none."""
    if status is None:
        return None
    return next((coding.code for coding in status.coding if coding.code), None)


def _finding(
    condition: wire.Condition, concept: Concept, on: PartialDate | None, reference: str
) -> Finding:
    if concept.id == "angiomyolipoma" and condition.code:
        size = size_in(texts_of(condition.code))
        return Finding(concept.title, on, reference, size_cm=size)
    if concept.id != "pneumothorax":
        return Finding(concept.title, on, reference)
    text = _site_text(condition)
    return Finding(concept.title, on, reference, side_in(text), bool(_REFRACTORY.search(text)))


def _onset(condition: wire.Condition) -> PartialDate | None:
    if condition.onsetDateTime:
        return parse_date(condition.onsetDateTime)
    if condition.onsetPeriod and condition.onsetPeriod.start:
        return parse_span(condition.onsetPeriod.start, condition.onsetPeriod.start)
    return parse_date(condition.recordedDate) if condition.recordedDate else None


def _site_text(condition: wire.Condition) -> str:
    sites = [texts_of(site) for site in condition.bodySite]
    return " ".join([*sites, texts_of(condition.code) if condition.code else ""])


def side_in(text: str) -> str | None:
    """The one side that a text names; None when it names none or both."""
    words = set(re.findall(r"\b(left|right|bilateral)\b", text.lower()))
    return words.pop() if len(words) == 1 and "bilateral" not in words else None
