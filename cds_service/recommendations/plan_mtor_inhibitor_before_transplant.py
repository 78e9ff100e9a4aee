"""Plan what happens to the mTOR inhibitor before a lung transplant."""

from __future__ import annotations

from datetime import date

from cds_service.domain.indications import transplant_signs
from cds_service.domain.medication import MedicationUse
from cds_service.domain.outcomes import (
    Basis,
    Indicator,
    Line,
    NotIndicated,
    Outcome,
    Recommended,
    Undetermined,
)
from cds_service.domain.population import (
    NO_MTOR_INHIBITOR,
    NOTHING_DRAFTED,
    SETTLED,
    current_mtor_inhibitor,
    judged,
    met,
    unless_adult_with_lam,
)
from cds_service.domain.reasons import finding_basis, medication_basis
from cds_service.domain.snapshot import Finding, Moment, PatientSnapshot
from cds_service.domain.thresholds import Thresholds

CARD = "plan-mtor-inhibitor-before-transplant"
READS = frozenset(
    {
        "mtor_inhibitor", "lung_transplant", "transplant_listing", "transplant_referral", "lam",
        "fev1_percent", "functional_class", "saturation", "pao2", "pulmonary_hypertension",
        "pneumothorax", "drafts",
    }
)  # fmt: skip
_DRUG = frozenset({"drug"})
SUMMARIES = {
    "listed": _DRUG,
    "referred": _DRUG,
    "referral-advised": _DRUG,
    "referral-drafted": _DRUG,
    "drug-drafted": _DRUG,
}
LINES = {
    "listed": frozenset[str](),
    "referred": frozenset[str](),
    "referral-advised": frozenset[str](),
    "referral-drafted": frozenset[str](),
    "drug-drafted": frozenset[str](),
}
ACTS = frozenset[str]()  # neither drug nor referral is taken back by us: the team decides


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:
    """
    Recommend a plan when an mTOR inhibitor and a coming lung transplant are both in sight.

    A listing makes it critical. A medication list that was not sent leaves the question open.
    With orders the question is whether one of them brings the two together.
    """
    if patient.moment is not Moment.CHART:
        return _by_orders(patient)
    use = current_mtor_inhibitor(patient)
    if use is None:
        known = patient.absence_is_known("mtor_inhibitor")
        return NO_MTOR_INHIBITOR if known else Undetermined(missing=("mtor_inhibitor",))
    if patient.lung_transplant:
        reason = finding_basis("lung-transplant", patient.lung_transplant[0])
        return NotIndicated((reason,), SETTLED)
    if patient.transplant_listing:
        return _advise("listed", use, patient.transplant_listing, Indicator.CRITICAL)
    if patient.transplant_referral:
        return _advise("referred", use, patient.transplant_referral)
    adult = unless_adult_with_lam(patient, thresholds, as_of) is None
    if adult and transplant_signs(patient, thresholds, as_of).count:
        return _advise("referral-advised", use, ())
    return NotIndicated((Basis("no-transplant-in-sight"),))


def _by_orders(patient: PatientSnapshot) -> Outcome:
    """A referral that is drafted while the drug is taken, or the reverse."""
    drafted = judged(patient, patient.mtor_inhibitor)
    if not drafted and not patient.drafted_referral:
        return NOTHING_DRAFTED
    if patient.lung_transplant:
        reason = finding_basis("lung-transplant", patient.lung_transplant[0])
        return NotIndicated((reason,), SETTLED)
    use = next(iter(drafted or met(patient.mtor_inhibitor)), None)
    if use is None:
        known = patient.absence_is_known("mtor_inhibitor")
        return NO_MTOR_INHIBITOR if known else Undetermined(missing=("mtor_inhibitor",))
    if patient.drafted_referral:
        return _advise("referral-drafted", use, patient.drafted_referral)
    in_sight = patient.transplant_listing or patient.transplant_referral
    if in_sight:
        label = "listed" if patient.transplant_listing else "referred"
        return _advise("drug-drafted", use, in_sight, label=label)
    return NotIndicated((Basis("no-transplant-in-sight"),), _IN_SIGHT)


_IN_SIGHT = frozenset({"drafts", "transplant_listing", "transplant_referral"})


def _advise(
    reason: str,
    use: MedicationUse,
    findings: tuple[Finding, ...],
    indicator: Indicator | None = None,
    label: str = "",
) -> Recommended:
    listed = "listed" in (reason, label)
    named = "transplant-listing" if listed else "transplant-referral"
    return Recommended(
        card=CARD,
        summary=Line(reason, {"drug": use.shown}),
        because=(medication_basis(use), *(finding_basis(named, f) for f in findings[:1])),
        lines=(Line(reason),),
        indicator=indicator,
    )
