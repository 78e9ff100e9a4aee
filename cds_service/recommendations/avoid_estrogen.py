"""Avoid estrogen in LAM, and in women with tuberous sclerosis complex."""

from __future__ import annotations

from datetime import date

from cds_service.domain.outcomes import (
    Basis,
    Line,
    NotIndicated,
    Outcome,
    Recommended,
    Undetermined,
)
from cds_service.domain.population import NOTHING_DRAFTED, judged, unless_woman
from cds_service.domain.reasons import finding_basis, medication_basis
from cds_service.domain.snapshot import Finding, Moment, PatientSnapshot
from cds_service.domain.suggestions import REMOVE, removals
from cds_service.domain.thresholds import Thresholds

CARD = "avoid-estrogen"
READS = frozenset({"lam", "tsc", "sex", "estrogen", "drafts"})
SUMMARIES = {
    "lam": frozenset({"drug"}),
    "tsc": frozenset({"drug"}),
    "lam-drafted": frozenset({"drug"}),
    "tsc-drafted": frozenset({"drug"}),
}
LINES = {"lam": frozenset[str](), "tsc": frozenset[str]()}
ACTS = frozenset({REMOVE})


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:  # noqa: ARG001
    """
    Recommend another method or treatment when a drug with estrogen is taken or being ordered.

    In TSC without LAM only women are meant: they are the ones who may develop it.
    """
    if patient.moment is not Moment.CHART and not judged(patient, patient.estrogen):
        return NOTHING_DRAFTED
    if not patient.lam:
        if not patient.tsc:
            return NotIndicated((Basis("neither-lam-nor-tsc"),), frozenset({"lam", "tsc"}))
        excluded = unless_woman(patient)
        if excluded is not None:
            return excluded
    uses = judged(patient, patient.estrogen)
    if uses:
        return _advise(patient, *(("lam", patient.lam) if patient.lam else ("tsc", patient.tsc)))
    if not patient.absence_is_known("estrogen"):
        return Undetermined(missing=("estrogen",))
    return NotIndicated((Basis("no-estrogen"),), unless=frozenset({"estrogen", "drafts"}))


def _advise(patient: PatientSnapshot, why: str, diagnosis: tuple[Finding, ...]) -> Recommended:
    uses = judged(patient, patient.estrogen)
    drafted = patient.moment is not Moment.CHART
    return Recommended(
        card=CARD,
        summary=Line(f"{why}-drafted" if drafted else why, {"drug": uses[0].shown}),
        because=(finding_basis(why, diagnosis[0]), *map(medication_basis, uses)),
        lines=(Line(why),),
        suggestions=removals(uses, advised=True) if drafted else (),
    )
