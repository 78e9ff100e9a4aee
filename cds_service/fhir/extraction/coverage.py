"""Which facts are not known, because what would tell them was not sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from cds_service.fhir.extraction.conditions import FACTS as CONDITION_FACTS
from cds_service.fhir.extraction.medications import DRUG_FACTS
from cds_service.fhir.extraction.reading import Reader
from cds_service.fhir.prefetch import Answer, State

# A fact is unknown when none of these keys was answered.
_KEYS_OF: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (fact for name, fact in DRUG_FACTS.items() if "vaccine" not in name),
        ("medicationRequests", "medicationStatements"),
    ),
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
        ("fev1", "fev1_percent", "flow_ratio", "bronchodilator_test", "saturation", "pao2",
         "functional_class", "angiomyolipoma_size"),
        ("observations",),
    ),
    **{fact: ("conditions",) for fact in CONDITION_FACTS.values() if fact != "contraception"},
    "pleurodesis": ("procedures",),
}  # fmt: skip


def facts_of(keys: Iterable[str]) -> frozenset[str]:
    """The facts that a service asks for with these prefetch keys."""
    asked = set(keys)
    return frozenset(fact for fact, sources in _KEYS_OF.items() if asked & set(sources))


def unknown_facts(answers: Mapping[str, Answer]) -> tuple[frozenset[str], frozenset[str]]:
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


def note_failures(
    answers: Mapping[str, Answer], unavailable: frozenset[str], reader: Reader
) -> None:
    """A search that failed may hide anything it would have told."""
    for key, answer in answers.items():
        if answer.state is State.FAILED:
            for fact in sorted(unavailable):
                if key in _KEYS_OF[fact]:
                    reader.gap(fact, f"search {key}", "search-failed")
                    break
