"""Repeat pulmonary function tests when the newest FEV1 is old, or none is on record."""

from __future__ import annotations

from datetime import date

from cds_service.domain.dates import PartialDate, add_months, is_within_months
from cds_service.domain.lung_function import KindAndTrend, fev1_trends
from cds_service.domain.outcomes import (
    Basis,
    Line,
    NotIndicated,
    Outcome,
    Recommended,
    Undetermined,
)
from cds_service.domain.population import unless_adult_with_lam
from cds_service.domain.reasons import measured_basis, percent_basis, trend_basis
from cds_service.domain.snapshot import DataGap, PatientSnapshot
from cds_service.domain.suggestions import requests
from cds_service.domain.thresholds import Thresholds

CARD = "repeat-pulmonary-function"
READS = frozenset({"birth", "lam", "fev1", "fev1_percent"})
SUMMARIES = {
    "never": frozenset[str](),
    "old": frozenset({"when"}),
    "old-stable": frozenset({"when"}),
}
ACTS = frozenset({"request-spirometry"})
LINES = {
    "never": frozenset[str](),
    "old": frozenset({"when"}),
    "old-stable": frozenset({"when"}),
}


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:
    """
    Recommend a test when the interval has passed; the interval is longer once FEV1 is stable.

    An FEV1 that could not be read may be the newest: then the question stays open. So it does
    when no FEV1 was found but the search was not answered in full.
    """
    excluded = unless_adult_with_lam(patient, thresholds, as_of)
    if excluded is not None:
        return excluded
    stable = stable_trend(patient, thresholds, as_of)
    name = "pulmonary-function-interval-stable" if stable else "pulmonary-function-interval"
    months = thresholds[name].number
    if any(_may_be_recent(gap, months, as_of) for gap in patient.gaps):
        return Undetermined(missing=("fev1",))
    newest = _newest(patient)
    if newest is None:
        return _never(patient)
    if is_within_months(newest, months, as_of) is not False:
        return NotIndicated(_values(patient, stable))
    line = Line("old-stable" if stable else "old", {"when": str(newest)})
    return _advise(patient, line, stable)


def _advise(patient: PatientSnapshot, line: Line, stable: KindAndTrend | None) -> Recommended:
    return Recommended(
        card=CARD,
        summary=line,
        because=_values(patient, stable),
        lines=(line,),
        suggestions=requests(patient, *ACTS),
    )


def stable_trend(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date
) -> KindAndTrend | None:
    """A trend of at least three tests over two years that falls by less than the limit."""
    months = thresholds["stable-trend-minimum-span"].number
    for kind, trend in fev1_trends(patient, thresholds, as_of):
        enough = trend.tests >= thresholds["fev1-trend-minimum-tests"].number
        long = add_months(trend.first, months) <= trend.last
        flat = thresholds["stable-fev1-slope"].is_met_by(trend.per_year * 1000, "mL/a")
        if enough and long and flat:
            return kind, trend
    return None


def _never(patient: PatientSnapshot) -> Outcome:
    if patient.absence_is_known("fev1", "fev1_percent"):
        return _advise(patient, Line("never"), None)
    return Undetermined(missing=("fev1",))


def _may_be_recent(gap: DataGap, months: int, as_of: date) -> bool:
    if gap.fact not in ("fev1", "fev1_percent"):
        return False
    return gap.on is None or is_within_months(gap.on, months, as_of) is not False


def _newest(patient: PatientSnapshot) -> PartialDate | None:
    dates = [test.measured.on for test in patient.fev1[:1]]
    if patient.fev1_percent:
        dates.append(patient.fev1_percent.measured.on)
    return max(dates, key=lambda on: on.last, default=None)


def _values(patient: PatientSnapshot, stable: KindAndTrend | None) -> tuple[Basis, ...]:
    values = []
    if patient.fev1:
        values.append(measured_basis("fev1", patient.fev1[0].measured))
    if patient.fev1_percent:
        values.append(percent_basis(patient.fev1_percent))
    if stable:
        values.append(trend_basis(stable, "stable-fev1-slope"))
    return tuple(values)
