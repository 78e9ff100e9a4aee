"""Partial dates, calendar months and ages, at and around each boundary."""

from __future__ import annotations

from datetime import date

import pytest

from cds_service.domain.dates import (
    PartialDate,
    add_months,
    age_on,
    decimal_age,
    is_within_months,
    month_of,
    on_day,
    year_of,
)
from cds_service.fhir.dates import parse_date, parse_moment, parse_span

AS_OF = date(2026, 11, 2)


@pytest.mark.parametrize(
    ("start", "months", "expected"),
    [
        (date(2026, 8, 31), -6, date(2026, 2, 28)),
        (date(2024, 8, 31), -6, date(2024, 2, 29)),
        (date(2026, 1, 15), -1, date(2025, 12, 15)),
        (date(2026, 11, 30), 3, date(2027, 2, 28)),
        (date(2026, 11, 2), 0, date(2026, 11, 2)),
    ],
)
def test_months_are_calendar_months(start, months, expected):
    assert add_months(start, months) == expected


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (on_day(date(2025, 11, 2)), True),
        (on_day(date(2025, 11, 1)), False),
        (month_of(date(2025, 11, 1)), None),
        (month_of(date(2025, 12, 1)), True),
        (year_of(date(2024, 1, 1)), False),
        (year_of(date(2025, 1, 1)), None),
    ],
)
def test_a_vague_date_leaves_recency_open(when, expected):
    assert is_within_months(when, 12, AS_OF) is expected


@pytest.mark.parametrize(
    ("birth", "ages"),
    [
        (on_day(date(2008, 11, 2)), (18, 18)),
        (on_day(date(2008, 11, 3)), (17, 17)),
        (year_of(date(2008, 1, 1)), (17, 18)),
        (on_day(date(2008, 2, 29)), (18, 18)),
    ],
)
def test_age_in_whole_years(birth, ages):
    assert age_on(birth, AS_OF) == ages


def test_decimal_age_counts_days():
    assert decimal_age(date(2000, 1, 1), date(2001, 1, 1)) == pytest.approx(366 / 365.25)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-03-01", "2026-03-01"),
        ("2026-03", "2026-03"),
        ("2026", "2026"),
        ("2026-03-01T10:00:00Z", "2026-03-01"),
        ("2026-03-01T10:00:00.123+02:00", "2026-03-01"),
        ("2026-03-01T10:00Z", "2026-03-01"),
    ],
)
def test_precision_is_kept(text, shown):
    assert str(parse_date(text)) == shown


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-02-30", "2026-13", "2026-03-01T10:00:00", "26-03-01",
     "2026-03-01 10:00", "2026-03-01T"],
)  # fmt: skip
def test_what_is_no_date_is_not_guessed(text):
    assert parse_date(text) is None


def test_a_span_shows_both_ends():
    assert str(parse_span("2026-03-01", "2026-03-04")) == "2026-03-01 to 2026-03-04"
    assert parse_span("2026-03-01", None) == on_day(date(2026, 3, 1))
    assert parse_span("2026-03-04", "2026-03-01") is None
    assert parse_span(None, "2026-03-01") is None


@pytest.mark.parametrize("text", [None, "2026-03-01", "2026-03-01T10:00:00", "2026-03-01Tx"])
def test_only_a_time_with_zone_is_a_moment(text):
    assert parse_moment(text) is None


def test_a_day_is_known_only_when_exact():
    assert on_day(AS_OF).day == AS_OF
    assert PartialDate(date(2026, 1, 1), date(2026, 1, 2)).day is None
