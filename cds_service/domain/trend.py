"""The slope of a series per year by ordinary least squares, with its 95 % confidence interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from math import sqrt

DAYS_PER_YEAR = Fraction(1461, 4)

# Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom; beyond, see _t_quantile.
_T_95 = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
    2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trend:
    """
    A slope per year in the unit of the series.

    `per_year` is exact, so that a decline of just 90 mL/year is not lost to rounding. `low` and
    `high` bound its 95 % confidence interval; both are None with two tests, which leave no
    degree of freedom.
    """

    per_year: Fraction
    low: float | None
    high: float | None
    first: date
    last: date
    tests: int


def fit_trend(points: Sequence[tuple[date, Decimal]]) -> Trend | None:
    """
    Fit a straight line through `points` (day, value), in any order.

    None with fewer than two different days: no line can be fitted.
    """
    days = [day for day, _ in points]
    if len(set(days)) < 2:
        return None
    xs, ys, scale = _as_integers(points)
    slope = _slope(xs, ys)
    margin = _margin(xs, ys, slope)
    per_year = slope * DAYS_PER_YEAR / scale
    half = None if margin is None else margin * float(DAYS_PER_YEAR) / scale
    low, high = (None, None) if half is None else (float(per_year) - half, float(per_year) + half)
    return Trend(per_year, low, high, min(days), max(days), len(points))


@dataclass(frozen=True, slots=True)
class BandPoint:
    """The fitted line on a day, and the 95 % confidence interval of its height, if there is one."""

    on: date
    value: float
    low: float | None
    high: float | None


def confidence_band(
    points: Sequence[tuple[date, Decimal]], steps: int = 24
) -> tuple[BandPoint, ...]:
    """
    The line of `fit_trend` from the first to the last day, with the interval of its height.

    Equidistant days, at most `steps` + 1 of them; empty where no line can be fitted.
    """
    if fit_trend(points) is None:
        return ()
    start = min(day for day, _ in points)
    xs, ys = [(day - start).days for day, _ in points], [float(value) for _, value in points]
    mean_x, mean_y, n = sum(xs) / len(xs), sum(ys) / len(ys), len(xs)
    spread = sum((x - mean_x) ** 2 for x in xs)
    rise = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    error = _standard_error(xs, ys, mean_x, mean_y, rise) if n > 2 else None
    span = max(xs)
    days = sorted({round(span * step / steps) for step in range(steps + 1)})
    found = []
    for day in days:
        value = mean_y + rise * (day - mean_x)
        half = None if error is None else error * sqrt(1 / n + (day - mean_x) ** 2 / spread)
        low, high = (None, None) if half is None else (value - half, value + half)
        found.append(BandPoint(start + timedelta(days=day), value, low, high))
    return tuple(found)


def _standard_error(
    xs: Sequence[int], ys: Sequence[float], mean_x: float, mean_y: float, rise: float
) -> float:
    """The residual standard deviation times the quantile that makes it a 95 % interval."""
    n = len(xs)
    residual = sum((y - mean_y - rise * (x - mean_x)) ** 2 for x, y in zip(xs, ys, strict=True))
    return _t_quantile(n - 2) * sqrt(residual / (n - 2))


def _as_integers(points: Sequence[tuple[date, Decimal]]) -> tuple[list[int], list[int], int]:
    """Whole days and whole 1/scale units: integer sums are exact, and faster than fractions."""
    start = min(day for day, _ in points)
    places = max(max(0, -_exponent(value)) for _, value in points)
    scale: int = 10**places
    return [(day - start).days for day, _ in points], [int(v * scale) for _, v in points], scale


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _slope(xs: Sequence[int], ys: Sequence[int]) -> Fraction:
    n, sum_x, sum_y = len(xs), sum(xs), sum(ys)
    sum_xy = sum(x * y for x, y in zip(xs, ys, strict=True))
    return Fraction(n * sum_xy - sum_x * sum_y, n * sum(x * x for x in xs) - sum_x * sum_x)


def _margin(xs: Sequence[int], ys: Sequence[int], slope: Fraction) -> float | None:
    """Half the width of the confidence interval of the slope, per day."""
    n = len(xs)
    if n < 3:
        return None
    mean_x, mean_y, rise = sum(xs) / n, sum(ys) / n, float(slope)
    residual = sum((y - mean_y - rise * (x - mean_x)) ** 2 for x, y in zip(xs, ys, strict=True))
    spread = sum((x - mean_x) ** 2 for x in xs)
    return _t_quantile(n - 2) * sqrt(residual / (n - 2) / spread)


def _t_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t; beyond 30 by Cornish and Fisher's expansion (1937)."""
    if freedom <= len(_T_95):
        return _T_95[freedom - 1]
    z = 1.959964
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
