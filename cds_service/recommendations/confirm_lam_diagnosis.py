"""Confirm the diagnosis of LAM while it is only possible, or before treatment rests on CT alone."""

from __future__ import annotations

from datetime import date

from cds_service.domain.indications import (
    bar_to_treatment,
    confirming_evidence,
    treatment_signs,
)
from cds_service.domain.outcomes import Basis, Line, NotIndicated, Outcome, Recommended
from cds_service.domain.population import NO_LAM, SETTLED
from cds_service.domain.reasons import finding_basis
from cds_service.domain.snapshot import PatientSnapshot
from cds_service.domain.suggestions import requests
from cds_service.domain.thresholds import Thresholds

CARD = "confirm-lam-diagnosis"
READS = frozenset(
    {
        "lam", "possible_lam", "tsc", "angiomyolipoma", "chylous_effusion", "vegf_d",
        "lung_histology", "fev1", "fev1_percent", "mtor_inhibitor",
    }
)  # fmt: skip
SUMMARIES = {"possible": frozenset[str](), "before-treatment": frozenset[str]()}
LINES = {
    "possible": frozenset[str](),
    "before-treatment": frozenset[str](),
    "vegf-d": frozenset[str](),
    "not-by-ct-alone": frozenset[str](),
    "evidence-not-seen": frozenset[str](),
}
ACTS = frozenset({"request-vegf-d"})
_EVIDENCE_SEARCHED = ("vegf_d", "lung_histology")


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:
    """
    Recommend confirmation when LAM is only possible, or treatment is due and nothing confirms it.

    Confirmed LAM on one line of the record settles a possible one on another.
    """
    if not patient.lam:
        return _possible(patient)
    evidence = confirming_evidence(patient, thresholds)
    if evidence:
        return NotIndicated(evidence, SETTLED)
    due = bar_to_treatment(patient, thresholds, as_of) is None
    if due and treatment_signs(patient, thresholds, as_of).any:
        return _advise(patient, "before-treatment", finding_basis("lam", patient.lam[0]))
    return NotIndicated((Basis("no-treatment-due"),))


def _possible(patient: PatientSnapshot) -> Outcome:
    if not patient.possible_lam:
        return NO_LAM
    return _advise(patient, "possible", finding_basis("possible-lam", patient.possible_lam[0]))


def _advise(patient: PatientSnapshot, reason: str, finding: Basis) -> Recommended:
    lines = [Line(reason), Line("vegf-d"), Line("not-by-ct-alone")]
    if not patient.absence_is_known(*_EVIDENCE_SEARCHED):
        lines.append(Line("evidence-not-seen"))
    measured = () if patient.vegf_d else requests(patient, "request-vegf-d")
    return Recommended(CARD, Line(reason), (finding,), tuple(lines), suggestions=measured)
