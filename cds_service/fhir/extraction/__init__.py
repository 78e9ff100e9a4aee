"""From the resources of a record to the snapshot that rules read; every coding decision is here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from typing import Any

from cds_service.content.model import Content
from cds_service.domain.snapshot import Finding, PatientSnapshot, Sex
from cds_service.domain.thresholds import Thresholds
from cds_service.errors import CallError
from cds_service.fhir import wire
from cds_service.fhir.dates import parse_date
from cds_service.fhir.extraction.conditions import FACTS as CONDITION_FACTS
from cds_service.fhir.extraction.conditions import read_conditions
from cds_service.fhir.extraction.oxygenation import read_pao2, read_saturations
from cds_service.fhir.extraction.reading import Coded, Reader, Tools, counts
from cds_service.fhir.extraction.records import (
    newest_findings,
    read_acts,
    read_allergies,
    read_contraceptives,
    read_medications,
)
from cds_service.fhir.extraction.results import (
    read_done,
    read_functional_class,
    read_levels,
    read_pregnancy_status,
    read_smoking_status,
    read_vegf_d,
)
from cds_service.fhir.extraction.spirometry import read_fev1, read_fev1_percent
from cds_service.fhir.models import NotReadable, patient_model
from cds_service.fhir.prefetch import Answer, Malformed, State
from cds_service.fhir.units import Units
from cds_service.fhir.vocabulary import Vocabulary, spellings

_BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"

# The value sets that an Observation may match by its code, with the fact each tells.
_OBSERVED = {
    "fev1": "fev1", "fev1-pre": "fev1", "fev1-post": "fev1",
    "fev1-predicted": "fev1_percent", "fev1-predicted-pre": "fev1_percent",
    "fev1-predicted-post": "fev1_percent", "fev1-percent": "fev1_percent",
    "body-height": "fev1_percent", "saturation": "saturation", "saturation-rest": "saturation",
    "saturation-room-air": "saturation", "saturation-exertion": "saturation",
    "saturation-after-exercise": "saturation", "inhaled-oxygen-flow": "saturation",
    "inhaled-oxygen-concentration": "saturation", "pao2": "pao2", "haematocrit": "haematocrit",
    "sirolimus-level": "sirolimus_level", "everolimus-level": "everolimus_level",
    "vegf-d": "vegf_d", "lipids": "lipids", "blood-count": "blood_count",
    "creatinine": "creatinine", "urine-protein": "urine_protein", "nyha-class": "functional_class",
    "nyha-class-1": "functional_class", "nyha-class-2": "functional_class",
    "nyha-class-3": "functional_class", "nyha-class-4": "functional_class",
    "pregnancy-status": "pregnancy", "smoking-status": "smoker",
}  # fmt: skip

# A fact is unknown when none of these keys was answered.
_KEYS_OF: Mapping[str, tuple[str, ...]] = {
    "mtor_inhibitor": ("medicationRequests", "medicationStatements"),
    "contraception": ("medicationRequests", "medicationStatements"),
    "mtor_allergy": ("allergies",),
    "rehabilitation": ("procedures", "serviceRequests"),
    "transplant_referral": ("serviceRequests",),
    "lung_histology": ("procedures",),
    "chest_ct": ("imaging", "procedures"),
    **dict.fromkeys(
        ("haematocrit", "sirolimus_level", "everolimus_level", "vegf_d", "lipids", "blood_count",
         "creatinine", "urine_protein"),
        ("laboratory",),
    ),
    **dict.fromkeys(
        ("fev1", "fev1_percent", "saturation", "pao2", "functional_class"), ("observations",)
    ),
    **dict.fromkeys(CONDITION_FACTS.values(), ("conditions",)),
}  # fmt: skip
ANY_FACT = "*"  # of a gap whose resource does not even tell what it is about


class Extractor:
    """Reads records with one set of content; made once at start-up."""

    def __init__(self, content: Content) -> None:
        """Turn the value sets into look-up tables."""
        self._tools = Tools(content, Vocabulary(content), Units(content))
        self._observed = dict(_observation_codes(content))
        self._observed_codes = {code for _, code in self._observed}

    def extract(
        self,
        answers: Mapping[str, Answer],
        patient_id: str,
        thresholds: Thresholds,
        as_of: date,
    ) -> PatientSnapshot:
        """
        The snapshot of one patient on one day.

        Raises CallError (412) when the patient sent is not the patient of the call.
        """
        reader = Reader(self._tools, thresholds, patient_id, as_of)
        for answer in answers.values():
            for bad in answer.malformed:
                self._note_malformed(bad, reader)
        facts = self._facts(answers, reader)
        unavailable, partial = _unknown(answers)
        _note_failures(answers, unavailable, reader)
        return PatientSnapshot(
            **facts, gaps=tuple(reader.gaps), unavailable=unavailable, partial=partial
        )

    def _facts(self, answers: Mapping[str, Answer], reader: Reader) -> dict[str, Any]:
        who = _patient(answers["patient"], reader)
        groups = self._grouped((*answers["observations"].resources,
                                *answers["laboratory"].resources))  # fmt: skip
        volumes = read_fev1(groups, reader)
        percent = read_fev1_percent(groups, volumes, who["sex"], who["birth"], reader)
        return {
            **who,
            **_findings(answers, groups, reader),
            **read_levels(groups, reader),
            **read_done(groups, reader),
            "fev1": volumes,
            "fev1_percent": percent,
            "saturation": read_saturations(groups, reader),
            "pao2": read_pao2(groups, reader),
            "vegf_d": read_vegf_d(groups, reader),
            "functional_class": read_functional_class(groups, reader),
            "mtor_inhibitor": read_medications(*_drugs(answers), reader),
        }

    def _grouped(self, found: Iterable[wire.Observation]) -> dict[str, list[Coded]]:
        """Observations that some rule reads, by value set; the others are let go at once."""
        groups: dict[str, list[Coded]] = {}
        observed, known = self._observed, self._observed_codes
        for sent in found:
            if sent.code is None:
                continue
            for coding in sent.code.coding:
                if coding.code not in known:  # most are not, and need no more than this
                    continue
                name = observed.get((coding.system, coding.code))
                if name is not None and sent.resourceType == "Observation" and counts(sent):
                    groups.setdefault(name, []).append(Coded(sent, coding))
                    break
        return groups

    def _note_malformed(self, bad: Malformed, reader: Reader) -> None:
        names = [self._observed.get((c.system, c.code)) for c in bad.codings]
        facts = {_OBSERVED[name] for name in names if name}
        code = wire.CodeableConcept(coding=bad.codings)
        concepts = reader.tools.vocabulary.coded(code)
        facts |= {CONDITION_FACTS[c.id] for c in concepts if c.id in CONDITION_FACTS}
        if not bad.codings:
            facts = {ANY_FACT}
        for fact in sorted(facts):
            reader.gap(fact, bad.reference, "malformed")


def _observation_codes(content: Content) -> Iterator[tuple[tuple[str | None, str | None], str]]:
    for name in _OBSERVED:
        for system, code in content.concepts[name].codes:
            for spelling in spellings(system, code, content.code_systems):
                yield spelling, name


def _patient(answer: Answer, reader: Reader) -> dict[str, Any]:
    sent: wire.Patient = answer.resources[0]
    try:
        patient_model(sent)
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


def _findings(
    answers: Mapping[str, Answer], groups: Mapping[str, list[Coded]], reader: Reader
) -> dict[str, tuple[Finding, ...]]:
    found: dict[str, list[Finding]] = {}
    acts = [r for key in ("procedures", "serviceRequests", "imaging")
            for r in answers[key].resources]  # fmt: skip
    for fact, finding in (
        *read_conditions(answers["conditions"].resources, reader),
        *read_acts(acts, reader),
        *(("pregnancy", f) for f in read_pregnancy_status(groups, reader)),
        *(("contraception", f) for f in read_contraceptives(*_drugs(answers), reader)),
        *(("mtor_allergy", f) for f in read_allergies(answers["allergies"].resources, reader)),
    ):
        found.setdefault(fact, []).append(finding)
    smoking = read_smoking_status(groups, reader)
    if smoking is not None:
        found["smoker"] = list(smoking)
    return {fact: newest_findings(findings) for fact, findings in found.items()}


def _drugs(answers: Mapping[str, Answer]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    return answers["medicationRequests"].resources, answers["medicationStatements"].resources


def _unknown(answers: Mapping[str, Answer]) -> tuple[frozenset[str], frozenset[str]]:
    """The facts of which nothing came, and those of which only a first page came."""
    return _unknown_by_state(tuple([(key, answer.state) for key, answer in answers.items()]))


@lru_cache(maxsize=256)
def _unknown_by_state(
    states: tuple[tuple[str, State], ...],
) -> tuple[frozenset[str], frozenset[str]]:
    """An EHR answers the same keys each time: no need to work it out for each call."""
    silent = {key for key, state in states if state in (State.ABSENT, State.FAILED)}
    pages = {key for key, state in states if state is State.PARTIAL}
    unavailable = {fact for fact, keys in _KEYS_OF.items() if silent.issuperset(keys)}
    partial = {fact for fact, keys in _KEYS_OF.items() if pages & set(keys)}
    return frozenset(unavailable), frozenset(partial)


def _note_failures(
    answers: Mapping[str, Answer], unavailable: frozenset[str], reader: Reader
) -> None:
    """A search that failed may hide anything it would have told."""
    for key, answer in answers.items():
        if answer.state is State.FAILED:
            for fact in sorted(unavailable):
                if key in _KEYS_OF[fact]:
                    reader.gap(fact, f"search {key}", "search-failed")
                    break
