"""Refer a large angiomyolipoma to nephrology."""

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
from cds_service.domain.reasons import measured_basis
from cds_service.domain.snapshot import Measurement, PatientSnapshot
from cds_service.domain.suggestions import requests
from cds_service.domain.thresholds import Thresholds, plain

CARD = "refer-angiomyolipoma"
READS = frozenset(
    {"lam", "tsc", "angiomyolipoma", "angiomyolipoma_size", "mtor_allergy", "transplant_listing",
     "transplant_referral", "pregnancy"}
)  # fmt: skip
SUMMARIES = {"size": frozenset({"size"})}
LINES = {
    "sources-differ": frozenset[str](),
    "doses": frozenset[str](),
    "allergy": frozenset[str](),
    "transplant-in-sight": frozenset[str](),
    "pregnant": frozenset[str](),
}
ACTS = frozenset({"request-nephrology-referral"})


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:  # noqa: ARG001
    """
    Recommend referral from the smaller of the limits that the sources give.

    An angiomyolipoma without a size leaves the question open. No dose is advised: the doses that
    are often quoted for it are named with their drug and use, so that they go nowhere else.
    """
    if not (patient.lam or patient.tsc):
        return NotIndicated((Basis("neither-lam-nor-tsc"),), frozenset({"lam", "tsc"}))
    size = patient.angiomyolipoma_size
    if size is None:
        if patient.angiomyolipoma:
            return Undetermined(missing=("angiomyolipoma_size",))
        return NotIndicated((Basis("no-angiomyolipoma"),), frozenset({"angiomyolipoma_size"}))
    if not thresholds["angiomyolipoma-for-referral"].is_met_by(size.value, size.unit):
        return NotIndicated((_basis(size),), frozenset({"angiomyolipoma_size"}))
    return Recommended(
        card=CARD,
        summary=Line("size", {"size": plain(size.value)}),
        because=(_basis(size),),
        lines=tuple(_lines(patient)),
        suggestions=requests(patient, *ACTS),
    )


def _basis(size: Measurement) -> Basis:
    return measured_basis("angiomyolipoma-size", size, "angiomyolipoma-for-referral")


def _lines(patient: PatientSnapshot) -> list[Line]:
    """What else on record bears on a treatment that nephrology may think of."""
    lines = [Line("sources-differ"), Line("doses")]
    if patient.mtor_allergy:
        lines.append(Line("allergy"))
    if patient.transplant_listing or patient.transplant_referral:
        lines.append(Line("transplant-in-sight"))
    if patient.pregnancy:
        lines.append(Line("pregnant"))
    return lines
