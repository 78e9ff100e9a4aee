"""Plan pregnancy, and contraception while on an mTOR inhibitor, in women with LAM."""

from __future__ import annotations

from datetime import date

from cds_service.domain.outcomes import (
    Indicator,
    Line,
    NotIndicated,
    Outcome,
    Recommended,
    Undetermined,
)
from cds_service.domain.population import (
    NO_LAM,
    NO_MTOR_INHIBITOR,
    SETTLED,
    current_mtor_inhibitor,
    unless_aged,
    unless_woman,
)
from cds_service.domain.reasons import finding_basis, medication_basis
from cds_service.domain.snapshot import PatientSnapshot
from cds_service.domain.thresholds import Thresholds

CARD = "plan-pregnancy"
READS = frozenset({"birth", "sex", "lam", "pregnancy", "mtor_inhibitor", "contraception"})
SUMMARIES = {
    "pregnant": frozenset[str](),
    "pregnant-on-mtor-inhibitor": frozenset({"drug"}),
    "no-contraception": frozenset({"drug"}),
}
LINES = {
    "pregnant": frozenset[str](),
    "pregnant-on-mtor-inhibitor": frozenset({"drug"}),
    "no-contraception": frozenset({"drug"}),
}


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:
    """
    Recommend counselling in pregnancy, or when a drug harmful to a foetus is taken unprotected.

    Contraception is often agreed without an order: the card asks, it does not accuse. Lists that
    were not sent leave the question open.
    """
    if not patient.lam:
        return NO_LAM
    excluded = unless_woman(patient)
    if excluded is None:
        excluded = unless_aged(patient, thresholds, as_of, "childbearing-age")
    if excluded is not None:
        return excluded
    return _pregnant(patient) if patient.pregnancy else _protected(patient)


def _pregnant(patient: PatientSnapshot) -> Recommended:
    use = current_mtor_inhibitor(patient)
    reasons = [finding_basis("pregnancy", patient.pregnancy[0])]
    lines = [Line("pregnant")]
    summary = lines[0]
    if use:
        reasons.append(medication_basis(use))
        summary = Line("pregnant-on-mtor-inhibitor", {"drug": use.drug})
        lines.insert(0, summary)
    return Recommended(CARD, summary, tuple(reasons), tuple(lines), Indicator.WARNING)


def _protected(patient: PatientSnapshot) -> Outcome:
    use = current_mtor_inhibitor(patient)
    if use is None:
        known = patient.absence_is_known("mtor_inhibitor")
        return NO_MTOR_INHIBITOR if known else Undetermined(missing=("mtor_inhibitor",))
    if patient.contraception:
        return NotIndicated((finding_basis("contraception", patient.contraception[0]),), SETTLED)
    if not patient.is_absent("contraception"):
        return Undetermined(missing=("contraception",))
    line = Line("no-contraception", {"drug": use.drug})
    return Recommended(CARD, line, (medication_basis(use),), (line,))
