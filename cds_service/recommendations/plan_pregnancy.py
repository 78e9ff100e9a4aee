"""Plan pregnancy, and contraception while on an mTOR inhibitor, in women with LAM."""

from __future__ import annotations

from datetime import date

from cds_service.domain.medication import MedicationUse, Stage
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
    NOTHING_DRAFTED,
    SETTLED,
    judged,
    unless_aged,
    unless_woman,
)
from cds_service.domain.reasons import finding_basis, medication_basis
from cds_service.domain.snapshot import Moment, PatientSnapshot
from cds_service.domain.suggestions import REMOVE, removals
from cds_service.domain.thresholds import Thresholds

CARD = "plan-pregnancy"
READS = frozenset({"birth", "sex", "lam", "pregnancy", "mtor_inhibitor", "contraception", "drafts"})
SUMMARIES = {
    "pregnant": frozenset[str](),
    "pregnant-on-mtor-inhibitor": frozenset({"drug"}),
    "pregnant-drafted": frozenset({"drug"}),
    "no-contraception": frozenset({"drug"}),
    "no-contraception-drafted": frozenset({"drug"}),
}
LINES = {
    "pregnant": frozenset[str](),
    "pregnant-on-mtor-inhibitor": frozenset({"drug"}),
    "pregnant-drafted": frozenset({"drug"}),
    "no-contraception": frozenset({"drug"}),
}
ACTS = frozenset({REMOVE})


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:
    """
    Recommend counselling in pregnancy, or when a drug harmful to a foetus is taken unprotected.

    Contraception is often agreed without an order: the card asks, it does not accuse. Lists that
    were not sent leave the question open. With orders the drug is one that is being ordered.
    """
    uses = judged(patient, patient.mtor_inhibitor)
    if patient.moment is not Moment.CHART and not uses:
        return NOTHING_DRAFTED
    if not patient.lam:
        return NO_LAM
    excluded = unless_woman(patient)
    if excluded is None:
        excluded = unless_aged(patient, thresholds, as_of, "childbearing-age")
    if excluded is not None:
        return excluded
    return _pregnant(patient, uses) if patient.pregnancy else _protected(patient, uses)


def _pregnant(patient: PatientSnapshot, uses: list[MedicationUse]) -> Recommended:
    reasons = [finding_basis("pregnancy", patient.pregnancy[0])]
    summary, lines = Line("pregnant"), [Line("pregnant")]
    if uses:
        reasons.append(medication_basis(uses[0]))
        fill = {"drug": uses[0].shown}
        drafted = uses[0].stage is Stage.DRAFTED
        summary = Line("pregnant-drafted" if drafted else "pregnant-on-mtor-inhibitor", fill)
        lines.insert(0, summary)
    return Recommended(
        card=CARD,
        summary=summary,
        because=tuple(reasons),
        lines=tuple(lines),
        indicator=Indicator.WARNING,
        suggestions=removals(_drafted(uses), advised=False),
    )


def _drafted(uses: list[MedicationUse]) -> list[MedicationUse]:
    return [use for use in uses if use.stage is Stage.DRAFTED]


def _protected(patient: PatientSnapshot, uses: list[MedicationUse]) -> Outcome:
    if not uses:
        known = patient.absence_is_known("mtor_inhibitor")
        return NO_MTOR_INHIBITOR if known else Undetermined(missing=("mtor_inhibitor",))
    if patient.contraception:
        return NotIndicated((finding_basis("contraception", patient.contraception[0]),), SETTLED)
    if not patient.is_absent("contraception"):
        return Undetermined(missing=("contraception",))
    use = uses[0]
    line = Line("no-contraception", {"drug": use.shown})
    drafted = use.stage is Stage.DRAFTED
    summary = Line("no-contraception-drafted", line.fills) if drafted else line
    return Recommended(CARD, summary, (medication_basis(use),), (line,))
