"""Assess for home oxygen when readings at rest or on exertion are low."""

from __future__ import annotations

from datetime import date

from cds_service.domain.outcomes import (
    Basis,
    Indicator,
    Line,
    NotIndicated,
    Outcome,
    Recommended,
    Undetermined,
)
from cds_service.domain.oxygen import (
    Marker,
    OxygenAssessment,
    RestNeed,
    assess_oxygenation,
)
from cds_service.domain.population import SETTLED, unless_adult
from cds_service.domain.reasons import (
    finding_basis,
    measured_basis,
    oxygen_basis,
    shown_unit,
)
from cds_service.domain.snapshot import Activity, InspiredAir, Oxygenation, PatientSnapshot
from cds_service.domain.suggestions import requests
from cds_service.domain.thresholds import Thresholds, plain

CARD = "assess-home-oxygen"
READS = frozenset(
    {
        "birth", "lam", "tsc", "home_oxygen", "saturation", "pao2", "haematocrit", "oedema",
        "p_pulmonale", "smoker",
    }
)  # fmt: skip
_VALUE = frozenset({"value"})
_READING = frozenset({"reading"})
SUMMARIES = {
    "qualifies": _READING,
    "qualifies-with-marker": _READING,
    "confirm-low": _READING,
    "confirm-border": _READING,
    "ambulatory": _READING,
}
LINES = {
    "qualifies": frozenset[str](),
    "qualifies-with-marker": frozenset[str](),
    "confirm-low": frozenset[str](),
    "confirm-border": frozenset[str](),
    "context-missing": frozenset[str](),
    "room-air-not-stated": frozenset[str](),
    "rest-not-stated": frozenset[str](),
    "later-reading-disagrees": _READING,
    "ambulatory": frozenset[str](),
    "ambulatory-air-not-stated": frozenset[str](),
    "not-counted": frozenset[str](),
    "smoker": frozenset[str](),
}
ACTS = frozenset({"request-blood-gas", "request-walk-test", "request-overnight-oximetry"})
_REST_LIMITS = {
    RestNeed.QUALIFIES_WITH_MARKER: "spo2-rest-with-marker",
    RestNeed.CONFIRM_BORDER: "spo2-rest-border",
}
_BLOOD_GAS = (RestNeed.QUALIFIES, RestNeed.QUALIFIES_WITH_MARKER, RestNeed.CONFIRM_LOW)


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:
    """
    Recommend the assessment that the newest recent readings call for.

    Readings on oxygen or in recovery are shown and decide nothing. No recent reading leaves the
    question open: an unmeasured saturation is not a normal one.
    """
    if not (patient.lam or patient.tsc):
        return NotIndicated((Basis("neither-lam-nor-tsc"),), frozenset({"lam", "tsc"}))
    excluded = unless_adult(patient, thresholds, as_of)
    if excluded is not None:
        return excluded
    if patient.home_oxygen:
        return NotIndicated((finding_basis("home-oxygen", patient.home_oxygen[0]),), SETTLED)
    assessed = assess_oxygenation(patient, thresholds, as_of)
    return _judge(patient, assessed)


def _judge(patient: PatientSnapshot, assessed: OxygenAssessment) -> Outcome:
    if assessed.verdict.need is not RestNeed.NONE or _walks_low(patient, assessed):
        return _advise(patient, assessed)
    if assessed.rest is None and assessed.pao2 is None:
        return Undetermined(missing=("saturation",))
    return NotIndicated(tuple(_values(assessed)))


def _walks_low(patient: PatientSnapshot, assessed: OxygenAssessment) -> bool:
    """Exertional desaturation that no ambulatory oxygen on record already answers."""
    return assessed.needs_ambulatory and not patient.ambulatory_oxygen


def _advise(patient: PatientSnapshot, assessed: OxygenAssessment) -> Recommended:
    summary = _summary(patient, assessed)
    return Recommended(
        card=CARD,
        summary=summary,
        because=tuple(_values(assessed)),
        lines=tuple(_lines(patient, assessed)),
        indicator=Indicator.INFO if summary.id == "confirm-border" else None,
        suggestions=requests(patient, *_acts(patient, assessed)),
    )


