"""Help current smokers with LAM or TSC to stop, above all beside oxygen."""

from __future__ import annotations

from datetime import date

from cds_service.domain.outcomes import Basis, Indicator, Line, NotIndicated, Outcome, Recommended
from cds_service.domain.oxygen import assess_oxygenation
from cds_service.domain.population import unless_adult
from cds_service.domain.reasons import finding_basis, oxygen_basis
from cds_service.domain.snapshot import PatientSnapshot
from cds_service.domain.thresholds import Thresholds

CARD = "stop-smoking"
READS = frozenset(
    {"birth", "lam", "tsc", "smoker", "home_oxygen", "ambulatory_oxygen", "saturation", "pao2"}
)
SUMMARIES = {
    "smoker": frozenset[str](),
    "on-oxygen": frozenset[str](),
    "needs-oxygen": frozenset[str](),
}
LINES = {"on-oxygen": frozenset[str]()}
ACTS = frozenset[str]()


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:
    """
    Recommend help to stop; a warning for someone who is on oxygen or qualifies for it.

    The fire risk of oxygen that is yet to be assessed is told on the card about oxygen.
    """
    if not (patient.lam or patient.tsc):
        return NotIndicated((Basis("neither-lam-nor-tsc"),), frozenset({"lam", "tsc"}))
    excluded = unless_adult(patient, thresholds, as_of)
    if excluded is not None:
        return excluded
    if not patient.smoker:
        return NotIndicated((Basis("no-smoking"),), unless=frozenset({"smoker"}))
    return _advise(patient, *_oxygen(patient, thresholds, as_of))


def _oxygen(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date
) -> tuple[str, tuple[Basis, ...]]:
    """Whether oxygen is in use or called for, and what tells so."""
    for found in (*patient.home_oxygen, *patient.ambulatory_oxygen):
        return "on-oxygen", (finding_basis("home-oxygen", found),)
    assessed = assess_oxygenation(patient, thresholds, as_of)
    decisive = assessed.verdict.decided_by if assessed.qualifies_at_rest else assessed.exertion
    if decisive is None:
        return "smoker", ()
    label = "saturation" if decisive.measured.unit == "%" else "pao2"
    return "needs-oxygen", (oxygen_basis(label, decisive),)


def _advise(patient: PatientSnapshot, reason: str, oxygen: tuple[Basis, ...]) -> Recommended:
    return Recommended(
        card=CARD,
        summary=Line(reason),
        because=(finding_basis("smoker", patient.smoker[0]), *oxygen),
        lines=(Line(reason),) if reason in LINES else (),
        indicator=None if reason == "smoker" else Indicator.WARNING,
    )
