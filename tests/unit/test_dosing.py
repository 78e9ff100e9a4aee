"""The dose a day: lines, steps, ranges, units, products, body surface; exact at every boundary."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest

from cds_service.domain.dosing import BodySurface, DoseLine, amount, daily_dose, mosteller
from cds_service.domain.medication import DailyDose, UnclearDose
from cds_service.fhir import wire
from cds_service.fhir.extraction.dosage import planned_days, read_dose
from cds_service.fhir.extraction.reading import Reader, Tools
from cds_service.fhir.units import Units
from cds_service.fhir.vocabulary import Vocabulary
from tests.support import AS_OF

UCUM = "http://unitsofmeasure.org"
DAILY = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}
SURFACE = BodySurface(Decimal("1.7"), "of 2026-09-01")


def mg(value, unit="mg"):
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def line(dose=None, timing=DAILY, **more):
    doses = {"doseAndRate": [{"doseQuantity": dose}]} if dose else {}
    return {"timing": timing, **doses, **more}


def times(**repeat):
    return {"repeat": {"period": 1, "periodUnit": "d", **repeat}}


@pytest.fixture(scope="module")
def tools(content):
    return Tools(content, Vocabulary(content), Units(content))


@pytest.fixture
def reader(tools, thresholds):
    return Reader(tools, thresholds, "p", AS_OF)


@pytest.fixture
def dose_of(reader, content):
    def read(*lines, product=None, surface=None):
        record = wire.Record(dosageInstruction=msgspec.Raw(json.dumps(lines).encode()))
        return read_dose(record, content.products.get(product), surface, reader)

    return read


@pytest.mark.parametrize(
    ("timing", "per_day"),
    [
        (DAILY, 1),
        (times(frequency=2), 2),
        (times(frequency=1, period=2), Fraction(1, 2)),
        (times(frequency=3, periodUnit="wk"), Fraction(3, 7)),
        (times(frequency=1, period=8, periodUnit="h"), 3),
        (times(frequency=1, period=12, periodUnit="h"), 2),
        (times(frequency=1, periodUnit="mo"), Fraction(48, 1461)),
        (times(when=["MORN", "EVE"]), 2),
        (times(timeOfDay=["08:00:00", "14:00:00", "20:00:00"]), 3),
        ({"repeat": {"frequency": 2}}, 2),
        ({"code": {"coding": [{"code": "QD"}]}}, 1),
        ({"code": {"coding": [{"code": "bid"}]}}, 2),
        ({"code": {"coding": [{"code": "QOD"}]}}, Fraction(1, 2)),
        ({"code": {"coding": [{"code": "Q4H"}]}}, 6),
    ],
)
def test_how_often(dose_of, timing, per_day):
    found = dose_of(line(mg(3), timing))
    assert (found.low, found.high) == (3 * per_day, 3 * per_day)
    assert found.doubt is None


def test_frequencies_and_periods_may_be_ranges(dose_of):
    found = dose_of(line(mg(2), times(frequency=1, frequencyMax=3)))
    assert (found.low, found.high) == (2, 6)
    found = dose_of(line(mg(2), times(frequency=1, period=1, periodMax=2)))
    assert (found.low, found.high) == (1, 2)


@pytest.mark.parametrize(
    ("dose", "product", "expected"),
    [
        (mg(2), None, 2),
        (mg(0.5), None, Fraction(1, 2)),
        (mg(2500, "ug"), None, Fraction(5, 2)),
        ({"value": 2500, "unit": "mcg"}, None, Fraction(5, 2)),
        (mg(0.002, "g"), None, 2),
        ({"value": 2, "unit": "MG"}, None, 2),
        (mg(3, "{tablet}"), "349208", 3),
        (mg(3, "{tbl}"), "905158", Fraction(3, 2)),
        ({"value": 2, "unit": "Tablets"}, "360110", 4),
        (mg(2, "mL"), "314230", 2),
        (mg(0.002, "L"), "314230", 2),
    ],
)
def test_units_and_products(dose_of, dose, product, expected):
    assert dose_of(line(dose), product=product).high == expected


@pytest.mark.parametrize(
    ("dosage", "reason"),
    [
        ([], "dose-missing"),
        ([{}], "dose-missing"),
        ([{"text": "10 mg daily"}], "dose-as-text"),
        ([line(mg(2), None)], "dose-no-frequency"),
        ([line(mg(2), {"repeat": {"frequency": 1, "period": 1}})], "dose-no-frequency"),
        ([line(mg(2), times(frequency=0, period=0))], "dose-no-frequency"),
        ([line(mg(2), times(frequency=1, periodUnit="x"))], "dose-no-frequency"),
        ([line(mg(2, "{drops}"))], "dose-unit-unknown"),
        ([line(mg(2, "mg/kg"))], "dose-unit-unknown"),
        ([line({"value": 2})], "dose-unit-unknown"),
        ([line(mg(2, "{tablet}"))], "dose-unit-unknown"),
        ([line(mg(2, "mL"))], "dose-unit-unknown"),
        ([line(mg(2), times(frequency=0))], "dose-no-frequency"),
        ([line(mg(-2))], "dose-unreadable"),
        ([line(mg(0))], "dose-unreadable"),
        ([line(mg(1e9)), line(mg(1))], "dose-unreadable"),
        ([line(mg(1e308))], "dose-unreadable"),
        ([line(mg(1))] * 51, "dose-unreadable"),
        ([line({**mg(2), "comparator": "<"})], "dose-unreadable"),
        ([line(mg("2"))], "dose-unreadable"),
        ([{"timing": DAILY, "doseAndRate": [{}]}], "dose-unreadable"),
        ([{"timing": DAILY, "doseAndRate": [{"doseRange": {"low": mg(2)}}]}], "dose-unreadable"),
        ([{"timing": DAILY,
           "doseAndRate": [{"doseRange": {"low": mg(6), "high": mg(2)}}]}], "dose-unreadable"),
        ([{"timing": DAILY,
           "doseAndRate": [{"doseRange": {"low": mg(2), "high": mg(2, "mg/m2")}}]}],
         "dose-unreadable"),
        (["2 mg"], "dose-unreadable"),
        ([line(mg(2)), line(mg(4, "mg/m2"))], "dose-surface-missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_computed_says_why(dose_of, dosage, reason):
    assert dose_of(*dosage) == UnclearDose(reason)


def test_tablets_of_an_unknown_strength_are_not_guessed(dose_of):
    assert dose_of(line(mg(1, "{tablet}")), product="314230") == UnclearDose("dose-unit-unknown")
    assert dose_of(line(mg(1, "mL")), product="349208") == UnclearDose("dose-unit-unknown")


def test_what_is_known_is_not_lost_beside_what_is_not(dose_of):
    found = dose_of(line(mg(10)), {"text": "with food"})
    assert (found.high, found.doubt, found.note) == (10, None, "a line in words is not counted")
    found = dose_of(line(mg(10)), line(mg(1, "mg/kg")))
    assert (found.high, found.doubt) == (10, "dose-unit-unknown")


def test_ranges_as_needed_and_ceilings(dose_of):
    ranged = {"timing": DAILY, "doseAndRate": [{"doseRange": {"low": mg(2), "high": mg(6)}}]}
    assert dose_of(ranged) == DailyDose(Fraction(2), Fraction(6))
    open_below = {"timing": DAILY, "doseAndRate": [{"doseRange": {"high": mg(6)}}]}
    assert dose_of(open_below) == DailyDose(Fraction(0), Fraction(6))
    needed = line(mg(2), times(frequency=4), asNeededBoolean=True)
    assert dose_of(needed) == DailyDose(Fraction(0), Fraction(8))
    most = {"numerator": mg(4), "denominator": mg(1, "d")}
    assert dose_of({**needed, "maxDosePerPeriod": most}).high == 4
    weekly = {"numerator": mg(14), "denominator": mg(1, "wk")}
    assert dose_of({**needed, "maxDosePerPeriod": weekly}).high == 2
    odd = {"numerator": mg(4, "[drp]"), "denominator": mg(1, "d")}
    assert dose_of({**needed, "maxDosePerPeriod": odd}).high == 8
    said = line(mg(2), asNeededCodeableConcept={"text": "pain"})
    assert dose_of(said).low == 0


def test_lines_of_different_times_add_up_and_others_are_in_doubt(dose_of):
    morning, evening = times(when=["MORN"]), times(when=["EVE"])
    both = dose_of(line(mg(1), morning), line(mg(2), evening))
    assert (both.low, both.high, both.doubt) == (3, 3, None)
    for lines in (
        [line(mg(2)), line(mg(10))],
        [line(mg(2)), line(mg(2))],
        [line(mg(1), morning), line(mg(2), morning)],
        [line(mg(1), morning), line(mg(2))],
    ):
        found = dose_of(*lines)
        assert found.doubt == "dose-lines-contradict"
        assert found.high == sum(entry["doseAndRate"][0]["doseQuantity"]["value"]
                                 for entry in lines)  # fmt: skip
        assert found.low == min(e["doseAndRate"][0]["doseQuantity"]["value"] for e in lines)


def test_steps_follow_one_another(dose_of):
    found = dose_of(line(mg(1), sequence=1), line(mg(2), sequence=2), line(mg(5), sequence=3))
    assert (found.low, found.high, found.doubt) == (1, 5, None)


def test_code_and_numbers_that_contradict_are_told(dose_of):
    timing = {**times(frequency=3), "code": {"coding": [{"code": "BID"}]}}
    found = dose_of(line(mg(1), timing))
    assert (found.low, found.high, found.doubt) == (2, 3, "dose-lines-contradict")
    same = {**times(frequency=2), "code": {"coding": [{"code": "BID"}]}}
    assert dose_of(line(mg(1), same)).doubt is None


def test_two_doses_in_one_line_are_in_doubt(dose_of):
    found = dose_of({"timing": DAILY, "doseAndRate": [{"doseQuantity": mg(2)},
                                                      {"doseQuantity": mg(10)}]})  # fmt: skip
    assert (found.low, found.high, found.doubt) == (2, 10, "dose-lines-contradict")


def test_by_body_surface(dose_of):
    per_m2 = line(mg(4.5, "mg/m2"))
    unknown = dose_of(per_m2)
    assert (unknown.unit, unknown.high, unknown.per_m2) == ("mg/m2", Fraction(9, 2), True)
    known = dose_of(per_m2, surface=SURFACE)
    assert (known.unit, known.high, known.per_m2) == ("mg", Fraction(153, 20), True)
    assert "1.7 m2 of 2026-09-01" in known.note
    mixed = dose_of(line(mg(4, "mg/m2"), sequence=1), line(mg(2), sequence=2), surface=SURFACE)
    assert (mixed.low, mixed.high) == (2, Fraction(34, 5))
    calculated = {"timing": DAILY, "doseAndRate": [{"doseQuantity": mg(4.5, "mg/m2")},
                                                   {"doseQuantity": mg(8)}]}  # fmt: skip
    assert dose_of(calculated).high == 8


def test_the_body_surface_by_mosteller():
    assert mosteller(Decimal(165), Decimal(62)) == Decimal("1.69")
    assert mosteller(Decimal(180), Decimal(80)) == Decimal("2.00")


def test_the_boundary_is_exact(thresholds):
    third = DoseLine(Fraction(1), Fraction(1), Fraction(4), Fraction(4))
    limit = thresholds["sirolimus-maximum-dose"]
    assert not limit.is_met_by(daily_dose([third], None).high, "mg")
    above = DoseLine(Fraction(1), Fraction(4) + Fraction(1, 10**9), Fraction(1), Fraction(1))
    assert limit.is_met_by(daily_dose([above], None).high, "mg")


def test_amounts_are_shown_with_at_most_two_decimals():
    assert [amount(Fraction(n, 3)) for n in (3, 1, 20)] == ["1", "0.33", "6.67"]


def test_absurd_but_finite_doses_are_still_told(dose_of):
    assert dose_of(line(mg(1e9))).high == 10**9
    assert dose_of(*[line(mg(1))] * 50).high == 50


@pytest.mark.parametrize(
    ("members", "days"),
    [
        ({}, None),
        ({"boundsDuration": mg(4, "wk")}, 28),
        ({"boundsDuration": {"value": 10, "unit": "days"}}, 10),
        ({"boundsPeriod": {"start": "2026-01-01", "end": "2026-01-28"}}, 28),
        ({"boundsPeriod": {"start": "2026-01-01"}}, None),
        ({"boundsPeriod": {"start": "2026-01", "end": "2026-02"}}, None),
        ({"boundsDuration": mg(0, "d")}, None),
        ({"boundsDuration": mg(3, "x")}, None),
    ],
)
def test_how_long(members, days):
    dosage = json.dumps([{"timing": {"repeat": members}}]).encode()
    assert planned_days(wire.Record(dosageInstruction=msgspec.Raw(dosage))) == days


@pytest.mark.parametrize(
    ("dispense", "days"),
    [
        ({"expectedSupplyDuration": mg(10, "d")}, 10),
        ({"expectedSupplyDuration": mg(10, "d"), "numberOfRepeatsAllowed": 3}, 40),
        ({"expectedSupplyDuration": mg(10, "d"), "numberOfRepeatsAllowed": -3}, 10),
        ({"numberOfRepeatsAllowed": 3}, None),
        ("ten days", None),
    ],
)
def test_refills_count(dispense, days):
    raw = msgspec.Raw(json.dumps(dispense).encode())
    assert planned_days(wire.Record(dispenseRequest=raw)) == days
