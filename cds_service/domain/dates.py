"""Dates as the record gives them: sometimes to the day, sometimes only to the month or year."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True, order=True)
class PartialDate:
    """The days on which something may have happened; one day when `first == last`."""

    first: date
    last: date

    @property
    def day(self) -> date | None:
        """The day itself, or None when the record does not tell it."""
        return self.first if self.first == self.last else None

    def __str__(self) -> str:
        """Show no more precision than was recorded: 2026-03-01, 2026-03 or 2026."""
        if self.first == self.last:
            return self.first.isoformat()
        if self == month_of(self.first):
            return self.first.isoformat()[:7]
        if self == year_of(self.first):
            return self.first.isoformat()[:4]
        return f"{self.first.isoformat()} to {self.last.isoformat()}"


def on_day(day: date) -> PartialDate:
    """A date known to the day."""
    return PartialDate(day, day)


def month_of(day: date) -> PartialDate:
    """A date known to the month of `day`."""
    last = monthrange(day.year, day.month)[1]
    return PartialDate(day.replace(day=1), day.replace(day=last))


def year_of(day: date) -> PartialDate:
    """A date known to the year of `day`."""
    return PartialDate(date(day.year, 1, 1), date(day.year, 12, 31))


def add_months(day: date, months: int) -> date:
    """
    The same day of the month, `months` later (earlier if negative).

    A day that the target month lacks becomes its last day: 31 August less six is 28 February.
    """
    years, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(years, month + 1, min(day.day, monthrange(years, month + 1)[1]))


def is_within_months(when: PartialDate, months: int, as_of: date) -> bool | None:
    """
    Whether `when` lies in the `months` up to and including `as_of`.

    None when the precision of `when` leaves it open.
    """
    cutoff = add_months(as_of, -months)
    if when.first >= cutoff:
        return True
    return False if when.last < cutoff else None


def age_on(birth: PartialDate, day: date) -> tuple[int, int]:
    """The youngest and oldest age in whole years on `day`; equal when the birth date is exact."""
    return _whole_years(birth.last, day), _whole_years(birth.first, day)


def _whole_years(birth: date, day: date) -> int:
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def decimal_age(birth: date, day: date) -> float:
    """Age in years with its fraction (365.25 days a year), as spirometry equations want it."""
    return (day - birth).days / 365.25
