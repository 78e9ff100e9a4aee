"""The signs of LAM that call for an mTOR inhibitor, or for referral to a transplant centre."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from cds_service.domain.dates import is_within_months, on_day
from cds_service.domain.lung_function import (
    KindAndTrend,
    established_trend,
    fev1_trends,
    is_established,
)
from cds_service.domain.outcomes import Basis, NotIndicated
from cds_service.domain.oxygen import OxygenAssessment, assess_oxygenation
from cds_service.domain.population import (
    SETTLED,
    Exclusion,
    current_mtor_inhibitor,
    taken,
    unless_adult_with_lam,
    unless_without_transplant,
)
from cds_service.domain.reasons import finding_basis, measured_basis, medication_basis
from cds_service.domain.snapshot import (
    DataGap,
    Finding,
    FunctionalClass,
    PatientSnapshot,
    PercentPredicted,
)
from cds_service.domain.thresholds import Thresholds


@dataclass(frozen=True, slots=True)
class TreatmentSigns:
    """
    The signs for an mTOR inhibitor that are present; None or empty when absent.

    `recent_fev1` and `trend` are the newest ones whether or not they call for treatment;
    `provisional` is a fast decline over too few tests or too short a time.
    """

    recent_fev1: PercentPredicted | None
    low_fev1: PercentPredicted | None
    trend: KindAndTrend | None
    fast_decline: KindAndTrend | None
    provisional: KindAndTrend | None
    chylous_effusion: Finding | None

    @property
    def any(self) -> bool:
        """Whether at least one sign is present."""
        return bool(self.low_fev1 or self.fast_decline or self.chylous_effusion)


def treatment_signs(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date
) -> TreatmentSigns:
    """Look for abnormal or declining lung function and for chylous effusions."""
    recent = recent_fev1(patient, thresholds, as_of)
    trend = established_trend(patient, thresholds, as_of)
    decline = _fast(trend, "fev1-decline-for-mtor-inhibitor", thresholds, as_of)
    return TreatmentSigns(
        recent_fev1=recent,
        low_fev1=_if_met(recent, "fev1-for-mtor-inhibitor", thresholds),
        trend=trend,
        fast_decline=decline,
        provisional=None if decline else _provisional(patient, thresholds, as_of),
        chylous_effusion=next(iter(patient.chylous_effusion), None),
    )


def recent_fev1(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date
) -> PercentPredicted | None:
    """The newest FEV1 in percent predicted if it is recent."""
    newest, months = patient.fev1_percent, thresholds["recent-measurement"].number
    if newest and is_within_months(newest.measured.on, months, as_of):
        return newest
    return None


def unclear_fev1(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date
) -> tuple[DataGap, ...]:
    """The gap that a date leaves which is too vague to tell whether FEV1 is recent."""
    newest, months = patient.fev1_percent, thresholds["recent-measurement"].number
    if newest is None or is_within_months(newest.measured.on, months, as_of) is not None:
        return ()
    found = newest.measured
    return (DataGap("fev1_percent", found.reference, "recency-unclear", on=found.on),)


def _if_met(
    percent: PercentPredicted | None, threshold: str, thresholds: Thresholds
) -> PercentPredicted | None:
    if percent is None:
        return None
    measured = percent.measured
    return percent if thresholds[threshold].is_met_by(measured.value, measured.unit) else None


def _fast(
    found: KindAndTrend | None, threshold: str, thresholds: Thresholds, as_of: date
) -> KindAndTrend | None:
    """A trend at or beyond the threshold whose last test is recent."""
    if found is None:
        return None
    trend, months = found[1], thresholds["recent-measurement"].number
    if not is_within_months(on_day(trend.last), months, as_of):
        return None
    return found if thresholds[threshold].is_met_by(trend.per_year * 1000, "mL/a") else None


def _provisional(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date
) -> KindAndTrend | None:
    for kind, trend in fev1_trends(patient, thresholds, as_of):
        found = _fast((kind, trend), "fev1-decline-for-mtor-inhibitor", thresholds, as_of)
        if found and not is_established(trend, thresholds):
            return found
    return None


def confirming_evidence(patient: PatientSnapshot, thresholds: Thresholds) -> tuple[Basis, ...]:
    """What on record makes the diagnosis definite beside the CT (ATS/JRS 2017)."""
    evidence = []
    for label, findings in (
        ("tsc", patient.tsc),
        ("angiomyolipoma", patient.angiomyolipoma),
        ("chylous-effusion", patient.chylous_effusion),
        ("histology", patient.lung_histology),
    ):
        evidence += [finding_basis(label, finding) for finding in findings[:1]]
    limit = thresholds["vegf-d-diagnostic"]
    for level in patient.vegf_d:
        if limit.is_met_by(level.value, level.unit):
            evidence.append(measured_basis("vegf-d", level, limit.id))
    return tuple(evidence)


def is_confirmed(patient: PatientSnapshot, thresholds: Thresholds) -> bool:
    """Whether anything beside the CT makes the diagnosis definite."""
    on_record = (
        patient.tsc or patient.angiomyolipoma or patient.chylous_effusion or patient.lung_histology
    )
    return bool(on_record or confirming_evidence(patient, thresholds))


def bar_to_treatment(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date
) -> Exclusion | None:
    """
    Why an mTOR inhibitor is not to be proposed to this patient; None for one who may need it.

    Only adults with LAM who take none, are not pregnant, and have had no lung transplant nor are
    on the way to one.
    """
    excluded = unless_adult_with_lam(patient, thresholds, as_of)
    if excluded is not None:
        return excluded
    use = current_mtor_inhibitor(patient)
    if use is not None:
        return NotIndicated((medication_basis(use),), SETTLED)
    if patient.pregnancy:
        return NotIndicated((finding_basis("pregnancy", patient.pregnancy[0]),), SETTLED)
    return unless_without_transplant(patient)


@dataclass(frozen=True, slots=True)
class TransplantSigns:
    """The signs of advanced disease that are present; each but `recent_fev1` counts as one limb."""

    recent_fev1: PercentPredicted | None
    low_fev1: PercentPredicted | None
    functional_class: FunctionalClass | None
    oxygen: OxygenAssessment | None
    pulmonary_hypertension: Finding | None
    pneumothoraces: tuple[Finding, ...]
    decline_on_treatment: KindAndTrend | None

    @property
    def count(self) -> int:
        """How many limbs are present."""
        signs: tuple[object, ...] = (
            self.low_fev1,
            self.functional_class,
            self.oxygen,
            self.pulmonary_hypertension,
            self.pneumothoraces,
            self.decline_on_treatment,
        )
        return sum(bool(sign) for sign in signs)


def transplant_signs(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date
) -> TransplantSigns:
    """Look for each limb of the referral rule."""
    recent = recent_fev1(patient, thresholds, as_of)
    oxygen = assess_oxygenation(patient, thresholds, as_of)
    return TransplantSigns(
        recent_fev1=recent,
        low_fev1=_if_met(recent, "fev1-for-transplant-referral", thresholds),
        functional_class=_severe_class(patient, thresholds, as_of),
        oxygen=oxygen if oxygen.qualifies_at_rest else None,
        pulmonary_hypertension=next(iter(patient.pulmonary_hypertension), None),
        pneumothoraces=_troublesome(patient.pneumothorax, thresholds),
        decline_on_treatment=_decline_on_treatment(patient, thresholds, as_of),
    )


def _severe_class(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date
) -> FunctionalClass | None:
    found = recent_class(patient, thresholds, as_of)
    limit = thresholds["nyha-for-transplant-referral"]
    return found if found and limit.is_met_by(Decimal(found.value), "1") else None


def recent_class(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date
) -> FunctionalClass | None:
    """The newest functional class if it is recent."""
    found, months = patient.functional_class, thresholds["recent-measurement"].number
    return found if found and is_within_months(found.on, months, as_of) else None


def _troublesome(found: Iterable[Finding], thresholds: Thresholds) -> tuple[Finding, ...]:
    """One refractory pneumothorax, or enough different ones on the same side."""
    events = list(found)
    refractory = tuple(event for event in events if event.refractory)
    if refractory:
        return refractory[:1]
    for side in ("left", "right"):
        same = _different(event for event in events if event.side == side)
        if thresholds["pneumothorax-same-side"].is_met_by(Decimal(len(same)), "1"):
            return same
    return ()


def _different(events: Iterable[Finding]) -> tuple[Finding, ...]:
    """Events with their own date; one event listed twice, or undated, is not two."""
    by_date = {event.on: event for event in events if event.on is not None}
    return tuple(by_date.values())


def _decline_on_treatment(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date
) -> KindAndTrend | None:
    """A fast decline among the tests since the current mTOR inhibitor was begun."""
    starts = [use.on.last for use in taken(patient.mtor_inhibitor) if use.on]
    if not starts:
        return None
    since = tuple(test for test in patient.fev1 if test.measured.on.first >= min(starts))
    found = established_trend(replace(patient, fev1=since), thresholds, as_of)
    return _fast(found, "fev1-decline-on-mtor-inhibitor", thresholds, as_of)
