"""Monitor an mTOR inhibitor: trough level, lipids, blood count, creatinine, urine protein."""

from __future__ import annotations

from datetime import date

from cds_service.domain.dates import is_within_months
from cds_service.domain.medication import MedicationUse
from cds_service.domain.outcomes import (
    Basis,
    Indicator,
    Line,
    NotIndicated,
    Outcome,
    Recommended,
    Undetermined,
)
from cds_service.domain.population import NO_MTOR_INHIBITOR, current_mtor_inhibitor
from cds_service.domain.reasons import measured_basis, medication_basis
from cds_service.domain.snapshot import Finding, Measurement, PatientSnapshot
from cds_service.domain.suggestions import requests
from cds_service.domain.thresholds import Thresholds, plain

CARD = "monitor-mtor-inhibitor"
_LABS = {
    "lipids": "lipids",
    "blood-count": "blood_count",
    "creatinine": "creatinine",
    "urine-protein": "urine_protein",
}
READS = frozenset({"mtor_inhibitor", "sirolimus_level", "everolimus_level", *_LABS.values()})
SUMMARIES = {
    "trough-high": frozenset({"level", "drug"}),
    "trough-low": frozenset({"level", "drug"}),
    "trough-due": frozenset({"drug"}),
    "labs-due": frozenset({"drug"}),
}
LINES = {
    "trough-high": frozenset({"level"}),
    "trough-low": frozenset({"level"}),
    "trough-old": frozenset({"when"}),
    "trough-missing": frozenset({"drug"}),
    "everolimus": frozenset[str](),
    **{f"{lab}-missing": frozenset[str]() for lab in _LABS},
    **{f"{lab}-old": frozenset({"when"}) for lab in _LABS},
}
ACTS = frozenset(
    {"request-sirolimus-level", "request-everolimus-level", *(f"request-{lab}" for lab in _LABS)}
)
_SUMMARY_OF = {
    "trough-high": "trough-high",
    "trough-low": "trough-low",
    "trough-old": "trough-due",
    "trough-missing": "trough-due",
    **{f"{lab}-missing": "labs-due" for lab in _LABS},
    **{f"{lab}-old": "labs-due" for lab in _LABS},
}


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:
    """
    Recommend what is due, a line for each; one that is not known to be missing is not claimed.

    Medication or laboratory results that were not sent leave the question open.
    """
    use = current_mtor_inhibitor(patient)
    if use is None:
        known = patient.absence_is_known("mtor_inhibitor")
        return NO_MTOR_INHIBITOR if known else Undetermined(missing=("mtor_inhibitor",))
    lines = _level_lines(patient, use, thresholds, as_of)
    lines += _lab_lines(patient, thresholds, as_of)
    if lines:
        return _advise(patient, use, lines)
    read = (level_field(use), *_LABS.values())
    if not patient.absence_is_known(*read):
        return Undetermined(missing=read)
    return NotIndicated(tuple(_values(patient, use)))


def level_field(use: MedicationUse) -> str:
    """The field of the snapshot that holds the blood level of the drug."""
    return f"{use.drug}_level"


def _advise(patient: PatientSnapshot, use: MedicationUse, lines: list[Line]) -> Recommended:
    summary = _SUMMARY_OF[lines[0].id]
    fills = {"drug": use.drug, "level": lines[0].fills.get("level", "")}
    return Recommended(
        card=CARD,
        summary=Line(summary, {name: fills[name] for name in SUMMARIES[summary]}),
        because=tuple(_values(patient, use)),
        lines=(*lines, Line("everolimus")) if use.drug == "everolimus" else tuple(lines),
        indicator=Indicator.WARNING if summary == "trough-high" else None,
        suggestions=requests(patient, *_acts(use, lines)),
    )


def _acts(use: MedicationUse, lines: list[Line]) -> list[str]:
    """A test for each line, in the order of the lines."""
    tests = dict.fromkeys(line.id.rsplit("-", 1)[0] for line in lines)
    return [f"request-{use.drug}-level" if t == "trough" else f"request-{t}" for t in tests]


def _level(patient: PatientSnapshot, use: MedicationUse) -> Measurement | None:
    found: Measurement | None = getattr(patient, level_field(use))
    return found


def _level_lines(
    patient: PatientSnapshot, use: MedicationUse, thresholds: Thresholds, as_of: date
) -> list[Line]:
    level = _level(patient, use)
    if level is None:
        missing = patient.is_absent(level_field(use))
        return [Line("trough-missing", {"drug": use.drug})] if missing else []
    lines = [
        Line(name, {"level": plain(level.value)})
        for name in ("trough-high", "trough-low")
        if thresholds[name].is_met_by(level.value, level.unit)
    ]
    if is_within_months(level.on, thresholds["trough-interval"].number, as_of) is False:
        lines.append(Line("trough-old", {"when": str(level.on)}))
    return lines


def _lab_lines(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> list[Line]:
    months, lines = thresholds["safety-lab-interval"].number, []
    for name, field in _LABS.items():
        done: Finding | None = getattr(patient, field)
        if done is None and patient.is_absent(field):
            lines.append(Line(f"{name}-missing"))
        elif done and done.on and is_within_months(done.on, months, as_of) is False:
            lines.append(Line(f"{name}-old", {"when": str(done.on)}))
    return lines


def _values(patient: PatientSnapshot, use: MedicationUse) -> list[Basis]:
    values, level = [medication_basis(use)], _level(patient, use)
    if level:
        values.append(measured_basis("trough", level, "trough-target"))
    for name, field in _LABS.items():
        done: Finding | None = getattr(patient, field)
        if done:
            values.append(Basis(name, on=done.on, reference=done.reference))
    return values
