"""From the resources of a record to the snapshot that rules read; every coding decision is here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from itertools import chain
from typing import Any, NamedTuple

from cds_service.content.model import Content
from cds_service.domain.course import Course
from cds_service.domain.lung_function import Person
from cds_service.domain.medication import Stage
from cds_service.domain.snapshot import Finding, Moment, PatientSnapshot
from cds_service.domain.thresholds import Thresholds
from cds_service.fhir import wire
from cds_service.fhir.extraction.body import (
    read_angiomyolipoma_size,
    read_body_surface,
    size_in_diagnosis,
)
from cds_service.fhir.extraction.conditions import FACTS as CONDITION_FACTS
from cds_service.fhir.extraction.conditions import read_conditions
from cds_service.fhir.extraction.course import read_course
from cds_service.fhir.extraction.coverage import note_failures, unknown_facts
from cds_service.fhir.extraction.drafts import NO_DRAFTS, Drafts
from cds_service.fhir.extraction.medications import (
    MedicationReader,
    in_order,
    library_of,
)
from cds_service.fhir.extraction.oxygenation import read_pao2, read_saturations
from cds_service.fhir.extraction.person import read_patient
from cds_service.fhir.extraction.reading import Coded, Reader, Tools, counts, time_of
from cds_service.fhir.extraction.records import (
    Acts,
    newest_findings,
    read_acts,
    read_allergies,
    read_drafted_referrals,
    read_requested,
)
from cds_service.fhir.extraction.results import (
    read_done,
    read_functional_class,
    read_levels,
    read_pregnancy_status,
    read_smoking_status,
    read_vegf_d,
)
from cds_service.fhir.extraction.spirometry import (
    Heights,
    read_bronchodilator_test,
    read_fev1,
    read_fev1_percent,
    read_flow_ratio,
)
from cds_service.fhir.prefetch import Answer, Malformed
from cds_service.fhir.units import Units
from cds_service.fhir.vocabulary import Vocabulary, spellings

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
    "pregnancy-status": "pregnancy", "smoking-status": "smoker", "fvc": "flow_ratio",
    "fvc-pre": "flow_ratio", "fvc-post": "bronchodilator_test", "fev1-fvc": "flow_ratio",
    "bronchodilator-response": "bronchodilator_test", "tumour-size": "angiomyolipoma_size",
    "body-weight": "body_surface_area", "body-surface-area": "body_surface_area",
}  # fmt: skip

_OBSERVATION_KEYS = ("observations", "measurements", "laboratory")
# Charts hold many weights, and only a dose by body surface asks for them.
_FOR_DOSES = frozenset({"body-weight", "body-surface-area"})
ANY_FACT = "*"  # of a gap whose resource does not even tell what it is about


class _Index(NamedTuple):
    """The codes of observations that are read, with the value set of each."""

    names: Mapping[tuple[str | None, str | None], str]
    codes: frozenset[str | None]


class Extractor:
    """Reads records with one set of content; made once at start-up."""

    def __init__(self, content: Content) -> None:
        """Turn the value sets into look-up tables."""
        self._tools = Tools(content, Vocabulary(content), Units(content))
        self._observed = dict(_observation_codes(content))
        charted = {p: name for p, name in self._observed.items() if name not in _FOR_DOSES}
        self._in_orders, self._in_charts = _index(self._observed), _index(charted)
        self._acts = _acts_by_code(content)

    def extract(
        self,
        answers: Mapping[str, Answer],
        patient_id: str,
        thresholds: Thresholds,
        as_of: date,
        drafts: Drafts = NO_DRAFTS,
        moment: Moment = Moment.CHART,
    ) -> PatientSnapshot:
        """The snapshot of one patient on one day, with the orders that are being drafted."""
        reader = Reader(self._tools, thresholds, patient_id, as_of)
        for answer in answers.values():
            for bad in answer.malformed:
                self._note_malformed(bad, reader)
        unavailable, partial = unknown_facts(answers)
        facts = self._facts(answers, reader, drafts, unavailable)
        note_failures(answers, unavailable, reader)
        return PatientSnapshot(
            **facts, moment=moment, drafts=tuple(draft.reference for draft in drafts.judged),
            gaps=tuple(reader.gaps), unavailable=unavailable, partial=partial,
        )  # fmt: skip

    def course(
        self,
        answers: Mapping[str, Answer],
        patient_id: str,
        thresholds: Thresholds,
        as_of: date,
    ) -> Course:
        """Every usable value of the series that are drawn, for a clinician who wants to look."""
        reader = Reader(self._tools, thresholds, patient_id, as_of)
        observations = [answers[key].resources for key in _OBSERVATION_KEYS]
        groups = _grouped(chain.from_iterable(observations), self._in_charts)
        who = read_patient(answers["patient"], reader)
        person = Person(who["sex"], who["birth"], Heights(groups, reader))
        return read_course(groups, person, reader)

    def _facts(
        self,
        answers: Mapping[str, Answer],
        reader: Reader,
        drafts: Drafts,
        unavailable: frozenset[str],
    ) -> dict[str, Any]:
        who = read_patient(answers["patient"], reader)
        index = self._in_orders if drafts.judged else self._in_charts
        observations = [answers[key].resources for key in _OBSERVATION_KEYS]
        groups = _grouped(chain.from_iterable(observations), index)
        volumes = read_fev1(groups, reader)
        person = Person(who["sex"], who["birth"], Heights(groups, reader))
        drugs = _medications(answers, groups, reader, drafts)
        found = _findings(answers, groups, reader, drafts, drugs.pop("contraception", ()))
        size = read_angiomyolipoma_size(groups, reader)
        requests = answers["serviceRequests"].resources
        tested = read_bronchodilator_test(groups, reader)
        # A ratio takes as long as all else of spirometry: it is read where it can matter.
        tried = tested or "bronchodilator" in drugs or "bronchodilator" in unavailable
        asked = "lam" in found and not tried
        ratio = read_flow_ratio(groups, volumes, person, reader) if asked else None
        return {
            **who,
            **found,
            **drugs,
            **read_levels(groups, reader),
            **read_done(groups, reader),
            "fev1": volumes,
            "fev1_percent": read_fev1_percent(groups, volumes, person, reader),
            "flow_ratio": ratio,
            "bronchodilator_test": tested,
            "angiomyolipoma_size": size or size_in_diagnosis(found.get("angiomyolipoma", ())),
            "requested": read_requested(requests, self._acts, reader),
            "saturation": read_saturations(groups, reader),
            "pao2": read_pao2(groups, reader),
            "vegf_d": read_vegf_d(groups, reader),
            "functional_class": read_functional_class(groups, reader),
        }

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


def _index(observed: Mapping[tuple[str | None, str | None], str]) -> _Index:
    return _Index(observed, frozenset(code for _, code in observed))


def _grouped(found: Iterable[wire.Observation], index: _Index) -> dict[str, list[Coded]]:
    """Observations that some rule reads, by value set; the others are let go at once."""
    groups: dict[str, list[Coded]] = {}
    observed, known = index
    for sent in found:
        if sent.code is None:
            continue
        for coding in sent.code.coding:
            if coding.code not in known:  # most are not, and need no more than this
                continue
            name = observed.get((coding.system, coding.code))
            if name is not None and sent.resourceType == "Observation" and counts(sent):
                when = sent.effectiveDateTime or time_of(sent)
                groups.setdefault(name, []).append(Coded(sent, coding, when))
                break
    return groups


def _observation_codes(content: Content) -> Iterator[tuple[tuple[str | None, str | None], str]]:
    for name in _OBSERVED:
        for system, code in content.concepts[name].codes:
            for spelling in spellings(system, code, content.code_systems):
                yield spelling, name


def _acts_by_code(content: Content) -> Acts:
    """The acts by every spelling of their codes; those that have none by their text."""
    found: dict[tuple[str | None, str | None], tuple[str, ...]] = {}
    for act in content.acts.values():
        keys = [spelling for system, code in act.codes
                for spelling in spellings(system, code, content.code_systems)]  # fmt: skip
        text = act.resource.get("code", {}).get("text")
        for key in keys or [(None, text.lower())] if text else keys:
            found[key] = (*found.get(key, ()), act.id)
    return found


def _medications(
    answers: Mapping[str, Answer],
    groups: Mapping[str, list[Coded]],
    reader: Reader,
    drafts: Drafts,
) -> dict[str, tuple[Any, ...]]:
    listed = [r for key in ("medicationRequests", "medicationStatements")
              for r in answers[key].resources]  # fmt: skip
    drugs = MedicationReader(
        reader,
        library={**library_of(listed), **drafts.library},
        conditions=answers["conditions"].resources,
        surface=lambda: read_body_surface(groups, reader),
        skip=drafts.references,
    )
    found: dict[str, list[Any]] = {}
    for fact, use in (*drugs.on_record(listed), *_drafted(drugs, drafts, reader)):
        found.setdefault(fact, []).append(use)
    return {fact: tuple(uses) if fact == "contraception" else in_order(uses)
            for fact, uses in found.items()}  # fmt: skip


def _drafted(drugs: MedicationReader, drafts: Drafts, reader: Reader) -> Iterator[tuple[str, Any]]:
    """What the orders are for; one that cannot be judged is a gap."""
    for draft in drafts.judged:
        if draft.record is None:
            reader.gap("drafts", draft.reference, "malformed-draft")
        elif not reader.is_about_patient(draft.record.subject):
            reader.gap("drafts", draft.reference, "draft-of-other-patient")
        else:
            yield from drugs.drafted(draft.record, Stage.DRAFTED)
    for draft in drafts.background:
        if draft.record is not None and reader.is_about_patient(draft.record.subject):
            yield from drugs.drafted(draft.record, Stage.BACKGROUND)


def _findings(
    answers: Mapping[str, Answer],
    groups: Mapping[str, list[Coded]],
    reader: Reader,
    drafts: Drafts,
    contraceptives: Iterable[Finding],
) -> dict[str, tuple[Finding, ...]]:
    found: dict[str, list[Finding]] = {}
    ordered = [draft.record for draft in drafts.judged if draft.record is not None
               and reader.is_about_patient(draft.record.subject)]  # fmt: skip
    acts = [r for key in ("procedures", "serviceRequests", "imaging")
            for r in answers[key].resources]  # fmt: skip
    for fact, finding in (
        *read_conditions(answers["conditions"].resources, reader),
        *read_acts(acts, reader, drafts.references),
        *read_drafted_referrals(ordered, reader),
        *(("contraception", f) for f in contraceptives),
        *(("pregnancy", f) for f in read_pregnancy_status(groups, reader)),
        *(("mtor_allergy", f) for f in read_allergies(answers["allergies"].resources, reader)),
    ):
        found.setdefault(fact, []).append(finding)
    smoking = read_smoking_status(groups, reader)
    if smoking is not None:
        found["smoker"] = list(smoking)
    return {fact: newest_findings(findings) for fact, findings in found.items()}
