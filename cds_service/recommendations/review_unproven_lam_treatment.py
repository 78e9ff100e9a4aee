"""Review hormonal drugs and long courses of doxycycline that are given for LAM."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from cds_service.domain.medication import MedicationUse, Reason
from cds_service.domain.outcomes import (
    Basis,
    Line,
    NotIndicated,
    Outcome,
    Recommended,
    Suggestion,
    Undetermined,
)
from cds_service.domain.population import NO_LAM, NOTHING_DRAFTED, judged
from cds_service.domain.reasons import medication_basis
from cds_service.domain.snapshot import Moment, PatientSnapshot
from cds_service.domain.suggestions import REMOVE, removals
from cds_service.domain.thresholds import Thresholds

CARD = "review-unproven-lam-treatment"
READS = frozenset({"lam", "hormone", "doxycycline", "drafts"})
_DRUG = frozenset({"drug"})
SUMMARIES = {"hormone": _DRUG, "doxycycline": frozenset[str]()}
LINES = {
    "hormone": _DRUG,
    "doxycycline-for-lam": frozenset[str](),
    "doxycycline-long": frozenset({"days"}),
}
ACTS = frozenset({REMOVE})


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:  # noqa: ARG001
    """
    Recommend a review of what guidelines advise against as a treatment of LAM.

    A hormone counts only when its reason is LAM: a progestin-only contraceptive is no treatment
    of LAM. Doxycycline counts with that reason, or when it is meant for more than four weeks; how
    long a short course lasts is often not recorded, and then it stays silent.
    """
    drugs = judged(patient, (*patient.hormone, *patient.doxycycline))
    if patient.moment is not Moment.CHART and not drugs:
        return NOTHING_DRAFTED
    if not patient.lam:
        return NO_LAM
    reasons = {use: line for use in drugs if (line := _reason(use, thresholds))}
    if reasons:
        return _advise(patient, reasons)
    if not patient.absence_is_known("hormone", "doxycycline"):
        return Undetermined(missing=("hormone", "doxycycline"))
    return NotIndicated(tuple(map(medication_basis, drugs)) or (Basis("no-unproven-treatment"),))


def _reason(use: MedicationUse, thresholds: Thresholds) -> Line | None:
    """Why a drug is in question; None when it is not."""
    for_lam = Reason.LAM in use.reasons
    if use.drug != "doxycycline":
        return Line("hormone", {"drug": use.shown}) if for_lam else None
    if for_lam:
        return Line("doxycycline-for-lam")
    limit = thresholds["doxycycline-long-course"]
    if use.days is not None and limit.is_met_by(use.days, "d"):
        return Line("doxycycline-long", {"days": str(int(use.days))})
    return None


def _advise(patient: PatientSnapshot, reasons: dict[MedicationUse, Line]) -> Recommended:
    first, drafted = next(iter(reasons)), patient.moment is not Moment.CHART
    hormone = first.drug != "doxycycline"
    return Recommended(
        card=CARD,
        summary=Line("hormone", {"drug": first.shown}) if hormone else Line("doxycycline"),
        because=tuple(map(medication_basis, reasons)),
        lines=tuple({line.id: line for line in reasons.values()}.values()),
        suggestions=tuple(_removals(reasons)) if drafted else (),
    )


def _removals(uses: Iterable[MedicationUse]) -> Iterator[Suggestion]:
    """To take them back is advised where LAM is the reason; a long course may have another."""
    for use in uses:
        yield from removals((use,), advised=Reason.LAM in use.reasons)
