"""Verify the dose of an mTOR inhibitor that is being ordered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction

from cds_service.domain.medication import DailyDose, MedicationUse, UnclearDose
from cds_service.domain.orders import indications, is_for_lam
from cds_service.domain.outcomes import (
    Indicator,
    Line,
    NotIndicated,
    Outcome,
    Recommended,
    Suggestion,
)
from cds_service.domain.population import NOTHING_DRAFTED, judged, unless_adult_with_lam
from cds_service.domain.reasons import dose_basis, finding_basis, highest_in_words
from cds_service.domain.snapshot import Moment, PatientSnapshot
from cds_service.domain.suggestions import CORRECT, REMOVE, changes
from cds_service.domain.thresholds import Thresholds

CARD = "verify-mtor-inhibitor-dose"
READS = frozenset(
    {"birth", "lam", "angiomyolipoma", "subependymal_astrocytoma", "cancer", "organ_transplant",
     "lung_transplant", "mtor_inhibitor", "drafts", "mtor_allergy", "pregnancy",
     "transplant_listing", "transplant_referral"}
)  # fmt: skip
_DOSE = frozenset({"drug", "dose"})
SUMMARIES = {
    "above-maximum": _DOSE,
    "high-dose": _DOSE,
    "per-m2": frozenset({"drug"}),
    "off-label": frozenset({"drug"}),
    "unclear": frozenset({"drug"}),
}
# In the order of their urgency: the first of an order makes its summary.
_UNCLEAR = (
    "dose-lines-contradict", "dose-unit-unknown", "dose-unreadable", "dose-surface-missing",
    "dose-no-frequency", "dose-as-text", "dose-missing",
)  # fmt: skip
LINES = {
    "above-maximum": frozenset[str](),
    "several-orders": frozenset({"drug"}),
    "high-dose": frozenset({"drug"}),
    "per-m2": frozenset({"drug"}),
    "off-label": frozenset[str](),
    **{reason: frozenset[str]() for reason in _UNCLEAR},
}
ACTS = frozenset({CORRECT, REMOVE})
_URGENCY = ("above-maximum", "high-dose", "per-m2", "off-label", *_UNCLEAR)


@dataclass(frozen=True, slots=True)
class _Finding:
    """One thing to verify about one order."""

    kind: str
    use: MedicationUse


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:
    """
    Recommend a second look at a dose that is none for LAM, or that cannot be computed.

    The daily dose comes from structured dosage, never from free text. The reason that an order
    gives counts; without one, what is on record. An order without any dose is no fault while
    orders are being chosen, and is told when they are signed.
    """
    uses = judged(patient, patient.mtor_inhibitor)
    if not uses:
        return NOTHING_DRAFTED
    found = [_Finding(kind, use) for use in uses for kind in _faults(use, patient, thresholds)]
    found += _together(uses, patient, thresholds, found)
    if not found:
        return NotIndicated(tuple(map(dose_basis, uses)), unless=frozenset({"drafts"}))
    return _advise(patient, thresholds, as_of, found)


def _faults(use: MedicationUse, patient: PatientSnapshot, thresholds: Thresholds) -> list[str]:
    dose, faults = use.dose, list[str]()
    if isinstance(dose, UnclearDose):
        missing = dose.reason == "dose-missing" and patient.moment is Moment.SELECT
        faults += [] if missing else [dose.reason]
    elif dose is not None:
        faults += _by_dose(use, dose, patient, thresholds)
    if use.drug == "everolimus" and patient.lam and not indications(use, patient):
        faults.append("off-label")
    return faults


def _by_dose(
    use: MedicationUse, dose: DailyDose, patient: PatientSnapshot, thresholds: Thresholds
) -> list[str]:
    faults = [dose.doubt] if dose.doubt else []
    if _is_above_maximum(use, dose.high, dose.unit, patient, thresholds):
        return ["above-maximum", *faults]  # that the dose is high need not be told twice
    if dose.unit == "mg/m2" and use.drug == "sirolimus" and is_for_lam(use, patient):
        faults.append("dose-surface-missing")
    if indications(use, patient):
        return faults
    if dose.per_m2:
        faults.append("per-m2")
    high = thresholds["mtor-inhibitor-high-dose"]
    if dose.unit == "mg" and high.is_met_by(dose.high, "mg"):
        faults.append("high-dose")
    return faults


def _is_above_maximum(
    use: MedicationUse, dose: Fraction, unit: str, patient: PatientSnapshot, thresholds: Thresholds
) -> bool:
    limit = thresholds["sirolimus-maximum-dose"]
    is_sirolimus = use.drug == "sirolimus" and is_for_lam(use, patient)
    return is_sirolimus and unit == "mg" and limit.is_met_by(dose, "mg")


def _together(
    uses: list[MedicationUse],
    patient: PatientSnapshot,
    thresholds: Thresholds,
    found: list[_Finding],
) -> list[_Finding]:
    """Several orders of one drug, each within the limit, that exceed it together."""
    same = [use for use in uses if use.drug == "sirolimus" and isinstance(use.dose, DailyDose)]
    doses = [use.dose.high for use in same if isinstance(use.dose, DailyDose)]
    alone = any(finding.kind == "above-maximum" for finding in found)
    if alone or len(same) < 2:
        return []
    total = sum(doses, Fraction(0))
    if not _is_above_maximum(same[0], total, "mg", patient, thresholds):
        return []
    together = replace(same[0], dose=DailyDose(total, total))
    return [_Finding("above-maximum", together), _Finding("several-orders", together)]


def _advise(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date, found: list[_Finding]
) -> Recommended:
    worst = min((f for f in found if f.kind in _URGENCY), key=lambda f: _URGENCY.index(f.kind))
    kinds = dict.fromkeys(finding.kind for finding in found)
    several = "several-orders" in kinds
    uses = judged(patient, patient.mtor_inhibitor) if several else [f.use for f in found]
    return Recommended(
        card=CARD,
        summary=_summary(worst),
        because=(
            *(finding_basis("lam", finding) for finding in patient.lam[:1]),
            *map(dose_basis, dict.fromkeys(uses)),
        ),
        lines=tuple(Line(kind, _fills(kind, found)) for kind in kinds),
        indicator=_indicator(worst.kind),
        suggestions=tuple(_suggestions(patient, thresholds, as_of, found)),
    )


def _indicator(kind: str) -> Indicator | None:
    """A dose that is merely not there yet is no more than a hint."""
    if kind == "above-maximum":
        return Indicator.CRITICAL
    return Indicator.INFO if kind in ("dose-missing", "dose-as-text") else None


def _summary(worst: _Finding) -> Line:
    name = "unclear" if worst.kind in _UNCLEAR else worst.kind
    dose = worst.use.dose
    shown = highest_in_words(dose) if isinstance(dose, DailyDose) else ""
    fills = {"drug": worst.use.drug, "dose": shown}
    return Line(name, {key: fills[key] for key in SUMMARIES[name]})


def _fills(kind: str, found: Sequence[_Finding]) -> dict[str, str]:
    drugs = dict.fromkeys(finding.use.drug for finding in found if finding.kind == kind)
    return {"drug": " and ".join(drugs)} if LINES[kind] else {}


def _suggestions(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date, found: list[_Finding]
) -> Iterator[Suggestion]:
    """A corrected order where the one dose for LAM is known to fit, and to take the order back."""
    fits = unless_adult_with_lam(patient, thresholds, as_of) is None and not _bars(patient)
    several = any(finding.kind == "several-orders" for finding in found)
    kinds: dict[str, set[str]] = {}
    for finding in found:
        kinds.setdefault(finding.use.reference, set()).add(finding.kind)
    for use in judged(patient, patient.mtor_inhibitor):
        if use.reference in kinds or several:
            fixable = fits and not several and use.drug == "sirolimus" and is_for_lam(use, patient)
            advised = "above-maximum" in kinds.get(use.reference, ())
            yield from changes(use, correctable=fixable, advised=advised)


def _bars(patient: PatientSnapshot) -> bool:
    """What on record speaks against any dose of sirolimus."""
    return bool(
        patient.mtor_allergy
        or patient.pregnancy
        or patient.lung_transplant
        or patient.transplant_listing
        or patient.transplant_referral
    )
