"""The course of a disease: every usable value over the years, not only those that decide today."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from cds_service.domain.snapshot import (
    DataGap,
    Measurement,
    Oxygenation,
    PercentPredicted,
    Spirometry,
)


@dataclass(frozen=True, slots=True)
class LungFunctionTest:
    """
    One spirometry: litres, percent predicted and z-score, as far as each is known.

    A reported percentage without litres of the same day has no `volume`.
    """

    volume: Spirometry | None
    percent: PercentPredicted | None
    z_score: Decimal | None = None

    @property
    def measured(self) -> Measurement:
        """The value that dates it."""
        found = self.volume or self.percent
        assert found is not None
        return found.measured


@dataclass(frozen=True, slots=True)
class Course:
    """Series of one patient, oldest first; `gaps` are the values that could not be used."""

    lung_function: tuple[LungFunctionTest, ...] = ()
    saturation: tuple[Oxygenation, ...] = ()
    sirolimus_level: tuple[Measurement, ...] = ()
    everolimus_level: tuple[Measurement, ...] = ()
    gaps: tuple[DataGap, ...] = ()
