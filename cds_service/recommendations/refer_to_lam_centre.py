"""Refer a minor with LAM to a LAM centre: nothing else we know is meant for children."""

from __future__ import annotations

from datetime import date

from cds_service.domain.outcomes import Basis, Line, NotIndicated, Outcome, Recommended
from cds_service.domain.population import NO_LAM, SETTLED, unless_adult
from cds_service.domain.reasons import finding_basis
from cds_service.domain.snapshot import PatientSnapshot
from cds_service.domain.thresholds import Thresholds

CARD = "refer-to-lam-centre"
READS = frozenset({"birth", "lam"})
SUMMARIES = {"minor": frozenset[str]()}
ACTS = frozenset[str]()
LINES = {"minor": frozenset[str]()}


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:
    """
    Recommend referral for a minor with confirmed LAM.

    An age that the record leaves open stays open.
    """
    if not patient.lam:
        return NO_LAM
    minor = unless_adult(patient, thresholds, as_of)
    if minor is None:
        return NotIndicated((Basis("age", on=patient.birth, threshold="adult-age"),), SETTLED)
    if not isinstance(minor, NotIndicated):
        return minor
    reasons = (finding_basis("lam", patient.lam[0]), *minor.because)
    return Recommended(CARD, Line("minor"), reasons, (Line("minor"),))
