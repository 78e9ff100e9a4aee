"""Thresholds, trends and reference values: the numbers that decide."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from math import gamma, pi, sqrt

import pytest

from cds_service.domain.lung_function import millilitres_per_year
from cds_service.domain.snapshot import Sex
from cds_service.domain.spirometry import reference_value
from cds_service.domain.thresholds import Comparison, Threshold, plain
from cds_service.domain.trend import DAYS_PER_YEAR, _t_quantile, fit_trend
from cds_service.errors import UnitMismatch

START = date(2024, 1, 2)


def threshold(comparison, low="70", high=None):
    return Threshold("t", "T", "%", comparison, Decimal(low), Decimal(high or low), "s")


@pytest.mark.parametrize(
    ("comparison", "answers"),
    [
        (Comparison.AT_LEAST, (False, True, True)),
        (Comparison.AT_MOST, (True, True, False)),
        (Comparison.ABOVE, (False, False, True)),
        (Comparison.BELOW, (True, False, False)),
    ],
)
def test_each_comparison_below_on_and_above_the_line(comparison, answers):
    values = ("69.9", "70", "70.1")
    assert tuple(threshold(comparison).is_met_by(Decimal(v), "%") for v in values) == answers
    fractions = tuple(threshold(comparison).is_met_by(Fraction(v), "%") for v in values)
    assert fractions == answers


def test_between_includes_both_ends():
    band = threshold(Comparison.BETWEEN, "5", "15")
    met = [band.is_met_by(Decimal(v), "%") for v in ("4.9", "5", "15", "15.1")]
    assert met == [False, True, True, False]
    assert str(band) == "5 to 15 %"


def test_another_unit_is_an_error_and_no_guess():
    with pytest.raises(UnitMismatch, match="the value in 'L'"):
        threshold(Comparison.BELOW).is_met_by(Decimal(1), "L")


@pytest.mark.parametrize(
    ("number", "text"), [("70", "70"), ("70.10", "70.1"), ("-90.0", "-90"), ("1E+2", "100")]
)
def test_numbers_are_shown_plainly(number, text):
    assert plain(Decimal(number)) == text


def series(*litres, days=487):
    return [(START + timedelta(days * i), Decimal(v)) for i, v in enumerate(litres)]


def test_a_fall_of_just_90_ml_a_year_is_exact():
    trend = fit_trend(series("2.84", "2.72", "2.60"))
    assert trend.per_year * 1000 == -90
    assert millilitres_per_year(trend) == Decimal("-90.0")


def test_a_slope_that_rounds_to_a_limit_keeps_its_decimals():
    trend = fit_trend(series("2.84", "2.72", "2.60"))
    nearly = replace(trend, per_year=Fraction(-89_997, 1_000_000))
    assert millilitres_per_year(nearly) == Decimal("-89.997")


def test_interval_agrees_with_a_worked_example():
    """Five yearly tests; slope -0.11, standard error 0.005774 by hand, t(3) = 3.182."""
    points = [(START + timedelta(days=round(365.25 * i)), Decimal(v))
              for i, v in enumerate(("3.00", "2.88", "2.79", "2.66", "2.56"))]  # fmt: skip
    trend = fit_trend(points)
    assert float(trend.per_year) == pytest.approx(-0.110, abs=0.0005)
    assert trend.high - float(trend.per_year) == pytest.approx(3.1824 * 0.00258, abs=0.002)
    assert trend.low < float(trend.per_year) < trend.high
    assert (trend.tests, trend.first) == (5, START)


def test_two_tests_have_a_slope_and_no_interval():
    trend = fit_trend(series("2.80", "2.60"))
    assert trend.low is None
    assert trend.high is None


@pytest.mark.parametrize("points", [[], series("2.8"), [(START, Decimal(2)), (START, Decimal(3))]])
def test_no_line_through_fewer_than_two_days(points):
    assert fit_trend(points) is None


@pytest.mark.parametrize("freedom", [1, 2, 3, 10, 30, 31, 60, 200])
def test_t_quantile_leaves_95_percent_within(freedom):
    """Integrate the density of Student's t from -q to q by Simpson's rule."""
    q, steps = _t_quantile(freedom), 20_000
    scale = gamma((freedom + 1) / 2) / (sqrt(freedom * pi) * gamma(freedom / 2))

    def density(x):
        return scale * (1 + x * x / freedom) ** (-(freedom + 1) / 2)

    width = 2 * q / steps
    weights = [1, *([4, 2] * (steps // 2 - 1)), 4, 1]
    area = sum(w * density(-q + i * width) for i, w in enumerate(weights)) * width / 3
    assert area == pytest.approx(0.95, abs=2e-5)


def test_a_year_has_365_and_a_quarter_days():
    assert float(DAYS_PER_YEAR) == 365.25


@pytest.mark.parametrize(
    ("sex", "age", "height", "predicted", "limit", "measured", "percent", "z"),
    [
        (Sex.FEMALE, 18, 158, 2.88741, 2.24199, 1.60, 55.41, -3.1824),
        (Sex.FEMALE, 25, 165, 3.19761, 2.46817, 2.50, 78.18, -1.5750),
        (Sex.FEMALE, 35, 170, 3.28470, 2.50813, 1.90, 57.84, -2.8598),
        (Sex.FEMALE, 50, 155, 2.35067, 1.73632, 1.50, 63.81, -2.2471),
        (Sex.FEMALE, 60, 172, 2.72342, 1.95562, 0.80, 29.37, -3.8457),
        (Sex.FEMALE, 65, 158, 2.11041, 1.49357, 1.00, 47.38, -2.8610),
        (Sex.MALE, 30, 180, 4.35749, 3.38831, 4.00, 91.80, -0.6175),
        (Sex.MALE, 70, 168, 2.66519, 1.94833, 2.20, 82.55, -1.0808),
    ],
)
def test_gli_global_2022_regression(
    content, sex, age, height, predicted, limit, measured, percent, z
):
    """Values computed by two other programs from the published workbook."""
    expected = reference_value(content.reference_tables["fev1"], sex, age, height)
    assert expected.predicted == pytest.approx(predicted, abs=5e-6)
    assert expected.lower_limit == pytest.approx(limit, abs=5e-6)
    assert expected.percent(measured) == pytest.approx(percent, abs=0.005)
    assert expected.z_score(measured) == pytest.approx(z, abs=5e-5)


@pytest.mark.parametrize(
    ("sex", "age", "height", "predicted", "limit", "measured", "z"),
    [
        (Sex.FEMALE, 18, 158, 0.900222, 0.789350, 0.70, -2.5778),
        (Sex.FEMALE, 35, 170, 0.836418, 0.728592, 0.55, -3.4296),
        (Sex.FEMALE, 42.3, 165, 0.822987, 0.713074, 0.68, -2.0542),
        (Sex.FEMALE, 50, 155, 0.818849, 0.703836, 0.62, -2.5809),
        (Sex.FEMALE, 65, 158, 0.797636, 0.672070, 0.66, -1.7812),
        (Sex.FEMALE, 80, 150, 0.790008, 0.651785, 0.61, -2.0628),
        (Sex.MALE, 30, 180, 0.832057, 0.727610, 0.75, -1.3235),
        (Sex.MALE, 70, 168, 0.776116, 0.642609, 0.65, -1.5652),
    ],
)
def test_gli_global_2022_regression_of_the_ratio(
    content, sex, age, height, predicted, limit, measured, z
):
    """Values of pyspiro 1.0.0, whose lower limit takes the quantile rounded to 1.645."""
    expected = reference_value(content.reference_tables["fev1-fvc"], sex, age, height)
    assert expected.predicted == pytest.approx(predicted, abs=1e-6)
    assert expected.lower_limit == pytest.approx(limit, abs=2e-5)
    assert expected.z_score(measured) == pytest.approx(z, abs=5e-5)


def test_splines_are_interpolated_between_quarter_years(content):
    table = content.reference_tables["fev1"]
    low, mid, high = (
        reference_value(table, Sex.FEMALE, age, 165).predicted for age in (42.25, 42.3, 42.5)
    )
    assert high < mid < low


@pytest.mark.parametrize("age", [2.99, 95.01])
def test_no_reference_value_outside_the_table(content, age):
    assert reference_value(content.reference_tables["fev1"], Sex.FEMALE, age, 165) is None


@pytest.mark.parametrize("age", [3, 95])
def test_the_ends_of_the_table_count(content, age):
    assert reference_value(content.reference_tables["fev1"], Sex.MALE, age, 165).predicted > 0
