"""Thresholds: a number with its unit, its comparison and its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import TypeVar

from cds_service.errors import UnitMismatch

N = TypeVar("N", Decimal, Fraction)


class Comparison(StrEnum):
    """How a value is held against a threshold; the patient on the line depends on it."""

    AT_LEAST = "at-least"
    AT_MOST = "at-most"
    ABOVE = "above"
    BELOW = "below"
    BETWEEN = "between"


_WORDS = {
    Comparison.AT_LEAST: "at least",
    Comparison.AT_MOST: "at most",
    Comparison.ABOVE: "above",
    Comparison.BELOW: "below",
}

_UNIT_WORDS = {
    "a": "years",
    "mo": "months",
    "d": "days",
    "min": "minutes",
    "mm[Hg]": "mmHg",
    "mL/a": "mL/year",
}


@dataclass(frozen=True, slots=True)
class Threshold:
    """
    One number of the guideline content.

    `low` and `high` are equal unless `comparison` is *between*, which includes both ends.
    `unit` is a UCUM code ("1" for a count).
    """

    id: str
    label: str
    unit: str
    comparison: Comparison
    low: Decimal
    high: Decimal
    source: str

    def is_met_by(self, value: Decimal | Fraction, unit: str) -> bool:
        """
        Compare `value` exactly; nothing is rounded here.

        Raises UnitMismatch when `unit` is not the threshold's own.
        """
        if unit != self.unit:
            raise UnitMismatch(f"{self.id} is in {self.unit!r}, the value in {unit!r}")
        if isinstance(value, Fraction):  # a Fraction and a Decimal do not compare
            return _compare(self.comparison, value, Fraction(self.low), Fraction(self.high))
        return _compare(self.comparison, value, self.low, self.high)

    @property
    def number(self) -> int:
        """The value as a whole number, for calendar arithmetic in months, days or years."""
        return int(self.low)

    def __str__(self) -> str:
        """The threshold in words, as a card shows it: "below 70 %"."""
        unit = _UNIT_WORDS.get(self.unit, "" if self.unit == "1" else self.unit)
        if self.comparison is Comparison.BETWEEN and self.low == self.high:
            return f"{plain(self.low)} {unit}".rstrip()
        if self.comparison is Comparison.BETWEEN:
            return f"{plain(self.low)} to {plain(self.high)} {unit}".rstrip()
        return f"{_WORDS[self.comparison]} {plain(self.low)} {unit}".rstrip()


Thresholds = Mapping[str, Threshold]


def plain(number: Decimal) -> str:
    """A decimal without exponent or padding zeros: 70, 0.5, -90."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _compare(how: Comparison, value: N, low: N, high: N) -> bool:
    if how is Comparison.AT_LEAST:
        return value >= low
    if how is Comparison.AT_MOST:
        return value <= low
    if how is Comparison.ABOVE:
        return value > low
    if how is Comparison.BELOW:
        return value < low
    return low <= value <= high
