"""From the lines of a dosage to the dose a day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from cds_service.domain.medication import DailyDose
from cds_service.domain.thresholds import plain

LINES_CONTRADICT = "dose-lines-contradict"
_HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class DoseLine:
    """
    One line of a dosage: `low` to `high` (mg, or mg/m2) at a time, `rare` to `often` times a day.

    `apart` is what sets the line apart from others of the same order: a time of the day, or
    nothing. `sequence` orders lines that follow one another. `ceiling` is a stated maximum a day.
    """

    low: Fraction
    high: Fraction
    rare: Fraction
    often: Fraction
    per_m2: bool = False
    as_needed: bool = False
    sequence: int | None = None
    apart: tuple[str, ...] = ()
    ceiling: Fraction | None = None
    in_doubt: bool = False

    @property
    def least(self) -> Fraction:
        """The lowest dose a day; none at all if it is taken only when needed."""
        return Fraction(0) if self.as_needed else self.low * self.rare

    @property
    def most(self) -> Fraction:
        """The highest dose a day."""
        most = self.high * self.often
        return most if self.ceiling is None else min(most, self.ceiling)


@dataclass(frozen=True, slots=True)
class BodySurface:
    """A body surface area in m2, and how it is known."""

    value: Decimal
    origin: str


def mosteller(height_cm: Decimal, weight_kg: Decimal) -> Decimal:
    """
    Body surface area in m2 from height (cm) and weight (kg), rounded to two decimals.

    Mosteller RD, N Engl J Med 1987;317:1098: the square root of height times weight over 3600.
    """
    return (height_cm * weight_kg / 3600).sqrt().quantize(_HUNDREDTH, ROUND_HALF_UP)


def daily_dose(lines: Sequence[DoseLine], surface: BodySurface | None) -> DailyDose:
    """
    The dose a day of one order.

    Lines of one step are taken together, and the highest step counts. Lines that neither a step
    nor a time of the day sets apart may mean "and" or "or": then the lowest line and the sum of
    all bound the dose, and the doubt is told.
    """
    factor = Fraction(1) if surface is None else Fraction(surface.value)
    doses = [_step(step, factor) for step in _steps(lines)]
    doubt = any(line.in_doubt for line in lines) or any(_overlap(s) for s in _steps(lines))
    return DailyDose(
        low=min(low for low, _ in doses),
        high=max(high for _, high in doses),
        unit="mg/m2" if surface is None and lines[0].per_m2 else "mg",
        per_m2=any(line.per_m2 for line in lines),
        doubt=LINES_CONTRADICT if doubt else None,
        note=_note(lines, surface),
    )


def _steps(lines: Sequence[DoseLine]) -> list[list[DoseLine]]:
    numbers = sorted({line.sequence or 0 for line in lines})
    return [[line for line in lines if (line.sequence or 0) == number] for number in numbers]


def _step(step: Sequence[DoseLine], factor: Fraction) -> tuple[Fraction, Fraction]:
    """The lowest and highest dose a day of lines that are taken together."""
    scales = [factor if line.per_m2 else Fraction(1) for line in step]
    least = [line.least * scale for line, scale in zip(step, scales, strict=True)]
    most = [line.most * scale for line, scale in zip(step, scales, strict=True)]
    return min(least) if _overlap(step) else sum(least, Fraction(0)), sum(most, Fraction(0))


def _overlap(step: Iterable[DoseLine]) -> bool:
    """Whether two lines of one step are for the same time, or do not tell the time."""
    seen: set[str] = set()
    for number, line in enumerate(step):
        if number and (not line.apart or not seen or seen & set(line.apart)):
            return True
        seen |= set(line.apart)
    return False


def _note(lines: Sequence[DoseLine], surface: BodySurface | None) -> str | None:
    """What was ordered by body surface, and with which surface it was multiplied."""
    ordered = [line for line in lines if line.per_m2]
    if not ordered:
        return None
    if surface is None:
        return "body surface area not known"
    dose = amount(max(line.most for line in ordered))
    return f"{dose} mg/m2 a day, body surface area {plain(surface.value)} m2 {surface.origin}"


def amount(dose: Fraction) -> str:
    """A dose as it is shown, with at most two decimals."""
    exact = Decimal(dose.numerator) / Decimal(dose.denominator)
    return plain(exact.quantize(_HUNDREDTH, ROUND_HALF_UP))
