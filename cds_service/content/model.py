"""The clinical content as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from re import Pattern

from cds_service.content.templates import Sentence
from cds_service.domain.outcomes import Indicator
from cds_service.domain.spirometry import ReferenceTable
from cds_service.domain.thresholds import Comparison, Threshold, Thresholds


@dataclass(frozen=True, slots=True)
class Source:
    """A guideline, trial or label; `read` says what of it was opened."""

    id: str
    label: str
    citation: str
    url: str
    read: str


@dataclass(frozen=True, slots=True)
class Review:
    """Whether a clinician has signed a piece of content, and when it is due again."""

    status: str  # "awaiting" or "signed"
    due: date
    by: str | None = None
    on: date | None = None


@dataclass(frozen=True, slots=True)
class Grade:
    """How strongly a statement is recommended, for the lines of a card it supports."""

    lines: tuple[str, ...]  # empty: always
    statement: str
    source: str
    strength: str | None = None  # "strong" or "conditional", with its certainty, as in GRADE
    certainty: str | None = None
    kind: str | None = None  # of evidence that carries no grade: "product information"


@dataclass(frozen=True, slots=True)
class DetailLine:
    """A paragraph of a card; without an id it is always shown."""

    id: str | None
    text: Sentence


@dataclass(frozen=True, slots=True)
class CardContent:
    """What a clinician reads on a card."""

    id: str
    title: str
    indicator: Indicator
    summaries: Mapping[str, Sentence]
    detail: tuple[DetailLine, ...]
    source: str
    grades: tuple[Grade, ...]
    review: Review


@dataclass(frozen=True, slots=True)
class DatedValue:
    """The value of a threshold from a date on."""

    since: date
    low: Decimal
    high: Decimal
    source: str


@dataclass(frozen=True, slots=True)
class ThresholdHistory:
    """A threshold with all the values it has had."""

    id: str
    label: str
    unit: str
    comparison: Comparison
    values: tuple[DatedValue, ...]
    status: str  # "verified", "partly-verified" or "house-choice"
    note: str
    review: Review

    def on(self, as_of: date) -> Threshold:
        """The value in force: the latest one not after `as_of`, or else the earliest."""
        known = [value for value in self.values if value.since <= as_of]
        value = known[-1] if known else self.values[0]
        return Threshold(
            self.id, self.label, self.unit, self.comparison, value.low, value.high, value.source
        )


@dataclass(frozen=True, slots=True, eq=False)
class Concept:
    """
    A value set: which codes mean one clinical concept.

    `codes` are (system, code) pairs; those in `needs_text` count only beside a text that matches
    `text`. `text_alone` tells whether the text counts without any code; `text_not` bars a match.
    """

    id: str
    title: str
    codes: frozenset[tuple[str, str]]
    needs_text: frozenset[tuple[str, str]]
    text: Pattern[str] | None
    text_not: Pattern[str] | None
    text_alone: bool


@dataclass(frozen=True, slots=True)
class Quantity:
    """
    The one unit used inside for a kind of value, and how sent values are brought to it.

    `fraction_up_to` marks a share sent as a fraction, `milli_above` a volume sent in thousandths,
    `per_nmol` the mass (in `unit`) of one nmol/L.
    """

    id: str
    label: str
    unit: str
    low: Decimal
    high: Decimal
    fraction_up_to: Decimal | None = None
    milli_above: Decimal | None = None
    nmol_per_unit: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Phrases:
    """The fixed words that every card shares."""

    headings: Mapping[str, str]
    labels: Mapping[str, str]
    how: Mapping[str, str]
    gaps: Mapping[str, str]
    facts: Mapping[str, str]
    override_reasons: Mapping[str, str]


@dataclass(frozen=True)
class Content:
    """All of `cards/`, checked."""

    cards: Mapping[str, CardContent]
    notices: Mapping[str, CardContent]
    thresholds: Mapping[str, ThresholdHistory]
    concepts: Mapping[str, Concept]
    code_systems: Mapping[str, str]  # alias -> canonical system
    quantities: Mapping[str, Quantity]
    unit_aliases: Mapping[str, str]
    sources: Mapping[str, Source]
    phrases: Phrases
    reference_table: ReferenceTable
    _in_force: dict[date, Thresholds] = field(default_factory=dict, repr=False, compare=False)

    def thresholds_on(self, as_of: date) -> Thresholds:
        """The thresholds in force on a day; worked out once a day."""
        found = self._in_force.get(as_of)
        if found is None:
            found = {name: history.on(as_of) for name, history in self.thresholds.items()}
            self._in_force.clear()  # one day at a time: memory stays flat
            self._in_force[as_of] = found
        return found
