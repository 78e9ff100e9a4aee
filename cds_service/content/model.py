"""The clinical content as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from re import Pattern
from typing import Any

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
    question: Sentence | None = None
    criteria: tuple[Sentence, ...] = ()
    not_covered: tuple[Sentence, ...] = ()


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
    `names` says what each code names; those in `categories` stand for all ICD codes below them.
    `is_drug` marks the value sets in which products are looked up by their ingredients.
    """

    id: str
    title: str
    codes: frozenset[tuple[str, str]]
    needs_text: frozenset[tuple[str, str]]
    text: Pattern[str] | None
    text_not: Pattern[str] | None
    text_alone: bool
    names: Mapping[tuple[str, str], str] = field(default_factory=dict)
    categories: frozenset[str] = frozenset()
    is_drug: bool = False


@dataclass(frozen=True, slots=True)
class Product:
    """
    A drug product of RxNorm, by the names of its ingredients.

    `mg` is the strength of one tablet or of one mL, as `per` tells; empty where no dose is read.
    """

    code: str
    name: str
    ingredients: tuple[str, ...]
    mg: str
    per: str


@dataclass(frozen=True, slots=True)
class Act:
    """
    An act that a card may offer to draft: `type` is create, update or delete.

    `label` is what the button says, `description` what will happen. `resource` holds the elements
    of a new order, or those an update replaces; `codes` are all codings in it.
    """

    id: str
    type: str
    label: Sentence
    description: Sentence
    resource: Mapping[str, Any]
    codes: frozenset[tuple[str, str]]


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
    code_system_names: Mapping[str, str]
    quantities: Mapping[str, Quantity]
    unit_aliases: Mapping[str, str]
    sources: Mapping[str, Source]
    phrases: Phrases
    products: Mapping[str, Product]  # by RxNorm code
    acts: Mapping[str, Act]
    reference_tables: Mapping[str, ReferenceTable]  # "fev1" in L, "fev1-fvc" as a fraction
    version: str  # changes with every change of a file, so that an answer can be traced to it
    _in_force: dict[date, Thresholds] = field(default_factory=dict, repr=False, compare=False)

    def thresholds_on(self, as_of: date) -> Thresholds:
        """The thresholds in force on a day; worked out once a day."""
        found = self._in_force.get(as_of)
        if found is None:
            found = {name: history.on(as_of) for name, history in self.thresholds.items()}
            self._in_force.clear()  # one day at a time: memory stays flat
            self._in_force[as_of] = found
        return found
