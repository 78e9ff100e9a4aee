"""
GLI Global 2022 reference values for FEV1: predicted volume, % predicted, z-score, lower limit.

Equations and coefficients: Bowerman C et al., Am J Respir Crit Care Med 2023;207:768-774, after
the LMS method of Quanjer PH et al., Eur Respir J 2012;40:1324-1343. Splines are interpolated
linearly between the quarter years of the published look-up table.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log

from cds_service.domain.snapshot import Sex

REFERENCE_SET = "GLI Global 2022"
_FIFTH_PERCENTILE = 1.644854  # the quantile that is printed rounded, as 1.645


@dataclass(frozen=True, slots=True)
class Coefficients:
    """The equations of one sex; `ages` (years), `m_spline` and `s_spline` run in parallel."""

    m_intercept: float
    m_ln_height: float
    m_ln_age: float
    s_intercept: float
    s_ln_age: float
    l_intercept: float
    l_ln_age: float
    ages: Sequence[float]
    m_spline: Sequence[float]
    s_spline: Sequence[float]


ReferenceTable = Mapping[Sex, Coefficients]


@dataclass(frozen=True, slots=True)
class ReferenceValue:
    """What is expected of a person: `predicted` volume in L, `cv` (S) and `skew` (L)."""

    predicted: float
    cv: float
    skew: float

    def percent(self, measured: float) -> float:
        """Percent of predicted of a `measured` volume in L."""
        return 100 * measured / self.predicted

    def z_score(self, measured: float) -> float:
        """Standard deviations of a `measured` volume (L) from the predicted one."""
        ratio: float = (measured / self.predicted) ** self.skew
        return (ratio - 1) / (self.skew * self.cv)

    @property
    def lower_limit(self) -> float:
        """The lower limit of normal (5th percentile) in L."""
        return float(
            self.predicted * (1 - _FIFTH_PERCENTILE * self.skew * self.cv) ** (1 / self.skew)
        )


def reference_value(
    table: ReferenceTable, sex: Sex, age_years: float, height_cm: float
) -> ReferenceValue | None:
    """The reference value of a person; None outside the ages of the table (3 to 95 years)."""
    row = table[sex]
    if not row.ages[0] <= age_years <= row.ages[-1]:
        return None
    ln_age = log(age_years)
    m_spline, s_spline = _splines(row, age_years)
    median = exp(
        row.m_intercept + row.m_ln_height * log(height_cm) + row.m_ln_age * ln_age + m_spline
    )
    cv = exp(row.s_intercept + row.s_ln_age * ln_age + s_spline)
    return ReferenceValue(median, cv, row.l_intercept + row.l_ln_age * ln_age)


def _splines(row: Coefficients, age: float) -> tuple[float, float]:
    upper = min(max(bisect_right(row.ages, age), 1), len(row.ages) - 1)
    below, above = row.ages[upper - 1], row.ages[upper]
    share = (age - below) / (above - below)
    return tuple(  # type: ignore[return-value]
        spline[upper - 1] + share * (spline[upper] - spline[upper - 1])
        for spline in (row.m_spline, row.s_spline)
    )
