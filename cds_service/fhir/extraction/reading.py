"""Reads measured values: which count, which is the newest, and which are gaps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from cds_service.content.model import Content, Quantity
from cds_service.domain.dates import PartialDate
from cds_service.domain.snapshot import DataGap, Measurement
from cds_service.domain.thresholds import Thresholds
from cds_service.errors import UnknownUnit
from cds_service.fhir import wire
from cds_service.fhir.dates import parse_date, parse_moment, parse_span
from cds_service.fhir.models import NotReadable, check_observation, check_record
from cds_service.fhir.units import Converted, Units
from cds_service.fhir.vocabulary import Vocabulary

_FINAL = frozenset({"final", "amended", "corrected"})
_AHEAD = timedelta(days=1)  # where the record is kept it may be tomorrow already
P = TypeVar("P")
_WHEN = attrgetter("when")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,255}")


@dataclass(frozen=True, slots=True)
class Tools:
    """What extraction needs beside the record; made once at start-up."""

    content: Content
    vocabulary: Vocabulary
    units: Units


class Coded(msgspec.Struct, gc=False):
    """
    An observation with the coding it was chosen by.

    `when` it was made is kept as text that sorts by time: it is asked for again and again. A chart
    makes hundreds of these, and a Struct is made in a third of the time of a dataclass.
    """

    observation: wire.Observation
    coding: wire.SystemAndCode
    when: str


def time_of(sent: wire.Observation) -> str:
    """When an observation was made, as text that sorts by time; empty if it does not say."""
    period = sent.effectivePeriod
    return sent.effectiveDateTime or sent.effectiveInstant or (period and period.start) or ""


@dataclass(frozen=True, slots=True)
class _Doubt:
    """Why a value is not used."""

    reason: str
    shown: str | None = None


Observations = Sequence[Coded]


@dataclass(slots=True)
class Reader:
    """Reads the resources of one patient on one day, and collects the gaps."""

    tools: Tools
    thresholds: Thresholds
    patient_id: str
    as_of: date
    tried_units: set[tuple[str, str]] = field(default_factory=set)
    gaps: dict[DataGap, None] = field(default_factory=dict)  # a set that keeps its order

    def is_about_patient(self, subject: wire.Subject | None) -> bool:
        """Whether a reference names this patient; none at all is taken from the search."""
        if subject is None or subject.reference is None:
            return True
        if subject.reference == f"Patient/{self.patient_id}":
            return True
        parts = subject.reference.split("/_history/")[0].split("/")
        return parts[-2:] == ["Patient", self.patient_id]

    def gap(self, fact: str, reference: str, reason: str, **more: Any) -> None:
        """Note a value that could not be used, once per fact."""
        self.gaps[DataGap(fact, reference, reason, **more)] = None

    def is_sound(self, record: wire.Record, fact: str, on: PartialDate | None) -> bool:
        """Whether a record is about this patient and valid FHIR; otherwise a gap."""
        reference = reference_of(record)
        if not self.is_about_patient(record.patient or record.subject):
            self.gap(fact, reference, "other-patient", on=on)
            return False
        try:
            check_record(record)
        except NotReadable as error:
            self.gap(fact, reference, "malformed", on=on, shown=error.element)
            return False
        return True

    def measure(self, coded: Coded, quantity: str, fact: str) -> Measurement | None:
        """
        The value of an observation in the unit of its quantity.

        None, with a gap noted, when it cannot be read, converted or believed.
        """
        sent = coded.observation
        on = self.date_of(sent, fact)
        if on is None:
            return None
        reference, limits = reference_of(sent), self.tools.content.quantities[quantity]
        found = self._converted(sent, limits)
        if isinstance(found, Converted):
            found = self._doubt(coded, found, limits) or found
        if not isinstance(found, Converted):
            self.gap(fact, reference, found.reason, on=on, shown=found.shown)
            return None
        return Measurement(
            found.value, limits.unit, on, reference,
            parse_moment(sent.issued), parse_moment(coded.when), found.note,
        )  # fmt: skip

    def _converted(self, sent: wire.Observation, quantity: Quantity) -> Converted | _Doubt:
        """The number in our unit, or why there is none."""
        value = sent.valueQuantity
        if value is None or value.value is None:
            return _Doubt("no-value")
        if value.comparator:
            return _Doubt("bound")
        try:
            return self.tools.units.convert(value, quantity, self.tried_units)
        except UnknownUnit:
            unit = self.tools.units.unit_of(value)
            return _Doubt("unknown-unit", unit) if unit else _Doubt("no-unit")

    def _doubt(self, coded: Coded, found: Converted, limits: Quantity) -> _Doubt | None:
        """What speaks against a number: another patient, invalid FHIR, or plain impossibility."""
        if not self.is_about_patient(coded.observation.subject):
            return _Doubt("other-patient")
        try:
            check_observation(coded.observation, coded.coding)
        except NotReadable as error:
            return _Doubt("malformed", error.element)
        return None if limits.low <= found.value <= limits.high else _Doubt("implausible")

    def date_of(self, sent: wire.Observation, fact: str) -> PartialDate | None:
        """When an observation was made; a gap when that cannot be told or lies ahead."""
        text = sent.effectiveDateTime or sent.effectiveInstant
        period = sent.effectivePeriod
        on = parse_date(text) if text else None
        if text is None and period is not None:
            on = parse_span(period.start, period.end)
        if on is not None and on.first <= self.as_of + _AHEAD:
            return on
        reason = "future-date" if on else "unreadable-date" if text or period else "no-date"
        self.gap(fact, reference_of(sent), reason, on=on)
        return None

    def newest(self, found: Iterable[Coded], quantity: str, fact: str) -> Measurement | None:
        """The newest usable value, ties settled."""
        return next(self.series(found, quantity, fact), None)

    def series(
        self, found: Iterable[Coded], quantity: str, fact: str, since: date | None = None
    ) -> Iterator[Measurement]:
        """
        The usable values, newest first, one a day; those before `since` are not even looked at.

        Values are read when asked for: whoever wants only the newest pays for one.
        """
        exact: PartialDate | None = None
        for day in _by_day(found):
            if since is not None and exact is not None and day[0].when[:10] < since.isoformat():
                return
            values = [m for coded in day if (m := self.measure(coded, quantity, fact))]
            settled = self.settle(values, fact)
            if settled is None or self._order_is_unclear(settled, exact, fact):
                continue
            exact = exact or settled.on
            yield settled

    def _order_is_unclear(self, found: Measurement, newest: PartialDate | None, fact: str) -> bool:
        if newest is None or found.on.last <= newest.first:
            return False
        self.gap(fact, found.reference, "order-unclear", on=found.on)
        return True

    def settle(self, values: Sequence[Measurement], fact: str) -> Measurement | None:
        """
        The one value of a day: the later issued, or else the later taken.

        Two different values with the same time make a gap, and neither is used.
        """
        if len(values) < 2:
            return values[0] if values else None
        ordered = sorted(values, key=_moment, reverse=True)
        first = ordered[0]
        rivals = [v for v in ordered[1:] if _moment(v) == _moment(first)]
        if any(rival.value != first.value for rival in rivals):
            for value in (first, *rivals):
                self.gap(fact, value.reference, "contradictory", on=value.on)
            return None
        return first


def counts(sent: wire.Observation) -> bool:
    """Whether an observation is final and has a value at all."""
    absent = sent.dataAbsentReason
    return sent.status in _FINAL and (not absent or bytes(absent) == b"null")


def reference_of(sent: wire.Observation | wire.Condition | wire.Record) -> str:
    """How to find a resource again; an id that is none is not repeated."""
    identifier = sent.id if sent.id and _ID.fullmatch(sent.id) else "without usable id"
    kind = sent.resourceType or "Resource"
    return f"{kind}/{identifier}" if kind.isalpha() else f"Resource/{identifier}"


def part_of(decoder: msgspec.json.Decoder[P], raw: msgspec.Raw) -> P | None:
    """An element that was kept as it came; None if absent, or not of its type."""
    try:
        return decoder.decode(raw) if bytes(raw) not in (b"", b"null") else None
    except msgspec.ValidationError:
        return None


def newest_first(found: Iterable[Coded]) -> list[Coded]:
    """Sorted by when they were made."""
    return sorted(found, key=_WHEN, reverse=True)


def _by_day(found: Iterable[Coded]) -> Iterator[list[Coded]]:
    day: list[Coded] = []
    for coded in newest_first(found):
        if day and coded.when[:10] != day[0].when[:10]:
            yield day
            day = []
        day.append(coded)
    if day:
        yield day


def _moment(value: Measurement) -> tuple[float, float]:
    """Issued first: a corrected report of the same test is issued later."""
    issued = value.issued.timestamp() if value.issued else 0.0
    return issued, value.at.timestamp() if value.at else 0.0
