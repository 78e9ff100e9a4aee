"""Screen women with tuberous sclerosis complex for LAM by chest CT."""

from __future__ import annotations

from datetime import date

from cds_service.domain.dates import is_within_months
from cds_service.domain.outcomes import (
    Basis,
    Line,
    NotIndicated,
    Outcome,
    Recommended,
    Undetermined,
)
from cds_service.domain.population import SETTLED, unless_adult, unless_woman
from cds_service.domain.reasons import finding_basis
from cds_service.domain.snapshot import Finding, PatientSnapshot
from cds_service.domain.suggestions import requests
from cds_service.domain.thresholds import Thresholds

CARD = "screen-for-lam"
READS = frozenset({"birth", "sex", "tsc", "lam", "possible_lam", "chest_ct", "pregnancy"})
SUMMARIES = {
    "never": frozenset[str](),
    "old": frozenset({"when"}),
    "pregnant": frozenset[str](),
}
LINES = {
    "never": frozenset[str](),
    "old": frozenset({"when"}),
    "pregnant": frozenset[str](),
}
ACTS = frozenset({"request-chest-ct"})


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:
    """
    Recommend a scan when none is on record within the interval.

    No scan on record is not a clear scan. Imaging that was not sent leaves the question open. A
    man with TSC is not screened without symptoms.
    """
    if not patient.tsc:
        return NotIndicated((Basis("no-tsc"),), frozenset({"tsc"}))
    for label, findings in (("lam", patient.lam), ("possible-lam", patient.possible_lam)):
        if findings:
            return NotIndicated((finding_basis(label, findings[0]),), SETTLED)
    excluded = unless_woman(patient) or unless_adult(patient, thresholds, as_of)
    return excluded or _by_last_scan(patient, thresholds, as_of)


def _by_last_scan(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:
    newest = next((scan for scan in patient.chest_ct if scan.on), None)
    if newest and newest.on and _is_recent(newest, thresholds, as_of):
        return NotIndicated((finding_basis("chest-ct", newest),), SETTLED)
    if patient.chest_ct and newest is None:
        return Undetermined(missing=("chest_ct",))
    if not patient.absence_is_known("chest_ct"):
        return Undetermined(missing=("chest_ct",))
    tsc = finding_basis("tsc", patient.tsc[0])
    if newest is None:
        return _advise(patient, Line("never"), (tsc,))
    line = Line("old", {"when": str(newest.on)})
    return _advise(patient, line, (tsc, finding_basis("chest-ct", newest)))


def _advise(patient: PatientSnapshot, line: Line, because: tuple[Basis, ...]) -> Recommended:
    """A scan is not drafted in pregnancy: it can wait, and the card says so."""
    if patient.pregnancy:
        pregnant = finding_basis("pregnancy", patient.pregnancy[0])
        return Recommended(CARD, Line("pregnant"), (*because, pregnant), (line, Line("pregnant")))
    return Recommended(CARD, line, because, (line,), suggestions=requests(patient, *ACTS))


def _is_recent(scan: Finding, thresholds: Thresholds, as_of: date) -> bool:
    """On the safe side: a scan that may lie within the interval counts as recent."""
    months = thresholds["chest-ct-interval"].number * 12
    return scan.on is not None and is_within_months(scan.on, months, as_of) is not False