def _acts(patient: PatientSnapshot, assessed: OxygenAssessment) -> list[str]:
    """A blood gas settles a low saturation at rest; a border value calls for walk and night."""
    need, acts = assessed.verdict.need, []
    if need in _BLOOD_GAS and assessed.pao2 is None:
        acts.append("request-blood-gas")
    if need is RestNeed.CONFIRM_BORDER or _walks_low(patient, assessed):
        acts.append("request-walk-test")
    if need is RestNeed.CONFIRM_BORDER:
        acts.append("request-overnight-oximetry")
    return acts


def _summary(patient: PatientSnapshot, assessed: OxygenAssessment) -> Line:
    """Name the strongest reason; a low walk outranks a border value at rest."""
    verdict = assessed.verdict
    mild = verdict.need in (RestNeed.NONE, RestNeed.CONFIRM_BORDER)
    if mild and assessed.exertion and _walks_low(patient, assessed):
        return Line("ambulatory", _reading(assessed.exertion))
    assert verdict.decided_by is not None  # every need but NONE has been decided by a reading
    return Line(verdict.need.value, _reading(verdict.decided_by))


def _reading(reading: Oxygenation) -> dict[str, str]:
    value, unit = plain(reading.measured.value), shown_unit(reading.measured.unit)
    name = "SpO2" if reading.measured.unit == "%" else "PaO2"
    return {"reading": f"{name} {value} {unit}"}


def _lines(patient: PatientSnapshot, assessed: OxygenAssessment) -> list[Line]:
    verdict = assessed.verdict
    lines = [] if verdict.need is RestNeed.NONE else [Line(verdict.need.value)]
    if verdict.decided_by:
        lines += _missing_context(verdict.decided_by)
    if verdict.disagrees:
        lines.append(Line("later-reading-disagrees", _reading(verdict.disagrees)))
    if _walks_low(patient, assessed):
        lines += _walk_lines(assessed)
    if assessed.set_aside:
        lines.append(Line("not-counted"))
    if patient.smoker:
        lines.append(Line("smoker"))
    return lines


def _missing_context(reading: Oxygenation) -> list[Line]:
    """What the deciding reading leaves unsaid; an arterial tension needs no word on activity."""
    is_saturation = reading.measured.unit == "%"
    no_activity = is_saturation and reading.activity is Activity.UNKNOWN
    if reading.air is not InspiredAir.UNKNOWN:
        return [Line("rest-not-stated")] if no_activity else []
    return [Line("context-missing" if no_activity else "room-air-not-stated")]


def _walk_lines(assessed: OxygenAssessment) -> list[Line]:
    lines = [Line("ambulatory")]
    if assessed.exertion and assessed.exertion.air is InspiredAir.UNKNOWN:
        lines.append(Line("ambulatory-air-not-stated"))
    return lines


def _values(assessed: OxygenAssessment) -> list[Basis]:
    verdict, values = assessed.verdict, []
    if assessed.rest:
        limit = _REST_LIMITS.get(verdict.need, "spo2-rest-for-oxygen")
        values.append(oxygen_basis("saturation", assessed.rest, limit))
    if verdict.earlier:
        values.append(oxygen_basis("saturation", verdict.earlier, "spo2-rest-for-oxygen"))
    if assessed.pao2:
        marked = verdict.need is RestNeed.QUALIFIES_WITH_MARKER
        limit = "pao2-with-marker" if marked else "pao2-for-oxygen"
        values.append(oxygen_basis("pao2", assessed.pao2, limit))
    if assessed.exertion:
        values.append(oxygen_basis("saturation", assessed.exertion, "spo2-exertion-for-oxygen"))
    values += [_marker(marker) for marker in assessed.markers]
    values += [oxygen_basis("not-counted", reading) for reading in assessed.set_aside]
    return values


def _marker(marker: Marker) -> Basis:
    if marker.measured:
        return measured_basis(marker.kind, marker.measured, "haematocrit-for-oxygen")
    assert marker.finding is not None  # a marker is one or the other
    return finding_basis(marker.kind, marker.finding)
