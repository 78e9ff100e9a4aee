"""Whether readings of oxygenation call for home oxygen, and how certain that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from cds_service.domain.dates import is_within_months
from cds_service.domain.snapshot import (
    Activity,
    Finding,
    InspiredAir,
    Measurement,
    Oxygenation,
    PatientSnapshot,
)
from cds_service.domain.thresholds import Threshold, Thresholds


class RestNeed(StrEnum):
    """What the readings at rest say, strongest first."""

    QUALIFIES = "qualifies"
    QUALIFIES_WITH_MARKER = "qualifies-with-marker"
    CONFIRM_LOW = "confirm-low"
    CONFIRM_BORDER = "confirm-border"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Marker:
    """A sign of chronic hypoxaemia that lets a border value count; `kind` names its phrase."""

    kind: str
    finding: Finding | None = None
    measured: Measurement | None = None


@dataclass(frozen=True, slots=True)
class RestVerdict:
    """
    What the readings at rest amount to.

    `decided_by` is the reading that decided, `earlier` the low one that confirms it, and
    `disagrees` a later saturation that speaks against a low arterial tension.
    """

    need: RestNeed
    decided_by: Oxygenation | None = None
    earlier: Oxygenation | None = None
    disagrees: Oxygenation | None = None


@dataclass(frozen=True, slots=True)
class OxygenAssessment:
    """
    What is on record, and what it amounts to.

    `rest` is the newest recent reading at rest (or without recorded context) that was not taken on
    oxygen, `exertion` the newest exertional one if it is low. `set_aside` holds readings on
    oxygen, in sleep or in recovery: shown, never counted.
    """

    verdict: RestVerdict
    rest: Oxygenation | None = None
    pao2: Oxygenation | None = None
    exertion: Oxygenation | None = None
    markers: tuple[Marker, ...] = ()
    set_aside: tuple[Oxygenation, ...] = ()

    @property
    def qualifies_at_rest(self) -> bool:
        """Whether long-term oxygen is indicated at rest, with or without a marker."""
        return self.verdict.need in (RestNeed.QUALIFIES, RestNeed.QUALIFIES_WITH_MARKER)

    @property
    def needs_ambulatory(self) -> bool:
        """Whether the newest exertional reading is low."""
        return self.exertion is not None


def whole_percent(saturation: Decimal) -> Decimal:
    """
    A saturation rounded half up to a whole percent, as it is read clinically and by payers.

    88.4 counts as 88 and 88.5 as 89 (CMS NCD 240.2 and its rounding rule).
    """
    return saturation.quantize(Decimal(1), ROUND_HALF_UP)


def assess_oxygenation(
    patient: PatientSnapshot, thresholds: Thresholds, as_of: date
) -> OxygenAssessment:
    """Judge the newest recent readings; rest and exertion are never mixed."""
    key = ("oxygen", id(thresholds), as_of)
    return patient.once(key, lambda: _assess(patient, thresholds, as_of))


def _assess(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> OxygenAssessment:
    months = thresholds["recent-measurement"].number
    recent = [o for o in patient.saturation if is_within_months(o.measured.on, months, as_of)]
    gases = [o for o in patient.pao2 if is_within_months(o.measured.on, months, as_of)]
    rest = _first(recent, is_at_rest)
    gas = _first(gases, lambda o: o.air is not InspiredAir.OXYGEN)
    markers = tuple(_markers(patient, thresholds, as_of))
    return OxygenAssessment(
        verdict=_judge_rest(rest, gas, recent, bool(markers), thresholds),
        rest=rest,
        pao2=gas,
        exertion=_low_on_exertion(recent, thresholds),
        markers=markers,
        set_aside=tuple(_set_aside(recent)),
    )


def is_at_rest(reading: Oxygenation) -> bool:
    """At rest or with no activity recorded, and not known to be on oxygen."""
    calm = reading.activity in (Activity.REST, Activity.UNKNOWN)
    return calm and reading.air is not InspiredAir.OXYGEN


def states_its_context(reading: Oxygenation) -> bool:
    """Whether the reading says that it was taken at rest or on room air, and denies neither."""
    stated = reading.activity is Activity.REST or reading.air is InspiredAir.ROOM_AIR
    return is_at_rest(reading) and stated


def _judge_rest(
    rest: Oxygenation | None,
    gas: Oxygenation | None,
    recent: Iterable[Oxygenation],
    has_marker: bool,
    thresholds: Thresholds,
) -> RestVerdict:
    low = _saturation_test(thresholds["spo2-rest-for-oxygen"])
    if gas and _gas_meets(gas, thresholds["pao2-for-oxygen"]):
        later = _later_and_normal(rest, gas, thresholds)
        return RestVerdict(RestNeed.CONFIRM_LOW if later else RestNeed.QUALIFIES, gas, None, later)
    if rest and low(rest):
        earlier = _confirming(rest, filter(low, recent), thresholds)
        return RestVerdict(RestNeed.QUALIFIES if earlier else RestNeed.CONFIRM_LOW, rest, earlier)
    border = _at_the_border(rest, gas, thresholds)
    if has_marker and border:
        return RestVerdict(RestNeed.QUALIFIES_WITH_MARKER, border)
    if rest and _saturation_test(thresholds["spo2-rest-border"])(rest):
        return RestVerdict(RestNeed.CONFIRM_BORDER, rest)
    return RestVerdict(RestNeed.NONE)


def _saturation_test(threshold: Threshold) -> Callable[[Oxygenation], bool]:
    def test(reading: Oxygenation) -> bool:
        measured = reading.measured
        return threshold.is_met_by(whole_percent(measured.value), measured.unit)

    return test


def _gas_meets(gas: Oxygenation | None, threshold: Threshold) -> bool:
    return gas is not None and threshold.is_met_by(gas.measured.value, gas.measured.unit)


def _at_the_border(
    rest: Oxygenation | None, gas: Oxygenation | None, thresholds: Thresholds
) -> Oxygenation | None:
    """A saturation of just 89 % with stated context, or a tension between the two limits."""
    at_border = _saturation_test(thresholds["spo2-rest-with-marker"])
    if rest and states_its_context(rest) and at_border(rest):
        return rest
    return gas if _gas_meets(gas, thresholds["pao2-with-marker"]) else None


def _confirming(
    rest: Oxygenation, low: Iterable[Oxygenation], thresholds: Thresholds
) -> Oxygenation | None:
    """The latest low reading with stated context, far enough before the newest one."""
    if not states_its_context(rest):
        return None
    gap = thresholds["spo2-repeat-interval"]
    for reading in low:
        apart = (rest.measured.on.first - reading.measured.on.last).days
        if states_its_context(reading) and gap.is_met_by(Decimal(apart), "d"):
            return reading
    return None


def _later_and_normal(
    rest: Oxygenation | None, gas: Oxygenation, thresholds: Thresholds
) -> Oxygenation | None:
    """A saturation at rest later than the blood gas and above every limit."""
    if rest is None or rest.measured.on.first <= gas.measured.on.last:
        return None
    low, border = thresholds["spo2-rest-for-oxygen"], thresholds["spo2-rest-border"]
    is_low = _saturation_test(low)(rest) or _saturation_test(border)(rest)
    return rest if states_its_context(rest) and not is_low else None


def _low_on_exertion(recent: Iterable[Oxygenation], thresholds: Thresholds) -> Oxygenation | None:
    newest = _first(recent, _is_exertion)
    low = _saturation_test(thresholds["spo2-exertion-for-oxygen"])
    return newest if newest and low(newest) else None


def _is_exertion(reading: Oxygenation) -> bool:
    return reading.activity is Activity.EXERTION and reading.air is not InspiredAir.OXYGEN


def _set_aside(recent: Iterable[Oxygenation]) -> Iterable[Oxygenation]:
    """The newest reading of each kind that is shown but never counted."""
    readings = list(recent)
    tests: tuple[Callable[[Oxygenation], bool], ...] = (
        lambda o: o.air is InspiredAir.OXYGEN,
        lambda o: o.activity is Activity.AFTER_EXERCISE and o.air is not InspiredAir.OXYGEN,
        lambda o: o.activity is Activity.SLEEP and o.air is not InspiredAir.OXYGEN,
    )
    for test in tests:
        found = _first(readings, test)
        if found is not None:
            yield found


def _markers(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Iterable[Marker]:
    if patient.oedema:
        yield Marker("oedema", finding=patient.oedema[0])
    if patient.p_pulmonale:
        yield Marker("p_pulmonale", finding=patient.p_pulmonale[0])
    blood, months = patient.haematocrit, thresholds["recent-measurement"].number
    limit = thresholds["haematocrit-for-oxygen"]
    is_recent = blood and is_within_months(blood.on, months, as_of)
    if blood and is_recent and limit.is_met_by(blood.value, blood.unit):
        yield Marker("haematocrit", measured=blood)


def _first(
    readings: Iterable[Oxygenation], test: Callable[[Oxygenation], bool]
) -> Oxygenation | None:
    return next(filter(test, readings), None)
