"""Test the response to a bronchodilator when airflow is obstructed in LAM."""

from __future__ import annotations

from datetime import date

from cds_service.domain.outcomes import (
    Line,
    NotIndicated,
    Outcome,
    Recommended,
    Undetermined,
)
from cds_service.domain.population import NO_LAM, SETTLED
from cds_service.domain.reasons import finding_basis, medication_basis, ratio_basis
from cds_service.domain.snapshot import FlowRatio, PatientSnapshot
from cds_service.domain.suggestions import requests
from cds_service.domain.thresholds import Thresholds, plain

CARD = "test-bronchodilator-response"
READS = frozenset({"lam", "flow_ratio", "bronchodilator", "bronchodilator_test"})
_RATIO = frozenset({"ratio"})
SUMMARIES = {"below-limit": _RATIO, "below-fixed": _RATIO}
LINES = {
    "below-limit": frozenset({"limit"}),
    "below-fixed": frozenset[str](),
    "limit-not-known": frozenset[str](),
    "above-limit": frozenset({"limit"}),
    "test": frozenset[str](),
}
ACTS = frozenset({"request-spirometry-with-bronchodilator"})
_FIXED = "fev1-fvc-obstruction"
_LISTS = ("bronchodilator", "bronchodilator_test")


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:  # noqa: ARG001
    """
    Recommend the test when FEV1/FVC is below its limit and neither drug nor test is on record.

    A bronchodilator taken before counts as tried. No ratio on record, or lists that were not
    sent, leave the question open. Below the lower limit of normal or below the
    fixed limit is enough; the card says which, since the two disagree at both ends of life.
    """
    if not patient.lam:
        return NO_LAM
    if patient.bronchodilator:
        return NotIndicated((medication_basis(patient.bronchodilator[0]),), SETTLED)
    if patient.bronchodilator_test:
        done = finding_basis("bronchodilator-test", patient.bronchodilator_test)
        return NotIndicated((done,), SETTLED)
    if not all(patient.is_absent(name) for name in _LISTS):
        return Undetermined(missing=_LISTS)
    ratio = patient.flow_ratio
    if ratio is None:
        return Undetermined(missing=("flow_ratio",))
    lines = _lines(ratio, thresholds)
    if not lines:
        return NotIndicated((ratio_basis(ratio, _FIXED),), unless=frozenset({"flow_ratio"}))
    return Recommended(
        card=CARD,
        summary=Line(lines[0].id, {"ratio": plain(ratio.measured.value)}),
        because=(ratio_basis(ratio, _FIXED),),
        lines=(*lines, Line("test")),
        suggestions=requests(patient, *ACTS),
    )


def _lines(ratio: FlowRatio, thresholds: Thresholds) -> list[Line]:
    """Which limits the ratio is below; none when it is below neither."""
    value, limit = ratio.measured.value, ratio.lower_limit
    fixed = thresholds[_FIXED].is_met_by(value, ratio.measured.unit)
    if limit is None:
        return [Line("below-fixed"), Line("limit-not-known")] if fixed else []
    shown = {"limit": plain(limit)}
    if value < limit:
        below = Line("below-limit", shown)
        return [below, Line("below-fixed")] if fixed else [below]
    return [Line("below-fixed"), Line("above-limit", shown)] if fixed else []
