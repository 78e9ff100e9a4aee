"""Reads FHIR Dosage: the dose a day, and how long a drug is meant to be taken."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import msgspec

from cds_service.content.model import Product
from cds_service.domain.dosing import BodySurface, DoseLine, daily_dose
from cds_service.domain.medication import DailyDose, UnclearDose
from cds_service.errors import UnknownUnit
from cds_service.fhir import wire
from cds_service.fhir.dates import parse_date
from cds_service.fhir.extraction.reading import Reader

_LINES = msgspec.json.Decoder(tuple[wire.Dosage, ...])
_DISPENSE = msgspec.json.Decoder(wire.DispenseRequest)
# Fractions of a day. A month is a twelfth of 365.25 days.
_DAYS = {
    "s": Fraction(1, 86400), "min": Fraction(1, 1440), "h": Fraction(1, 24), "d": Fraction(1),
    "wk": Fraction(7), "mo": Fraction(1461, 48), "a": Fraction(1461, 4),
}  # fmt: skip
# HL7 GTSAbbreviation: how many times a day
_CODES = {
    "QD": Fraction(1), "AM": Fraction(1), "PM": Fraction(1), "BED": Fraction(1), "BID": Fraction(2),
    "TID": Fraction(3), "QID": Fraction(4), "QOD": Fraction(1, 2), "Q1H": Fraction(24),
    "Q2H": Fraction(12), "Q3H": Fraction(8), "Q4H": Fraction(6), "Q6H": Fraction(4),
    "Q8H": Fraction(3), "WK": Fraction(1, 7), "MO": Fraction(48, 1461),
}  # fmt: skip
_COUNTED = frozenset({"tablet", "tablets", "tablet(s)", "tab", "tabs", "tbl"})
_REMARKS = frozenset({"dose-as-text", "dose-missing"})
_MOST_LINES = 50  # nobody writes more; a list without end would only take time
_MOST_MG = 10**9  # a tonne a day is no dose, but a slip in the number or its unit


class _Unclear(Exception):
    """The dose cannot be computed; `reason` is the line of the card that tells it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def dosage_of(record: wire.Record) -> tuple[wire.Dosage, ...]:
    """
    The lines of dosage of an order or a statement.

    Raises msgspec.ValidationError when they are not FHIR.
    """
    raw = record.dosageInstruction or record.dosage
    return _LINES.decode(raw) if bytes(raw) not in (b"", b"null") else ()


def read_dose(
    record: wire.Record, product: Product | None, surface: BodySurface | None, reader: Reader
) -> DailyDose | UnclearDose:
    """
    The daily dose by the structured dosage of an order; free text is never read as a dose.

    `product` tells the strength of a tablet, `surface` the body surface area for doses per m2.
    """
    try:
        sent = dosage_of(record)
    except msgspec.ValidationError:
        return UnclearDose("dose-unreadable")
    if len(sent) > _MOST_LINES:
        return UnclearDose("dose-unreadable")
    read = [_read_line(line, product, reader) for line in sent]
    lines = [line for line in read if isinstance(line, DoseLine)]
    unclear = [line.reason for line in read if isinstance(line, UnclearDose)]
    if not lines:
        return UnclearDose(unclear[0] if unclear else "dose-missing")
    if surface is None and len({line.per_m2 for line in lines}) > 1:
        return UnclearDose("dose-surface-missing")
    dose = daily_dose(lines, surface)
    return _with_doubt(dose, unclear) if dose.high <= _MOST_MG else UnclearDose("dose-unreadable")


def _with_doubt(dose: DailyDose, unclear: list[str]) -> DailyDose:
    """What the other lines say is known; a line without a dose is a remark, and is noted."""
    doubts = [reason for reason in unclear if reason not in _REMARKS]
    if len(doubts) < len(unclear):
        note = "a line in words is not counted"
        dose = replace(dose, note=f"{dose.note}, {note}" if dose.note else note)
    return replace(dose, doubt=dose.doubt or doubts[0]) if doubts else dose


