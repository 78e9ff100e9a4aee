"""FHIR date, dateTime and instant, with no more precision than they give."""

from __future__ import annotations

import re
from datetime import date, datetime

from cds_service.domain.dates import PartialDate, month_of, on_day, year_of

_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(T.+)?)?)?")
_TIME = re.compile(r"T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})")


def parse_date(text: str) -> PartialDate | None:
    """
    The days a FHIR date or dateTime may mean; None if it cannot be read.

    A time needs a zone: without one the day itself is uncertain. The day is the one written, in
    the zone of the place where it was recorded.
    """
    match = _DATE.fullmatch(text)
    if match is None or (match[4] and not _TIME.fullmatch(match[4])):
        return None
    year, month, day = int(match[1]), int(match[2] or 1), int(match[3] or 1)
    try:
        first = date(year, month, day)
    except ValueError:
        return None
    if match[3]:
        return on_day(first)
    return month_of(first) if match[2] else year_of(first)


def parse_moment(text: str | None) -> datetime | None:
    """The moment of an instant or of a dateTime with time and zone; None otherwise."""
    if text is None or "T" not in text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def parse_span(start: str | None, end: str | None) -> PartialDate | None:
    """The days from the start to the end of a period; None if its start cannot be read."""
    first = parse_date(start) if start else None
    last = parse_date(end) if end else first
    if first is None or last is None or last.last < first.first:
        return None
    return PartialDate(first.first, last.last)
