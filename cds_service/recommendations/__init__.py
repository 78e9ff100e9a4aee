"""The recommendations, one module each, in the order in which cards of one urgency appear."""

from __future__ import annotations

from datetime import date

from cds_service.domain.outcomes import Basis, NotIndicated, Rule
from cds_service.domain.population import unless_adult
from cds_service.domain.snapshot import PatientSnapshot
from cds_service.domain.thresholds import Thresholds
from cds_service.recommendations import (
    assess_home_oxygen,
    confirm_lam_diagnosis,
    monitor_mtor_inhibitor,
    offer_pulmonary_rehabilitation,
    plan_mtor_inhibitor_before_transplant,
    plan_pregnancy,
    refer_lung_transplant,
    refer_to_lam_centre,
    repeat_pulmonary_function,
    review_unreadable_data,
    screen_for_lam,
    start_mtor_inhibitor,
)

PATIENT_VIEW: tuple[Rule, ...] = (
    plan_mtor_inhibitor_before_transplant,
    start_mtor_inhibitor,
    refer_lung_transplant,
    assess_home_oxygen,
    plan_pregnancy,
    monitor_mtor_inhibitor,
    refer_to_lam_centre,
    confirm_lam_diagnosis,
    repeat_pulmonary_function,
    screen_for_lam,
    offer_pulmonary_rehabilitation,
)

SAYS = {rule.CARD: (rule.SUMMARIES, rule.LINES) for rule in PATIENT_VIEW} | {
    review_unreadable_data.CARD: (
        review_unreadable_data.SUMMARIES,
        review_unreadable_data.LINES,
    )
}


def why_no_rule_applies(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date
) -> tuple[Basis, frozenset[str]] | None:
    """
    Why the whole service, or all of it but the named cards, has nothing to say to a patient.

    None when every rule is to be judged.
    """
    if patient.deceased:
        return Basis("deceased"), frozenset()
    if not (patient.lam or patient.possible_lam or patient.tsc):
        return Basis("neither-lam-nor-tsc"), frozenset()
    if not (patient.lam or patient.tsc):
        return Basis("possible-lam-only"), frozenset({confirm_lam_diagnosis.CARD})
    minor = unless_adult(patient, thresholds, as_of)
    if patient.lam and isinstance(minor, NotIndicated):
        return Basis("minor-with-lam"), frozenset({refer_to_lam_centre.CARD})
    return None
