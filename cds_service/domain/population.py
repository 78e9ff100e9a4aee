"""Who the patient is: the conditions that several recommendations share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal

from cds_service.domain.dates import age_on
from cds_service.domain.medication import MedicationUse, Stage
from cds_service.domain.outcomes import Basis, NotIndicated, Undetermined
from cds_service.domain.reasons import finding_basis
from cds_service.domain.snapshot import DataGap, Finding, Moment, PatientSnapshot, Sex
from cds_service.domain.thresholds import Thresholds

Exclusion = NotIndicated | Undetermined
SETTLED = frozenset[str]()  # no unreadable value can change this answer
NO_LAM = NotIndicated((Basis("no-lam"),), unless=frozenset({"lam", "possible_lam"}))
NO_MTOR_INHIBITOR = NotIndicated(
    (Basis("no-mtor-inhibitor"),), unless=frozenset({"mtor_inhibitor"})
)
NOTHING_DRAFTED = NotIndicated((Basis("nothing-drafted"),), unless=frozenset({"drafts"}))


def unless_adult(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Exclusion | None:
    """None for an adult; otherwise why the recommendation does not apply."""
    return unless_aged(patient, thresholds, as_of, "adult-age")


def unless_aged(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date, threshold: str
) -> Exclusion | None:
    """None when the age in whole years meets `threshold` on any reading of the birth date."""
    key = (threshold, id(thresholds), as_of)
    return patient.once(key, lambda: _judge_age(patient, thresholds, as_of, threshold))


def _judge_age(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date, threshold: str
) -> Exclusion | None:
    if patient.birth is None:
        return Undetermined(missing=("birth",))
    verdicts = {
        thresholds[threshold].is_met_by(Decimal(age), "a") for age in age_on(patient.birth, as_of)
    }
    if verdicts == {True}:
        return None
    if verdicts == {False}:
        return NotIndicated((Basis("age", on=patient.birth, threshold=threshold),), SETTLED)
    unclear = DataGap("birth", "Patient", "imprecise-birth-date", on=patient.birth)
    return Undetermined(missing=("birth",), gaps=(unclear,))


def unless_adult_with_lam(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date
) -> Exclusion | None:
    """None for an adult with confirmed LAM."""
    if not patient.lam:
        return NO_LAM
    return unless_adult(patient, thresholds, as_of)


def unless_woman(patient: PatientSnapshot) -> Exclusion | None:
    """None for a woman by the sex on record."""
    if patient.sex is None:
        return Undetermined(missing=("sex",))
    return None if patient.sex is Sex.FEMALE else NotIndicated((Basis("not-a-woman"),), SETTLED)


def unless_without_transplant(patient: PatientSnapshot) -> NotIndicated | None:
    """None without a lung transplant, a listing for one, or a referral in progress."""
    for name in ("lung_transplant", "transplant_listing", "transplant_referral"):
        findings: tuple[Finding, ...] = getattr(patient, name)
        if findings:
            return NotIndicated((finding_basis(name, findings[0]),), SETTLED)
    return None


def taken(uses: Iterable[MedicationUse]) -> Iterator[MedicationUse]:
    """Those that are taken now."""
    return (use for use in uses if use.stage is Stage.CURRENT)


def judged(patient: PatientSnapshot, uses: Iterable[MedicationUse]) -> list[MedicationUse]:
    """What the question is about: the orders being judged, or, in a chart, what is taken now."""
    stage = Stage.CURRENT if patient.moment is Moment.CHART else Stage.DRAFTED
    return [use for use in uses if use.stage is stage]


def met(uses: Iterable[MedicationUse]) -> list[MedicationUse]:
    """What another drug would meet in the body: all that is taken now or being ordered."""
    return [use for use in uses if use.stage is not Stage.PAST]


def current_mtor_inhibitor(patient: PatientSnapshot) -> MedicationUse | None:
    """The mTOR inhibitor the patient takes now, for whatever reason."""
    return next(taken(patient.mtor_inhibitor), None)


def stopped_mtor_inhibitor(patient: PatientSnapshot) -> MedicationUse | None:
    """The last mTOR inhibitor that was stopped, if none is taken now."""
    if current_mtor_inhibitor(patient):
        return None
    return next((use for use in patient.mtor_inhibitor if use.stage is Stage.PAST), None)
