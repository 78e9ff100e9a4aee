"""Facts as lines of reasons, in one wording for every recommendation."""

from __future__ import annotations

from dataclasses import replace

from cds_service.domain.dosing import amount
from cds_service.domain.lung_function import KindAndTrend, millilitres_per_year
from cds_service.domain.medication import DailyDose, MedicationUse, Stage
from cds_service.domain.outcomes import Basis
from cds_service.domain.snapshot import (
    Finding,
    FlowRatio,
    FunctionalClass,
    Measurement,
    Oxygenation,
    PercentPredicted,
)
from cds_service.domain.spirometry import REFERENCE_SET
from cds_service.domain.thresholds import plain

_STAGES = {
    Stage.CURRENT: "medication",
    Stage.PAST: "medication-stopped",
    Stage.DRAFTED: "medication-drafted",
    Stage.BACKGROUND: "medication-drafted-too",
}


def percent_basis(percent: PercentPredicted, threshold: str | None = None) -> Basis:
    """An FEV1 in percent predicted, with where it comes from."""
    measured = percent.measured
    notes = [measured.note, _litres(percent.litres), percent.kind.value]
    return Basis(
        "fev1-percent",
        f"{plain(measured.value)} % predicted",
        on=measured.on,
        how=percent.source.value,
        threshold=threshold,
        reference=measured.reference,
        note=", ".join(note for note in notes if note),
    )


def _litres(volume: Measurement | None) -> str | None:
    return None if volume is None else f"{plain(volume.value)} L measured"


def trend_basis(found: KindAndTrend, threshold: str | None = None) -> Basis:
    """A slope of FEV1 with its interval, its tests and the kind they are of."""
    kind, trend = found
    interval = "no interval from two tests"
    if trend.low is not None and trend.high is not None:
        interval = f"95 % CI {trend.low * 1000:.0f} to {trend.high * 1000:.0f}"
    return Basis(
        "fev1-slope",
        f"{plain(millilitres_per_year(trend))} mL/year ({interval})",
        how="computed",
        threshold=threshold,
        note=f"{trend.tests} tests, {trend.first} to {trend.last}, {kind.value}",
    )


def ratio_basis(ratio: FlowRatio, threshold: str | None = None) -> Basis:
    """An FEV1/FVC with where it comes from and the lower limit of normal."""
    measured, limit = ratio.measured, ratio.lower_limit
    normal = f"lower limit of normal {plain(limit)} % by {REFERENCE_SET}" if limit else None
    notes = [measured.note, normal, ratio.kind.value]
    return Basis(
        "fev1-fvc",
        f"{plain(measured.value)} %",
        on=measured.on,
        how=ratio.source.value,
        threshold=threshold,
        reference=measured.reference,
        note=", ".join(note for note in notes if note),
    )


def dose_basis(use: MedicationUse) -> Basis:
    """An order with the daily dose that its dosage allows."""
    dose = use.dose
    if not isinstance(dose, DailyDose):
        return Basis("dose-unclear", use.shown, reference=use.reference)
    value = f"{use.shown} {dose_in_words(dose)} a day"
    return Basis("dose", value, how="computed", reference=use.reference, note=dose.note)


def dose_in_words(dose: DailyDose) -> str:
    """A daily dose, or the range it lies in: "2 mg", "0 to 6 mg"."""
    low, high = amount(dose.low), amount(dose.high)
    return f"{high} {dose.unit}" if low == high else f"{low} to {high} {dose.unit}"


def highest_in_words(dose: DailyDose) -> str:
    """The highest daily dose that an order allows: "2 mg", "up to 6 mg"."""
    high = f"{amount(dose.high)} {dose.unit}"
    return high if dose.low == dose.high else f"up to {high}"


def oxygen_basis(label: str, reading: Oxygenation, threshold: str | None = None) -> Basis:
    """A saturation or arterial tension with the context it was read in."""
    notes = [reading.activity.value, reading.air.value, reading.measured.note]
    note = ", ".join(note for note in notes if note)
    return replace(measured_basis(label, reading.measured, threshold), note=note)


def measured_basis(label: str, measured: Measurement, threshold: str | None = None) -> Basis:
    """Any other measured value."""
    return Basis(
        label,
        f"{plain(measured.value)} {shown_unit(measured.unit)}",
        on=measured.on,
        how="reported",
        threshold=threshold,
        reference=measured.reference,
        note=measured.note,
    )


def class_basis(found: FunctionalClass, threshold: str | None = None) -> Basis:
    """A functional class in Roman figures, as clinicians write it."""
    return Basis(
        "functional-class",
        "class " + ("I", "II", "III", "IV")[found.value - 1],
        on=found.on,
        how="reported",
        threshold=threshold,
        reference=found.reference,
    )


def finding_basis(label: str, finding: Finding) -> Basis:
    """A diagnosis, status or event on record."""
    return Basis(
        label, finding.label, on=finding.on, reference=finding.reference, note=finding.side
    )


def medication_basis(use: MedicationUse) -> Basis:
    """The use of a drug: now, in the past, or on an order."""
    return Basis(_STAGES[use.stage], use.shown, on=use.on, reference=use.reference)


def shown_unit(unit: str) -> str:
    """A UCUM code as clinicians write it."""
    return {"mm[Hg]": "mmHg"}.get(unit, unit)