def _read_line(
    line: wire.Dosage, product: Product | None, reader: Reader
) -> DoseLine | UnclearDose:
    try:
        return _line(line, product, reader)
    except _Unclear as unclear:
        return UnclearDose(unclear.reason)
    except (OverflowError, ValueError):
        return UnclearDose("dose-unreadable")


def _line(line: wire.Dosage, product: Product | None, reader: Reader) -> DoseLine:
    doses = [_dose(dose, product, reader) for dose in line.doseAndRate]
    if not doses:
        raise _Unclear("dose-as-text" if line.text else "dose-missing")
    rare, often, in_doubt = _times_a_day(line.timing)
    by_surface = [dose for dose in doses if dose[2]]
    fixed = [dose for dose in doses if not dose[2]] or by_surface
    repeat = line.timing.repeat if line.timing and line.timing.repeat else wire.Repeat()
    return DoseLine(
        low=min(low for low, _, _ in fixed),
        high=max(high for _, high, _ in fixed),
        rare=rare,
        often=often,
        per_m2=fixed is by_surface,
        as_needed=bool(line.asNeededBoolean) or line.asNeededCodeableConcept is not None,
        sequence=line.sequence,
        apart=(*repeat.when, *repeat.timeOfDay),
        ceiling=_ceiling(line.maxDosePerPeriod, product, reader),
        in_doubt=in_doubt or len(set(fixed)) > 1,
    )


def _dose(
    dose: wire.DoseAndRate, product: Product | None, reader: Reader
) -> tuple[Fraction, Fraction, bool]:
    """The lowest and highest dose at a time, in mg or mg/m2, and which of the two."""
    if dose.doseQuantity is not None:
        amount, per_m2 = _amount(dose.doseQuantity, product, reader)
        return *_span(amount, amount), per_m2
    if dose.doseRange is None or dose.doseRange.high is None:
        raise _Unclear("dose-unreadable")
    high, per_m2 = _amount(dose.doseRange.high, product, reader)
    lowest = dose.doseRange.low
    low, same = _amount(lowest, product, reader) if lowest else (Fraction(0), per_m2)
    if same is not per_m2:
        raise _Unclear("dose-unreadable")
    return *_span(low, high), per_m2


def _span(low: Fraction, high: Fraction) -> tuple[Fraction, Fraction]:
    """From the lowest to the highest dose; nothing at all is no dose."""
    if high <= 0 or low > high:
        raise _Unclear("dose-unreadable")
    return low, high


def _amount(sent: wire.Quantity, product: Product | None, reader: Reader) -> tuple[Fraction, bool]:
    """A dose in mg, or in mg/m2."""
    if sent.value is None or sent.value < 0 or sent.comparator:
        raise _Unclear("dose-unreadable")
    unit = (sent.code or sent.unit or "").strip()
    if unit.strip("{}").lower() in _COUNTED:
        if product is None or product.per != "tablet":
            raise _Unclear("dose-unit-unknown")
        return _exact(sent.value) * Fraction(product.mg), False
    for name in ("drug-dose", "drug-dose-per-m2", "drug-volume"):
        found = _converted(sent, name, reader)
        if found is not None:
            return _by_volume(found, name, product), name == "drug-dose-per-m2"
    raise _Unclear("dose-unit-unknown")


def _by_volume(amount: Fraction, quantity: str, product: Product | None) -> Fraction:
    if quantity != "drug-volume":
        return amount
    if product is None or product.per != "mL":
        raise _Unclear("dose-unit-unknown")
    return amount * Fraction(product.mg)


def _converted(sent: wire.Quantity, name: str, reader: Reader) -> Fraction | None:
    target = reader.tools.content.quantities[name]
    try:
        found = reader.tools.units.convert(sent, target, reader.tried_units)
    except UnknownUnit:
        return None
    return Fraction(found.value)


def _exact(number: float) -> Fraction:
    """A number as it was written, not as the machine approximates it."""
    return Fraction(Decimal(repr(number)))


