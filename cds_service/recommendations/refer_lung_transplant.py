"""Refer for lung transplantation when LAM is advanced."""

from __future__ import annotations

from datetime import date

from cds_service.domain.indications import TransplantSigns, transplant_signs
from cds_service.domain.lung_function import millilitres_per_year
from cds_service.domain.outcomes import (
    Basis,
    Indicator,
    Line,
    NotIndicated,
    Outcome,
    Recommended,
    Undetermined,
)
from cds_service.domain.population import unless_adult_with_lam, unless_without_transplant
from cds_service.domain.reasons import (
    class_basis,
    finding_basis,
    oxygen_basis,
    percent_basis,
    trend_basis,
)
from cds_service.domain.snapshot import PatientSnapshot, PercentSource
from cds_service.domain.suggestions import requests
from cds_service.domain.thresholds import Thresholds, plain

CARD = "refer-lung-transplant"
READS = frozenset(
    {
        "birth", "lam", "lung_transplant", "transplant_listing", "transplant_referral", "fev1",
        "fev1_percent", "functional_class", "saturation", "pao2", "haematocrit", "oedema",
        "p_pulmonale", "pulmonary_hypertension", "pneumothorax", "mtor_inhibitor",
    }
)  # fmt: skip
SUMMARIES = {
    "low-fev1": frozenset({"percent"}),
    "several": frozenset({"count"}),
    "functional-class": frozenset[str](),
    "oxygen": frozenset[str](),
    "pulmonary-hypertension": frozenset[str](),
    "pneumothorax": frozenset[str](),
    "decline-on-treatment": frozenset({"slope"}),
}
ACTS = frozenset({"request-transplant-referral"})
LINES = {
    "low-fev1": frozenset[str](),
    "functional-class": frozenset[str](),
    "oxygen": frozenset[str](),
    "pulmonary-hypertension": frozenset[str](),
    "pneumothorax": frozenset[str](),
    "decline-on-treatment": frozenset[str](),
    "reference-set-matters": frozenset({"percent"}),
    "pleurodesis": frozenset[str](),
}


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:
    """
    Recommend referral when at least one sign of advanced disease is present.

    Two signs, or FEV1 below the limit, make it a warning. Without a recent FEV1 and without any
    other sign the question stays open.
    """
    excluded = unless_adult_with_lam(patient, thresholds, as_of)
    if excluded is None:
        excluded = unless_without_transplant(patient)
    if excluded is not None:
        return excluded
    signs = transplant_signs(patient, thresholds, as_of)
    if signs.count:
        return _advise(patient, signs, thresholds)
    if signs.recent_fev1 is None:
        return Undetermined(missing=("fev1_percent",))
    return NotIndicated((percent_basis(signs.recent_fev1, "fev1-for-transplant-referral"),))


def _advise(
    patient: PatientSnapshot, signs: TransplantSigns, thresholds: Thresholds
) -> Recommended:
    present = _present(signs)
    urgent = signs.low_fev1 is not None or signs.count > 1
    return Recommended(
        card=CARD,
        summary=_summary(signs, present),
        because=tuple(_values(signs)),
        lines=(*map(Line, present), *_extra_lines(patient, signs, thresholds)),
        indicator=Indicator.WARNING if urgent else None,
        suggestions=requests(patient, *ACTS),
    )


def _present(signs: TransplantSigns) -> list[str]:
    limbs: dict[str, object] = {
        "low-fev1": signs.low_fev1,
        "functional-class": signs.functional_class,
        "oxygen": signs.oxygen,
        "pulmonary-hypertension": signs.pulmonary_hypertension,
        "pneumothorax": signs.pneumothoraces,
        "decline-on-treatment": signs.decline_on_treatment,
    }
    return [name for name, sign in limbs.items() if sign]


def _summary(signs: TransplantSigns, present: list[str]) -> Line:
    if signs.low_fev1:
        return Line("low-fev1", {"percent": plain(signs.low_fev1.measured.value)})
    if len(present) > 1:
        return Line("several", {"count": str(len(present))})
    if signs.decline_on_treatment:
        slope = millilitres_per_year(signs.decline_on_treatment[1])
        return Line(present[0], {"slope": plain(slope)})
    return Line(present[0])


def _extra_lines(
    patient: PatientSnapshot, signs: TransplantSigns, thresholds: Thresholds
) -> list[Line]:
    lines = [Line("pleurodesis")] if patient.pleurodesis else []
    percent = signs.recent_fev1
    if percent and percent.source is PercentSource.COMPUTED:
        value, unit = percent.measured.value, percent.measured.unit
        if thresholds["fev1-near-transplant-threshold"].is_met_by(value, unit):
            lines.append(Line("reference-set-matters", {"percent": plain(value)}))
    return lines


def _values(signs: TransplantSigns) -> list[Basis]:
    values = []
    if signs.recent_fev1:
        values.append(percent_basis(signs.recent_fev1, "fev1-for-transplant-referral"))
    if signs.functional_class:
        values.append(class_basis(signs.functional_class, "nyha-for-transplant-referral"))
    if signs.oxygen and signs.oxygen.verdict.decided_by:
        reading = signs.oxygen.verdict.decided_by
        label = "saturation" if reading.measured.unit == "%" else "pao2"
        values.append(oxygen_basis(label, reading))
    if signs.pulmonary_hypertension:
        values.append(finding_basis("pulmonary-hypertension", signs.pulmonary_hypertension))
    values += [finding_basis("pneumothorax", event) for event in signs.pneumothoraces]
    if signs.decline_on_treatment:
        values.append(trend_basis(signs.decline_on_treatment, "fev1-decline-on-mtor-inhibitor"))
    return values
