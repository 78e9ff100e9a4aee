"""Offer pulmonary rehabilitation to people with LAM who are limited on exertion or need oxygen."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from cds_service.domain.dates import is_within_months
from cds_service.domain.indications import recent_class
from cds_service.domain.outcomes import (
    Basis,
    Line,
    NotIndicated,
    Outcome,
    Recommended,
    Undetermined,
)
from cds_service.domain.oxygen import assess_oxygenation
from cds_service.domain.population import NO_LAM, SETTLED, unless_adult
from cds_service.domain.reasons import class_basis, finding_basis, oxygen_basis
from cds_service.domain.snapshot import PatientSnapshot
from cds_service.domain.suggestions import requests
from cds_service.domain.thresholds import Thresholds

CARD = "offer-pulmonary-rehabilitation"
READS = frozenset(
    {
        "lam", "functional_class", "home_oxygen", "ambulatory_oxygen", "saturation", "pao2",
        "rehabilitation",
    }
)  # fmt: skip
SUMMARIES = {
    "functional-class": frozenset[str](),
    "on-oxygen": frozenset[str](),
    "low-oxygen": frozenset[str](),
}
ACTS = frozenset({"request-pulmonary-rehabilitation"})
LINES = {"rehabilitation": frozenset[str](), "rehabilitation-not-seen": frozenset[str]()}


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:
    """
    Recommend the offer when one sign of limitation is present and no recent course is.

    A functional class that nobody recorded is not class I: without any sign it stays open.
    """
    if not patient.lam:
        return NO_LAM
    months = thresholds["rehabilitation-interval"].number
    for course in patient.rehabilitation:
        if course.on is None or is_within_months(course.on, months, as_of) is not False:
            return NotIndicated((finding_basis("rehabilitation", course),), SETTLED)
    reasons = _reasons(patient, thresholds, as_of)
    if reasons:
        return _advise(patient, reasons)
    if patient.functional_class is None:
        return Undetermined(missing=("functional_class",))
    return NotIndicated((class_basis(patient.functional_class),))


def _advise(patient: PatientSnapshot, reasons: dict[str, Basis]) -> Recommended:
    lines = [Line("rehabilitation")]
    if not patient.absence_is_known("rehabilitation"):
        lines.append(Line("rehabilitation-not-seen"))
    return Recommended(
        card=CARD,
        summary=Line(next(iter(reasons))),
        because=tuple(reasons.values()),
        lines=tuple(lines),
        suggestions=requests(patient, *ACTS),
    )


def _reasons(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> dict[str, Basis]:
    reasons: dict[str, Basis] = {}
    found, limit = recent_class(patient, thresholds, as_of), thresholds["nyha-for-rehabilitation"]
    if found and limit.is_met_by(Decimal(found.value), "1"):
        reasons["functional-class"] = class_basis(found, limit.id)
    for oxygen in (*patient.home_oxygen, *patient.ambulatory_oxygen):
        reasons["on-oxygen"] = finding_basis("home-oxygen", oxygen)
    if not patient.home_oxygen and unless_adult(patient, thresholds, as_of) is None:
        reasons |= _low_oxygen(patient, thresholds, as_of)
    return reasons


def _low_oxygen(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> dict[str, Basis]:
    """The reading for which the assessment of home oxygen is advised."""
    assessed = assess_oxygenation(patient, thresholds, as_of)
    walk = None if patient.ambulatory_oxygen else assessed.exertion
    decisive = assessed.verdict.decided_by or walk
    if decisive is None:
        return {}
    label = "saturation" if decisive.measured.unit == "%" else "pao2"
    return {"low-oxygen": oxygen_basis(label, decisive)}