def _times_a_day(timing: wire.Timing | None) -> tuple[Fraction, Fraction, bool]:
    """The lowest and highest number of doses a day, and whether code and numbers contradict."""
    found = [times for times in (_by_repeat(timing), _by_code(timing)) if times]
    if not found:
        raise _Unclear("dose-no-frequency")
    contradict = len(found) == 2 and found[0] != found[1]
    return min(rare for rare, _ in found), max(often for _, often in found), contradict


def _by_repeat(timing: wire.Timing | None) -> tuple[Fraction, Fraction] | None:
    repeat = timing.repeat if timing else None
    if repeat is None:
        return None
    events = max(len(repeat.when), len(repeat.timeOfDay))
    if repeat.frequency is None and not events and repeat.period is None:
        return None
    times = max(1 if repeat.frequency is None else repeat.frequency, events)
    most = max(times, repeat.frequencyMax or 0)
    period = _exact(repeat.period) if repeat.period is not None else Fraction(1)
    longest = max(period, _exact(repeat.periodMax)) if repeat.periodMax else period
    unit = _DAYS.get(repeat.periodUnit or ("" if repeat.period else "d"))
    if unit is None or period <= 0 or times <= 0:
        raise _Unclear("dose-no-frequency")
    return Fraction(times) / (longest * unit), Fraction(most) / (period * unit)


def _by_code(timing: wire.Timing | None) -> tuple[Fraction, Fraction] | None:
    codings = timing.code.coding if timing and timing.code else ()
    for coding in codings:
        times = _CODES.get((coding.code or "").upper())
        if times is not None:
            return times, times
    return None


def _ceiling(sent: wire.Ratio | None, product: Product | None, reader: Reader) -> Fraction | None:
    """The stated maximum a day; None when there is none, or it is not a mass over a time."""
    if sent is None or sent.numerator is None or sent.denominator is None:
        return None
    days = _days(sent.denominator)
    try:
        most, per_m2 = _amount(sent.numerator, product, reader)
    except _Unclear:
        return None
    return most / days if days and not per_m2 else None


def planned_days(record: wire.Record) -> Fraction | None:
    """For how many days a drug is meant to be taken; None when the record does not say."""
    try:
        found = [_bounds(line.timing) for line in dosage_of(record)[:_MOST_LINES]]
        found.append(_supplied(record))
    except msgspec.ValidationError:
        return None
    known = [days for days in found if days is not None]
    return max(known, default=None)


def _bounds(timing: wire.Timing | None) -> Fraction | None:
    repeat = timing.repeat if timing else None
    if repeat is None:
        return None
    if repeat.boundsDuration is not None:
        return _days(repeat.boundsDuration)
    return period_days(repeat.boundsPeriod)


def period_days(period: wire.Period | None) -> Fraction | None:
    """The days of a period, both ends included, if it has both and they are days."""
    if period is None or period.start is None or period.end is None:
        return None
    first, last = parse_date(period.start), parse_date(period.end)
    if first is None or last is None or first.day is None or last.day is None:
        return None
    return Fraction((last.day - first.day).days + 1)


def _supplied(record: wire.Record) -> Fraction | None:
    if bytes(record.dispenseRequest) in (b"", b"null"):
        return None
    supply = _DISPENSE.decode(record.dispenseRequest)
    days = _days(supply.expectedSupplyDuration)
    return None if days is None else days * (1 + max(0, supply.numberOfRepeatsAllowed or 0))


def _days(sent: wire.Quantity | None) -> Fraction | None:
    """A duration in days, in UCUM."""
    if sent is None or sent.value is None or sent.value <= 0:
        return None
    unit = _DAYS.get(sent.code or "") or _WORDS.get((sent.unit or "").lower())
    return None if unit is None else _exact(sent.value) * unit


_WORDS = {"day": Fraction(1), "days": Fraction(1), "week": Fraction(7), "weeks": Fraction(7)}
