"""UCUM units to the one unit per quantity used inside."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pint.errors import DimensionalityError, PintError
from ucumvert import PintUcumRegistry

from cds_service.content.model import Content, Quantity
from cds_service.domain.thresholds import plain
from cds_service.errors import UnknownUnit
from cds_service.fhir import wire

_LARGEST = 10**12  # nothing measured in a person; rounding it would overflow
_MOST_UNITS = 512  # that are remembered
_MOST_NEW_UNITS = 50  # that are tried for one chart
_LONGEST_UNIT = 24  # longer texts are remarks, and not worth parsing


@dataclass(frozen=True, slots=True)
class Converted:
    """A value in the unit of its quantity; `note` tells when it was not taken literally."""

    value: Decimal
    note: str | None = None


class Units:
    """Converts sent quantities; a factor is worked out once for each unit that is one."""

    def __init__(self, content: Content) -> None:
        """Load the UCUM registry, which takes most of a second: once, at start-up."""
        self._registry: Any = PintUcumRegistry()
        self._aliases = content.unit_aliases
        self._factors: dict[tuple[str, str], Decimal] = {}  # of units only: text of no unit is lost

    def convert(
        self, sent: wire.Quantity, quantity: Quantity, tried: set[tuple[str, str]]
    ) -> Converted:
        """
        Bring a sent value to the unit of `quantity`; `tried` collects the units new in this chart.

        Raises UnknownUnit when the unit is missing, no UCUM unit, or measures something else.
        """
        unit = self.unit_of(sent)
        if unit is None or sent.value is None:
            raise UnknownUnit("no unit")
        factor, value = self._factor_for(unit, quantity, tried), Decimal(repr(sent.value))
        return _repair(value if factor == 1 else _tidy(value * factor), quantity)

    def unit_of(self, sent: wire.Quantity) -> str | None:
        """The UCUM code, or the unit as text when no code is sent."""
        unit = sent.code or sent.unit
        return self._aliases.get(unit.strip(), unit.strip()) or None if unit else None

    def _factor_for(self, unit: str, quantity: Quantity, tried: set[tuple[str, str]]) -> Decimal:
        if quantity.fraction_up_to is not None and _is_bare_number(unit):
            return Decimal(1)  # a fraction or a percentage: the value itself tells
        if quantity.nmol_per_unit is not None and unit == "nmol/L":
            return 1 / quantity.nmol_per_unit
        known = self._factors.get((unit, quantity.unit))
        return self._learn((unit, quantity.unit), tried) if known is None else known

    def _learn(self, pair: tuple[str, str], tried: set[tuple[str, str]]) -> Decimal:
        """Parse a unit, which takes a millisecond: once a chart, and not for thousands of them."""
        if pair in tried or len(tried) >= _MOST_NEW_UNITS:
            raise UnknownUnit("unit not known in this chart")
        tried.add(pair)
        factor = self._work_out_factor(*pair)
        if len(self._factors) >= _MOST_UNITS:
            self._factors.clear()  # no site has so many: somebody invents them
        self._factors[pair] = factor
        return factor

    def _work_out_factor(self, unit: str, target: str) -> Decimal:
        if len(unit) > _LONGEST_UNIT:
            raise UnknownUnit("unit too long")
        try:
            factor = self._parse(unit).to(self._parse(target).units).magnitude
        except (DimensionalityError, PintError) as error:
            raise UnknownUnit("unit of another quantity") from error
        except Exception as error:  # the parser raises many kinds for what is no UCUM
            raise UnknownUnit("no UCUM unit") from error
        return Decimal(f"{float(factor):.12g}")

    def _parse(self, unit: str) -> Any:
        return self._registry.from_ucum(unit)


def _is_bare_number(unit: str) -> bool:
    return unit == "1" or (unit.startswith("{") and unit.endswith("}"))


def _tidy(value: Decimal) -> Decimal:
    """No more digits than a laboratory gives: conversion adds none that mean anything."""
    if abs(value) > _LARGEST:
        return value
    rounded = round(value, 4)
    return rounded.normalize() if rounded else Decimal(0)


def _repair(value: Decimal, quantity: Quantity) -> Converted:
    """Read a fraction as percent, and millilitres sent as litres, and say so."""
    if quantity.fraction_up_to is not None and 0 < value <= quantity.fraction_up_to:
        return Converted(value * 100, f"sent as {plain(value)}, read as a fraction")
    if quantity.milli_above is not None and value > quantity.milli_above:
        return Converted(value / 1000, f"sent as {plain(value)} {quantity.unit}, read as m"
                         f"{quantity.unit}")  # fmt: skip
    return Converted(value)
