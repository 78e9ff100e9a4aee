"""Units by UCUM, with the traps that real records hold."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cds_service.errors import UnknownUnit
from cds_service.fhir import wire
from cds_service.fhir.units import Units


@pytest.fixture(scope="module")
def units(content):
    return Units(content)


def convert(units, content, quantity, value, code=None, unit=None):
    sent = wire.Quantity(value=value, code=code, unit=unit)
    return units.convert(sent, content.quantities[quantity], set())


@pytest.mark.parametrize(
    ("quantity", "value", "unit", "expected"),
    [
        ("fev1", 1.85, "L", "1.85"),
        ("fev1", 1.85, "l", "1.85"),
        ("fev1", 1850, "mL", "1.85"),
        ("fev1", 1850, "ml", "1.85"),
        ("fev1", 18.5, "dL", "1.85"),
        ("fev1-percent", 62, "%", "62"),
        ("fev1-percent", 62, "{%predicted}", "62"),
        ("fev1-percent", 0.62, "1", "62"),
        ("saturation", 0.91, "1", "91"),
        ("pao2", 7.3, "kPa", "54.7545"),
        ("pao2", 55, "mm[Hg]", "55"),
        ("height", 65, "[in_i]", "165.1"),
        ("height", 1.65, "m", "165"),
        ("height", 5, "[ft_i]", "152.4"),
        ("haematocrit", 0.45, "L/L", "45"),
        ("sirolimus-level", 8, "ug/L", "8"),
        ("sirolimus-level", 16.41, "nmol/L", "15"),
        ("everolimus-level", 10.44, "nmol/L", "10"),
        ("vegf-d", 800, "ng/L", "800"),
        ("vegf-d", 0.8, "ng/mL", "800"),
        ("oxygen-flow", 2, "L/min", "2"),
    ],
)
def test_each_unit_comes_to_the_one_used_inside(units, content, quantity, value, unit, expected):
    assert convert(units, content, quantity, value, unit).value == Decimal(expected)


@pytest.mark.parametrize(
    ("quantity", "value", "unit", "expected", "note"),
    [
        ("fev1", 1850, "L", "1.85", "sent as 1850 L, read as mL"),
        ("fev1-percent", 0.65, "%", "65", "sent as 0.65, read as a fraction"),
        ("saturation", 0.91, "%", "91", "sent as 0.91, read as a fraction"),
    ],
)
def test_what_is_not_read_literally_is_told(units, content, quantity, value, unit, expected, note):
    found = convert(units, content, quantity, value, unit)
    assert (found.value, found.note) == (Decimal(expected), note)


@pytest.mark.parametrize(
    ("quantity", "value", "expected"),
    [("fev1", 10, "10"), ("fev1", 10.01, "0.01001"), ("fev1-percent", 2, "200"),
     ("fev1-percent", 2.01, "2.01"), ("saturation", 1, "100"), ("saturation", 1.01, "1.01")],
)  # fmt: skip
def test_the_limits_of_reading_otherwise(units, content, quantity, value, expected):
    unit = content.quantities[quantity].unit
    assert convert(units, content, quantity, value, unit).value == Decimal(expected)


@pytest.mark.parametrize("text", ["mmHg", "mm Hg"])
def test_usual_spellings_count_as_units(units, content, text):
    assert convert(units, content, "pao2", 60, unit=text).value == 60


@pytest.mark.parametrize(
    "unit", [None, "", "kg", "furlong", "%%", "L/", "x" * 80, "mol/L", "\u2603", "{", "(("]
)
def test_what_is_no_unit_of_the_quantity_is_refused(units, content, unit):
    with pytest.raises(UnknownUnit):
        convert(units, content, "fev1", 1.8, unit)


def test_no_value_is_no_number(units, content):
    with pytest.raises(UnknownUnit):
        convert(units, content, "fev1", None, "L")


def test_an_absurd_number_survives_conversion(units, content):
    assert convert(units, content, "pao2", 1e300, "kPa").value > 10**300


def test_a_chart_full_of_invented_units_is_not_parsed_to_its_end(units, content, monkeypatch):
    parsed, tried = [], set()
    parse = units._parse
    monkeypatch.setattr(units, "_parse", lambda unit: parsed.append(unit) or parse(unit))
    for number in (*range(200), *range(200)):
        sent = wire.Quantity(value=1.0, code=f"furlong{number}")
        with pytest.raises(UnknownUnit):
            units.convert(sent, content.quantities["fev1"], tried)
    assert len(parsed) <= 100
    sent = wire.Quantity(value=1850.0, code="mL")
    assert units.convert(sent, content.quantities["fev1"], tried).value == Decimal("1.85")
