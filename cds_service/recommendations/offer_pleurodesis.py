"""Offer pleurodesis after a pneumothorax in LAM, from the first one on."""

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
from cds_service.domain.population import NO_LAM, SETTLED, current_mtor_inhibitor
from cds_service.domain.reasons import finding_basis
from cds_service.domain.snapshot import PatientSnapshot
from cds_service.domain.thresholds import Thresholds

CARD = "offer-pleurodesis"
READS = frozenset(
    {"lam", "pneumothorax", "pleurodesis", "lung_transplant", "transplant_listing",
     "transplant_referral", "mtor_inhibitor"}
)  # fmt: skip
SUMMARIES = {"first": frozenset[str](), "several": frozenset({"count"})}
LINES = {
    "offer": frozenset[str](),
    "transplant-in-sight": frozenset[str](),
    "wound-healing": frozenset({"drug"}),
}
ACTS = frozenset[str]()


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:  # noqa: ARG001
    """
    Recommend the offer when a pneumothorax is on record and no pleurodesis.

    Procedures that were not sent leave the question open: it may have been done. After a lung
    transplant the lungs of the past are no longer the question.
    """
    if not patient.lam:
        return NO_LAM
    if not patient.pneumothorax:
        return NotIndicated((Basis("no-pneumothorax"),), unless=frozenset({"pneumothorax"}))
    for label, findings in (
        ("pleurodesis", patient.pleurodesis),
        ("lung-transplant", patient.lung_transplant),
    ):
        if findings:
            return NotIndicated((finding_basis(label, findings[0]),), SETTLED)
    if not patient.is_absent("pleurodesis"):
        return Undetermined(missing=("pleurodesis",))
    return _advise(patient)


def _advise(patient: PatientSnapshot) -> Recommended:
    events = patient.pneumothorax
    count = len({event.on for event in events})  # one event may be listed twice
    lines = [Line("offer")]
    if patient.transplant_listing or patient.transplant_referral:
        lines.append(Line("transplant-in-sight"))
    use = current_mtor_inhibitor(patient)
    if use:
        lines.append(Line("wound-healing", {"drug": use.shown}))
    return Recommended(
        card=CARD,
        summary=Line("several", {"count": str(count)}) if count > 1 else Line("first"),
        because=tuple(finding_basis("pneumothorax", event) for event in events),
        lines=tuple(lines),
    )
