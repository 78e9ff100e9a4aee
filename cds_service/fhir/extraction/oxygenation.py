"""Oxygen saturation and arterial oxygen tension, with the context each was read in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal

import msgspec

from cds_service.domain.dates import add_months
from cds_service.domain.snapshot import Activity, InspiredAir, Oxygenation
from cds_service.errors import UnknownUnit
from cds_service.fhir import wire
from cds_service.fhir.dates import parse_moment
from cds_service.fhir.extraction.reading import (
    Coded,
    Observations,
    Reader,
    newest_first,
    part_of,
)
from cds_service.fhir.vocabulary import texts_of

_CODES = {
    "saturation": (Activity.UNKNOWN, InspiredAir.UNKNOWN),
    "saturation-rest": (Activity.REST, InspiredAir.UNKNOWN),
    "saturation-room-air": (Activity.UNKNOWN, InspiredAir.ROOM_AIR),
    "saturation-exertion": (Activity.EXERTION, InspiredAir.UNKNOWN),
    "saturation-after-exercise": (Activity.AFTER_EXERCISE, InspiredAir.UNKNOWN),
}
_ROOM_AIR_PERCENT = Decimal(21)
_AFTER = re.compile(r"\b(post|after|recover\w*)[- ]*(exercise|exertion|walk\w*)?", re.IGNORECASE)
_EXERTION = re.compile(r"\b(exerci|exert|walk|6 ?mwt|ambulat|treadmill|stair)", re.IGNORECASE)
_REST = re.compile(r"\b(rest|resting|sitting|seated)\b", re.IGNORECASE)
_SLEEP = re.compile(r"\b(sleep|asleep|nocturnal|overnight)", re.IGNORECASE)
_ROOM_AIR = re.compile(r"\b(room air|ambient air|on ra)\b", re.IGNORECASE)
_OXYGEN = re.compile(r"\b(nasal cannula|supplemental|on (o2|oxygen)|\d+ ?l(/| ?p)m)", re.IGNORECASE)

_NOTES = msgspec.json.Decoder(tuple[wire.Annotation, ...])
_CONCEPT = msgspec.json.Decoder(wire.CodeableConcept)
_CONCEPTS = msgspec.json.Decoder(tuple[wire.CodeableConcept, ...])
_COMPONENTS = msgspec.json.Decoder(tuple[wire.Component, ...])
_ANY_TAG = re.compile(  # one search for the many readings without any tag
    "|".join(p.pattern for p in (_AFTER, _EXERTION, _REST, _SLEEP, _ROOM_AIR, _OXYGEN)),
    re.IGNORECASE,
)

Groups = Mapping[str, Observations]
Context = tuple[Activity, InspiredAir]


def read_saturations(groups: Groups, reader: Reader) -> tuple[Oxygenation, ...]:
    """
    The readings that can decide anything: the newest of each context, and every low one.

    In-patient charts hold thousands of readings; older normal ones cannot change an answer.
    """
    since = add_months(reader.as_of, -reader.thresholds["recent-measurement"].number)
    oldest = since.isoformat()
    contexts: dict[Context, list[Coded]] = {}
    flows = _Flows(groups, reader)
    for name, start in _CODES.items():
        for coded in groups.get(name, ()):
            if coded.when < oldest and coded.when[4:5] == "-":
                continue  # too old for every rule
            context = _context(coded, start, flows, reader)
            contexts.setdefault(context, []).append(coded)
    found = [o for c, group in contexts.items() for o in _deciding(c, group, since, reader)]
    return tuple(sorted(found, key=_recency, reverse=True))


def read_all_saturations(groups: Groups, reader: Reader) -> tuple[Oxygenation, ...]:
    """Every usable saturation of each context, one a day, oldest first; whatever its age."""
    contexts: dict[Context, list[Coded]] = {}
    flows = _Flows(groups, reader)
    for name, start in _CODES.items():
        for coded in groups.get(name, ()):
            contexts.setdefault(_context(coded, start, flows, reader), []).append(coded)
    found = [
        Oxygenation(measured, *context)
        for context, group in contexts.items()
        for measured in reader.series(group, "saturation", "saturation")
    ]
    return tuple(sorted(found, key=_recency))


def read_pao2(groups: Groups, reader: Reader) -> tuple[Oxygenation, ...]:
    """The newest arterial tension of each context."""
    contexts: dict[Context, list[Coded]] = {}
    flows = _Flows(groups, reader)
    for coded in groups.get("pao2", ()):
        context = _context(coded, (Activity.UNKNOWN, InspiredAir.UNKNOWN), flows, reader)
        contexts.setdefault(context, []).append(coded)
    found = []
    for (activity, air), group in contexts.items():
        measured = reader.newest(group, "pao2", "pao2")
        if measured:
            found.append(Oxygenation(measured, activity, air))
    return tuple(sorted(found, key=_recency, reverse=True))


def _recency(reading: Oxygenation) -> tuple[date, float, bool]:
    """By day and time; of two with the same time the one that states its context comes first."""
    at = reading.measured.at
    stated = reading.activity is Activity.REST or reading.air is InspiredAir.ROOM_AIR
    return reading.measured.on.last, at.timestamp() if at else 0.0, stated


def _deciding(
    context: Context, group: list[Coded], since: date, reader: Reader
) -> Iterator[Oxygenation]:
    """The newest reading, then those that are low by the looks of their raw number."""
    recent = newest_first(group)
    newest = reader.newest(recent, "saturation", "saturation")
    if newest is None:
        return
    yield Oxygenation(newest, *context)
    older = [coded for coded in recent if coded.when[:10] < newest.on.first.isoformat()]
    for measured in reader.series(filter(_looks_low, older), "saturation", "saturation", since):
        yield Oxygenation(measured, *context)


def _looks_low(coded: Coded) -> bool:
    """Below the highest limit of any rule, as a percentage or as a fraction."""
    quantity = coded.observation.valueQuantity
    value = quantity.value if quantity else None
    return value is None or value <= 0.91 or 1 < value < 91


def _context(coded: Coded, start: Context, flows: _Flows, reader: Reader) -> Context:
    """What the code says, then what is tagged, then an oxygen flow of the same time."""
    activity, air = start
    sent = coded.observation
    tags = _tags(sent)
    if not _ANY_TAG.search(tags):
        tags = ""
    if activity is Activity.UNKNOWN and tags:
        activity = activity_in(tags)
    delivered = _delivered(part_of(_COMPONENTS, sent.component) or (), reader)
    if delivered is None:
        delivered = flows.given_at(coded)
    if delivered is not None:
        air = InspiredAir.OXYGEN if delivered else InspiredAir.ROOM_AIR
    elif air is InspiredAir.UNKNOWN and tags:
        air = air_in(tags)
    return activity, air


def _tags(sent: wire.Observation) -> str:
    """Every text in which a site may say how a reading was taken."""
    parts = [sent.code.text if sent.code else None]
    parts += [note.text for note in part_of(_NOTES, sent.note) or ()]
    parts += [texts_of(category) for category in part_of(_CONCEPTS, sent.category) or ()]
    method = part_of(_CONCEPT, sent.method)
    parts += [texts_of(method)] if method else []
    for component in part_of(_COMPONENTS, sent.component) or ():
        parts.append(component.valueString)
        answer = component.valueCodeableConcept
        parts += [texts_of(answer)] if answer else []
    return " | ".join(part for part in parts if part)


def activity_in(text: str) -> Activity:
    """The one activity that a text names; unknown when it names none, or two."""
    if _AFTER.search(text) and _EXERTION.search(text):
        return Activity.AFTER_EXERCISE
    tests = ((Activity.EXERTION, _EXERTION), (Activity.REST, _REST), (Activity.SLEEP, _SLEEP))
    named = [activity for activity, pattern in tests if pattern.search(text)]
    return named[0] if len(named) == 1 else Activity.UNKNOWN


def air_in(text: str) -> InspiredAir:
    """Room air or oxygen if a text names just one of them."""
    room, oxygen = bool(_ROOM_AIR.search(text)), bool(_OXYGEN.search(text))
    if room == oxygen:
        return InspiredAir.UNKNOWN
    return InspiredAir.OXYGEN if oxygen else InspiredAir.ROOM_AIR


def _delivered(components: tuple[wire.Component, ...], reader: Reader) -> bool | None:
    """Whether the components tell that oxygen was given; None when they say nothing."""
    answers = [
        _is_oxygen(concept.id, part.valueQuantity, reader)
        for part in components
        for concept in reader.tools.vocabulary.coded(part.code)
    ]
    known = [answer for answer in answers if answer is not None]
    return any(known) if known else None


def _is_oxygen(concept: str, sent: wire.Quantity | None, reader: Reader) -> bool | None:
    """A flow above zero, or a concentration above that of air."""
    names = {
        "inhaled-oxygen-flow": ("oxygen-flow", Decimal(0)),
        "inhaled-oxygen-concentration": ("oxygen-concentration", _ROOM_AIR_PERCENT),
    }
    if concept not in names or sent is None or sent.value is None:
        return None
    quantity, limit = names[concept]
    try:
        target = reader.tools.content.quantities[quantity]
        found = reader.tools.units.convert(sent, target, reader.tried_units)
    except UnknownUnit:
        return sent.value > 0 if quantity == "oxygen-flow" else None
    return found.value > limit


class _Flows:
    """
    Oxygen flows and concentrations charted as observations of their own, ready to be looked up.

    In-patient charts hold hundreds of them beside thousands of saturations: holding each against
    each would take seconds.
    """

    def __init__(self, groups: Groups, reader: Reader) -> None:
        self._span = reader.thresholds["oxygen-same-time"].number * 60
        self._timed: dict[int, list[tuple[float, bool]]] = {}
        self._untimed: dict[str, list[bool]] = {}
        self._by_day: dict[str, list[bool]] = {}
        for name in ("inhaled-oxygen-flow", "inhaled-oxygen-concentration"):
            for coded in groups.get(name, ()):
                self._add(name, coded, reader)

    def _add(self, name: str, coded: Coded, reader: Reader) -> None:
        sent = coded.observation
        given = _is_oxygen(name, sent.valueQuantity, reader)
        if given is None or not coded.when or not reader.is_about_patient(sent.subject):
            return
        self._by_day.setdefault(coded.when[:10], []).append(given)
        at = parse_moment(coded.when)
        if at is None:
            self._untimed.setdefault(coded.when[:10], []).append(given)
        else:
            second = at.timestamp()
            self._timed.setdefault(int(second // self._span), []).append((second, given))

    def given_at(self, coded: Coded) -> bool | None:
        """Whether oxygen was given at the time of a reading; any oxygen outweighs a zero."""
        if not self._by_day:
            return None
        at = parse_moment(coded.when)
        if at is None:
            given = self._by_day.get(coded.when[:10], [])
        else:
            given = [*self._untimed.get(coded.when[:10], ()), *self._near(at.timestamp())]
        return any(given) if given else None

    def _near(self, second: float) -> Iterator[bool]:
        """What was charted within minutes: in the same stretch of time or a neighbouring one."""
        stretch = int(second // self._span)
        for place in (stretch - 1, stretch, stretch + 1):
            for other, given in self._timed.get(place, ()):
                if abs(second - other) <= self._span:
                    yield given
