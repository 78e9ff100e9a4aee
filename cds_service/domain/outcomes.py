"""What a rule answers: recommended, not indicated, or undetermined; each with its reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import NamedTuple, Protocol

from cds_service.domain.dates import PartialDate
from cds_service.domain.snapshot import DataGap, PatientSnapshot
from cds_service.domain.thresholds import Thresholds


class Indicator(StrEnum):
    """The urgency of a card, in the words of CDS Hooks."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Basis:
    """
    One thing on record that an answer rests on.

    `label` and `how` are keys of `cards/phrases.json`, `value` the value with its unit,
    `threshold` the id of the threshold it was held against.
    """

    label: str
    value: str = ""
    on: PartialDate | None = None
    how: str | None = None
    threshold: str | None = None
    reference: str | None = None
    note: str | None = None


Fills = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the card's content to be said, with the values for its placeholders."""

    id: str
    fills: Fills = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """
    An act that the clinician can take over with one click.

    `act` names a file of `cards/acts/`; `draft` is the order it changes, `reasons` are the
    Conditions (references) that justify a new one. Suggestions about one draft exclude each other.
    `drug` is what that order is for. `advised` is false where the choice is the clinician's alone.
    """

    act: str
    draft: str | None = None
    drug: str = ""
    reasons: tuple[str, ...] = ()
    advised: bool = True


@dataclass(frozen=True, slots=True)
class Recommended:
    """The act is advised; `summary` and `lines` name texts of the card content."""

    card: str
    summary: Line
    because: tuple[Basis, ...]
    lines: tuple[Line, ...] = ()
    indicator: Indicator | None = None  # None: the one in the card content
    gaps: tuple[DataGap, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()


@dataclass(frozen=True, slots=True)
class NotIndicated:
    """
    The act is not advised, for the reasons named.

    `unless` names the facts whose unreadable values could still overturn the answer; None means
    any fact the rule reads. A sign that is there (she takes the drug) leaves nothing open.
    """

    because: tuple[Basis, ...]
    unless: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Undetermined:
    """The question stays open: `missing` names the facts that would decide it."""

    missing: tuple[str, ...]
    gaps: tuple[DataGap, ...] = ()


Outcome = Recommended | NotIndicated | Undetermined


Texts = Mapping[str, frozenset[str]]  # ids of texts with the placeholders that are filled


class Said(NamedTuple):
    """All that may stand on a card: its summaries and lines, and the acts it may suggest."""

    summaries: Texts
    lines: Texts
    acts: frozenset[str] = frozenset()


class Rule(Protocol):
    """
    The shape of a module in `recommendations`.

    `SUMMARIES` and `LINES` list every text the rule may use with the placeholders it fills, so
    that content can be checked against the rule before anyone is shown a card.
    """

    @property
    def CARD(self) -> str:  # noqa: N802 - a constant of the module
        """The id of the recommendation and of its card content."""

    @property
    def READS(self) -> frozenset[str]:  # noqa: N802
        """The fields of the snapshot that the answer depends on."""

    @property
    def SUMMARIES(self) -> Mapping[str, frozenset[str]]:  # noqa: N802
        """The summaries it may choose, with their placeholders."""

    @property
    def LINES(self) -> Mapping[str, frozenset[str]]:  # noqa: N802
        """The lines of detail it may choose, with their placeholders."""

    @property
    def ACTS(self) -> frozenset[str]:  # noqa: N802
        """The acts it may suggest."""

    def recommend(self, patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:
        """Judge one patient."""
