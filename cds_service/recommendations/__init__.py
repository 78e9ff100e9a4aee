"""The recommendations, one module each, in the order in which cards of one urgency appear."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from cds_service.domain.outcomes import Basis, NotIndicated, Rule, Said
from cds_service.domain.population import unless_adult
from cds_service.domain.snapshot import Moment, PatientSnapshot
from cds_service.domain.thresholds import Thresholds
from cds_service.recommendations import (
    assess_home_oxygen,
    avoid_estrogen,
    avoid_live_vaccine,
    bronchodilator_response,
    confirm_lam_diagnosis,
    monitor_mtor_inhibitor,
    offer_pleurodesis,
    offer_pulmonary_rehabilitation,
    plan_mtor_inhibitor_before_transplant,
    plan_pregnancy,
    refer_angiomyolipoma,
    refer_lung_transplant,
    refer_to_lam_centre,
    repeat_pulmonary_function,
    review_mtor_inhibitor_interaction,
    review_unproven_lam_treatment,
    review_unreadable_data,
    screen_for_lam,
    start_mtor_inhibitor,
    stop_smoking,
    verify_mtor_inhibitor_dose,
)

PATIENT_VIEW: tuple[Rule, ...] = (
    plan_mtor_inhibitor_before_transplant,
    start_mtor_inhibitor,
    refer_lung_transplant,
    assess_home_oxygen,
    review_mtor_inhibitor_interaction,
    plan_pregnancy,
    avoid_estrogen,
    stop_smoking,
    monitor_mtor_inhibitor,
    refer_to_lam_centre,
    confirm_lam_diagnosis,
    repeat_pulmonary_function,
    refer_angiomyolipoma,
    offer_pleurodesis,
    bronchodilator_response,
    review_unproven_lam_treatment,
    screen_for_lam,
    offer_pulmonary_rehabilitation,
)
ORDERS: tuple[Rule, ...] = (
    verify_mtor_inhibitor_dose,
    plan_mtor_inhibitor_before_transplant,
    review_mtor_inhibitor_interaction,
    avoid_live_vaccine,
    plan_pregnancy,
    avoid_estrogen,
    review_unproven_lam_treatment,
)
RULES: Mapping[Moment, tuple[Rule, ...]] = {
    Moment.CHART: PATIENT_VIEW,
    Moment.SELECT: ORDERS,
    Moment.SIGN: ORDERS,
}
EVERY_RULE: tuple[Rule, ...] = tuple(dict.fromkeys((*PATIENT_VIEW, *ORDERS)))

SAYS: Mapping[str, Said] = {
    rule.CARD: Said(rule.SUMMARIES, rule.LINES, rule.ACTS) for rule in EVERY_RULE
} | {
    review_unreadable_data.CARD: Said(
        review_unreadable_data.SUMMARIES, review_unreadable_data.LINES, review_unreadable_data.ACTS
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
    if patient.moment is not Moment.CHART:
        return None  # an order is checked for minors and for possible LAM too
    if not (patient.lam or patient.tsc):
        return Basis("possible-lam-only"), frozenset({confirm_lam_diagnosis.CARD})
    minor = unless_adult(patient, thresholds, as_of)
    if patient.lam and isinstance(minor, NotIndicated):
        return Basis("minor-with-lam"), frozenset({refer_to_lam_centre.CARD})
    return None
