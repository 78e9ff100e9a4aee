"""Oxygenation in its contexts: what the texts say, and what the readings amount to."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from cds_service.domain.dates import on_day
from cds_service.domain.oxygen import RestNeed, assess_oxygenation, whole_percent
from cds_service.domain.snapshot import (
    Activity,
    Finding,
    InspiredAir,
    Measurement,
    Oxygenation,
    PatientSnapshot,
)
from cds_service.fhir.extraction.conditions import side_in
from cds_service.fhir.extraction.oxygenation import activity_in, air_in
from tests.support import AS_OF

OEDEMA = (Finding("Oedema", None, "Condition/1"),)


def reading(value, activity=Activity.REST, air=InspiredAir.UNKNOWN, on=date(2026, 9, 14), unit="%"):
    measured = Measurement(Decimal(str(value)), unit, on_day(on), "Observation/1")
    return Oxygenation(measured, activity, air)


def gas(value, on=date(2026, 9, 14), air=InspiredAir.UNKNOWN):
    return reading(value, Activity.UNKNOWN, air, on, "mm[Hg]")


def need(thresholds, *saturation, pao2=(), **facts):
    patient = PatientSnapshot(saturation=saturation, pao2=tuple(pao2), **facts)
    return assess_oxygenation(patient, thresholds, AS_OF).verdict.need


@pytest.mark.parametrize(
    ("sent", "read"), [("88.4", 88), ("88.49", 88), ("88.5", 89), ("89.5", 90), ("88", 88)]
)
def test_saturations_are_read_as_whole_percents(sent, read):
    assert whole_percent(Decimal(sent)) == read


@pytest.mark.parametrize(
    ("value", "expected"),
    [(88, RestNeed.CONFIRM_LOW), (89, RestNeed.CONFIRM_BORDER), (90, RestNeed.CONFIRM_BORDER),
     (91, RestNeed.NONE)],
)  # fmt: skip
def test_one_reading_at_rest(thresholds, value, expected):
    assert need(thresholds, reading(value)) is expected


@pytest.mark.parametrize(
    ("days", "expected"), [(20, RestNeed.CONFIRM_LOW), (21, RestNeed.QUALIFIES)]
)
def test_a_second_low_reading_confirms_after_three_weeks(thresholds, days, expected):
    earlier = reading(88, on=date.fromordinal(date(2026, 9, 14).toordinal() - days))
    assert need(thresholds, reading(88), earlier) is expected


def test_a_reading_without_context_cannot_confirm(thresholds):
    unknown = reading(86, Activity.UNKNOWN)
    earlier = reading(86, on=date(2026, 7, 1))
    assert need(thresholds, unknown, earlier) is RestNeed.CONFIRM_LOW


@pytest.mark.parametrize("activity", [Activity.AFTER_EXERCISE, Activity.SLEEP, Activity.EXERTION])
def test_other_activities_are_no_rest(thresholds, activity):
    assert need(thresholds, reading(80, activity)) is RestNeed.NONE


def test_a_reading_on_oxygen_neither_qualifies_nor_clears(thresholds):
    on_oxygen = reading(97, air=InspiredAir.OXYGEN)
    low = [reading(87, on=date(2026, 8, 14)), reading(87, on=date(2026, 6, 1))]
    assert need(thresholds, on_oxygen, *low) is RestNeed.QUALIFIES


@pytest.mark.parametrize(
    ("value", "marker", "expected"),
    [
        ("55.0", (), RestNeed.QUALIFIES),
        ("55.1", (), RestNeed.NONE),
        ("55.1", OEDEMA, RestNeed.QUALIFIES_WITH_MARKER),
        ("59.9", OEDEMA, RestNeed.QUALIFIES_WITH_MARKER),
        ("60.0", OEDEMA, RestNeed.NONE),
    ],
)
def test_arterial_tension(thresholds, value, marker, expected):
    assert need(thresholds, pao2=[gas(value)], oedema=marker) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(88, RestNeed.CONFIRM_LOW), (89, RestNeed.QUALIFIES_WITH_MARKER),
     (90, RestNeed.CONFIRM_BORDER)],
)  # fmt: skip
def test_the_border_value_counts_beside_a_marker(thresholds, value, expected):
    assert need(thresholds, reading(value), oedema=OEDEMA) is expected


def test_a_later_normal_reading_contradicts_the_blood_gas(thresholds):
    verdict = need(thresholds, reading(97, on=date(2026, 10, 1)), pao2=[gas(50)])
    assert verdict is RestNeed.CONFIRM_LOW


def test_a_blood_gas_on_oxygen_does_not_count(thresholds):
    assert need(thresholds, pao2=[gas(50, air=InspiredAir.OXYGEN)]) is RestNeed.NONE


def test_old_readings_do_not_count(thresholds):
    assert need(thresholds, reading(80, on=date(2025, 11, 1))) is RestNeed.NONE


@pytest.mark.parametrize(
    ("text", "activity"),
    [
        ("six-minute walk", Activity.EXERTION),
        ("6MWT nadir", Activity.EXERTION),
        ("ambulating in the hall", Activity.EXERTION),
        ("sitting", Activity.REST),
        ("at rest", Activity.REST),
        ("overnight oximetry", Activity.SLEEP),
        ("recovery after walk", Activity.AFTER_EXERCISE),
        ("post exercise", Activity.AFTER_EXERCISE),
        ("rest and exercise", Activity.UNKNOWN),
        ("arrested", Activity.UNKNOWN),
        ("", Activity.UNKNOWN),
    ],
)
def test_activities_that_texts_name(text, activity):
    assert activity_in(text) is activity


@pytest.mark.parametrize(
    ("text", "air"),
    [
        ("on room air", InspiredAir.ROOM_AIR),
        ("2 L/min by nasal cannula", InspiredAir.OXYGEN),
        ("2 lpm", InspiredAir.OXYGEN),
        ("on oxygen", InspiredAir.OXYGEN),
        ("room air, then on oxygen", InspiredAir.UNKNOWN),
        ("", InspiredAir.UNKNOWN),
    ],
)
def test_inspired_air_that_texts_name(text, air):
    assert air_in(text) is air


@pytest.mark.parametrize(
    ("text", "side"),
    [("Left lung", "left"), ("right pneumothorax", "right"), ("left and right", None),
     ("bilateral", None), ("lung", None)],
)  # fmt: skip
def test_sides_that_texts_name(text, side):
    assert side_in(text) == side
