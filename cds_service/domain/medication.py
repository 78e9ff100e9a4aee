"""The use of a drug: what is taken, was stopped, or is being ordered; with its dose and reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from cds_service.domain.dates import PartialDate


class Stage(StrEnum):
    """How far the use of a drug has come."""

    CURRENT = "current"
    PAST = "past"
    DRAFTED = "drafted"  # an order that is being judged
    BACKGROUND = "drafted, not judged"  # another order of the same session


class Reason(StrEnum):
    """What an order says that it is for, as far as a rule asks."""

    LAM = "LAM"
    ANGIOMYOLIPOMA = "angiomyolipoma"
    SEGA = "subependymal giant cell astrocytoma"
    CANCER = "cancer"
    TRANSPLANT = "transplant"


@dataclass(frozen=True, slots=True)
class DailyDose:
    """
    The dose a day that the structured dosage of an order allows, lowest and highest, in `unit`.

    The numbers are exact: 10 mg every three days is not rounded. `unit` is "mg" or, as long as no
    body surface area is known, "mg/m2"; `per_m2` tells that the order counts by body surface.
    `doubt` is the line of the card that tells why the two ends differ when they should not.
    """

    low: Fraction
    high: Fraction
    unit: str = "mg"
    per_m2: bool = False
    doubt: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class UnclearDose:
    """Why no daily dose can be computed; `reason` is the line of the card that tells it."""

    reason: str


@dataclass(frozen=True, slots=True)
class MedicationUse:
    """
    An order for, or a statement about, a drug.

    `drug` is the id of its value set, `name` the ingredient to be shown. `reasons` are those it
    gives itself; `days` is how long it is meant to be taken, when the record says so.
    """

    drug: str
    stage: Stage
    on: PartialDate | None
    reference: str
    ended: PartialDate | None = None
    name: str = ""
    reasons: frozenset[Reason] = frozenset()
    days: Fraction | None = None
    dose: DailyDose | UnclearDose | None = None

    @property
    def shown(self) -> str:
        """The drug as a card names it."""
        return self.name or self.drug
