"""FEV1 in percent predicted, and its course over the years."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from cds_service.domain.dates import PartialDate, add_months, decimal_age
from cds_service.domain.snapshot import (
    Measurement,
    PatientSnapshot,
    PercentPredicted,
    PercentSource,
    Sex,
    Spirometry,
    TestKind,
)
from cds_service.domain.spirometry import (
    REFERENCE_SET,
    ReferenceTable,
    ReferenceValue,
    reference_value,
)
from cds_service.domain.thresholds import Thresholds, plain
from cds_service.domain.trend import Trend, fit_trend

_TENTH = Decimal("0.1")
_HUNDREDTH = Decimal("0.01")

KindAndTrend = tuple[TestKind, Trend]


@dataclass(frozen=True, slots=True)
class Person:
    """What reference values depend on; `heights` in cm, newest first."""

    sex: Sex | None
    birth: PartialDate | None
    heights: Iterable[Measurement]


def from_lab_predicted(
    volume: Spirometry, predicted: Sequence[Spirometry]
) -> PercentPredicted | None:
    """Percent predicted by the predicted volume (L) of the same day and kind of test."""
    for reference in predicted:
        same_kind = reference.kind in (volume.kind, TestKind.UNSPECIFIED)
        if same_kind and reference.measured.on == volume.measured.on:
            percent = 100 * volume.measured.value / reference.measured.value
            note = f"laboratory's predicted FEV1 {plain(reference.measured.value)} L"
            return _percent(volume, percent, PercentSource.LAB_PREDICTED, note)
    return None


def from_reference_set(
    volume: Spirometry, person: Person, table: ReferenceTable, thresholds: Thresholds
) -> PercentPredicted | None:
    """
    Percent predicted by GLI Global 2022.

    None without sex, exact birth date, exact test day, or a height that is recent enough.
    """
    expected, height = _expected(volume.measured.on, person, table, thresholds)
    if expected is None or height is None:
        return None
    percent = Decimal(repr(expected.percent(float(volume.measured.value))))
    note = f"{REFERENCE_SET}, height {plain(height.value)} cm of {height.on}"
    return _percent(volume, percent, PercentSource.COMPUTED, note)


def z_score(
    volume: Spirometry, person: Person, table: ReferenceTable, thresholds: Thresholds
) -> Decimal | None:
    """
    The z-score of an FEV1 by GLI Global 2022, rounded to two decimals.

    None under the conditions of `from_reference_set`.
    """
    expected, _ = _expected(volume.measured.on, person, table, thresholds)
    if expected is None:
        return None
    found = expected.z_score(float(volume.measured.value))
    return Decimal(repr(found)).quantize(_HUNDREDTH, ROUND_HALF_UP)


def lower_limit_of_ratio(
    on: PartialDate, person: Person, table: ReferenceTable, thresholds: Thresholds
) -> Decimal | None:
    """
    The lower limit of normal of FEV1/FVC in percent by GLI Global 2022, rounded to one decimal.

    None under the conditions of `from_reference_set`.
    """
    expected, _ = _expected(on, person, table, thresholds)
    if expected is None:
        return None
    return Decimal(repr(100 * expected.lower_limit)).quantize(_TENTH, ROUND_HALF_UP)


def _expected(
    on: PartialDate, person: Person, table: ReferenceTable, thresholds: Thresholds
) -> tuple[ReferenceValue | None, Measurement | None]:
    """What is expected of a person on the day of a test, and the height it rests on."""
    day, born = on.day, person.birth.day if person.birth else None
    if day is None or born is None or person.sex is None:
        return None, None
    height = _height_for(on, person, thresholds)
    if height is None:
        return None, None
    age = decimal_age(born, day)
    return reference_value(table, person.sex, age, float(height.value)), height


def _height_for(on: PartialDate, person: Person, thresholds: Thresholds) -> Measurement | None:
    """The newest height not after the test, or else the next one, within the allowed years."""
    months, day = thresholds["height-for-reference-values"].number, on.last
    for height in person.heights:
        if height.on.last <= day and height.on.first >= add_months(day, -months):
            return height
    later = [h for h in person.heights if day < h.on.first <= add_months(day, months)]
    return later[-1] if later else None


def _percent(
    volume: Spirometry, percent: Decimal, source: PercentSource, note: str
) -> PercentPredicted:
    rounded = percent.quantize(_TENTH, ROUND_HALF_UP)
    measured = replace(volume.measured, value=rounded, unit="%", note=note)
    return PercentPredicted(measured, source, volume.kind, volume.measured)


def fev1_trends(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date
) -> tuple[KindAndTrend, ...]:
    """
    The slope of FEV1 (L per year) for each kind of test, the kind with most tests first.

    Only tests dated to the day and inside the window `fev1-trend-window` count. Kinds are never
    mixed: a bronchodilator alone can move FEV1 by more than a year of LAM does.
    """
    window = thresholds["fev1-trend-window"].number
    key = ("trends", window, as_of)
    return patient.once(key, lambda: tuple(_fit_all(patient, window, as_of)))


def _fit_all(patient: PatientSnapshot, window: int, as_of: date) -> Iterator[KindAndTrend]:
    for kind, points in sorted(_points(patient, window, as_of).items(), key=_most_tests_first):
        trend = fit_trend(points)
        if trend is not None:
            yield kind, trend


def is_established(trend: Trend, thresholds: Thresholds) -> bool:
    """Whether a trend rests on enough tests over a long enough time to act on."""
    months = thresholds["fev1-trend-minimum-span"].number
    enough = thresholds["fev1-trend-minimum-tests"].is_met_by(Decimal(trend.tests), "1")
    return enough and add_months(trend.first, months) <= trend.last


def established_trend(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date
) -> KindAndTrend | None:
    """The first established trend of `fev1_trends`, if any."""
    for kind, trend in fev1_trends(patient, thresholds, as_of):
        if is_established(trend, thresholds):
            return kind, trend
    return None


def millilitres_per_year(trend: Trend) -> Decimal:
    """
    The slope in mL/year, rounded to one decimal away from no threshold.

    Exactly -90 stays -90.0; a slope that only rounds to it keeps two more decimals.
    """
    exact = trend.per_year * 1000
    tenths = round(exact, 1)
    digits = 1 if tenths == exact or tenths % 10 else 3
    return Decimal(str(float(round(exact, digits))))


def trend_points(
    patient: PatientSnapshot, kind: TestKind, thresholds: Thresholds, as_of: date
) -> list[tuple[date, Decimal]]:
    """The tests that the slope of `fev1_trends` of a kind was fitted to: day and litres."""
    window = thresholds["fev1-trend-window"].number
    return _points(patient, window, as_of).get(kind, [])


def _points(
    patient: PatientSnapshot, window: int, as_of: date
) -> dict[TestKind, list[tuple[date, Decimal]]]:
    points: dict[TestKind, list[tuple[date, Decimal]]] = {}
    since = add_months(as_of, -window)
    for test in patient.fev1:
        day = test.measured.on.day
        if day is not None and day >= since:
            points.setdefault(test.kind, []).append((day, test.measured.value))
    return points


def _most_tests_first(item: tuple[TestKind, list[tuple[date, Decimal]]]) -> tuple[int, str]:
    return -len(item[1]), item[0].value
