"""An outcome and its card content become a CDS Hooks card."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cds_service.content.check import LONGEST_SUMMARY, placeholders_of
from cds_service.content.model import CardContent, Content, DetailLine, Review
from cds_service.content.templates import Sentence, parse
from cds_service.domain.outcomes import Basis, Fills, Indicator, Line, Recommended, Said
from cds_service.domain.snapshot import DataGap, PatientSnapshot
from cds_service.domain.thresholds import Thresholds
from cds_service.errors import ContentError
from cds_service.hooks.inert import as_code
from cds_service.hooks.profiles import DEFAULT, Profile
from cds_service.hooks.suggestions import NO_CALL, Called, SuggestionWriter

TOPIC_SYSTEM = "urn:x-lam-tsc-cds:recommendation"
OVERRIDE_SYSTEM = "urn:x-lam-tsc-cds:override-reason"
FURTHER = "further-recommendations"
NOT_MADE = "check-not-made"
NOTICES = {
    FURTHER: Said(
        {"further": frozenset({"count"})},
        {"further": frozenset({"titles"})},
    ),
    NOT_MADE: Said(
        {"failed": frozenset[str]()},
        {"failed": frozenset({"titles"})},
    ),
}
_MOST_LISTED = 25  # a list that nobody reads to its end hides what it tells
_URGENCY = {Indicator.CRITICAL: 0, Indicator.WARNING: 1, Indicator.INFO: 2}

Card = dict[str, Any]


_NO_FILLS: Fills = {}


@dataclass(frozen=True, slots=True)
class _Shared:
    """What cards with the same lines share: nothing of a patient."""

    lines: tuple[DetailLine, ...]
    closing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A card whose thresholds are filled in for one day."""

    content: CardContent
    summaries: Mapping[str, Sentence]
    detail: tuple[DetailLine, ...]
    source: Mapping[str, Any]
    review: str
    known: dict[tuple[str, ...], _Shared] = field(default_factory=dict)

    def shared(
        self, said: tuple[str, ...], evidence: Callable[[CardContent, set[str]], str]
    ) -> _Shared:
        """The lines and the evidence of a card that says `said`; worked out once a day."""
        found = self.known.get(said)
        if found is None:
            names = set(said)
            lines = tuple(line for line in self.detail if line.id is None or line.id in names)
            closing = [evidence(self.content, names), self.review]
            found = self.known[said] = _Shared(lines, tuple(text for text in closing if text))
        return found


class CardWriter:
    """Writes the cards of one set of content; `icon` is the URL of our picture."""

    def __init__(
        self, content: Content, icon: str, new_uuid: Callable[[], str], profile: Profile = DEFAULT
    ) -> None:
        """Prepare what is the same on every card."""
        self._suggestions = SuggestionWriter(content, profile, new_uuid)
        self._profile = profile
        self._content = content
        self._icon = icon
        self._new_uuid = new_uuid
        self._overrides = [
            {"system": OVERRIDE_SYSTEM, "code": code, "display": display}
            for code, display in content.phrases.override_reasons.items()
        ]
        self._headings = {name: parse(t) for name, t in content.phrases.headings.items()}
        self._compiled: tuple[Thresholds | None, dict[str, _Compiled]] = (None, {})

    def write(
        self,
        outcome: Recommended,
        thresholds: Thresholds,
        patient: PatientSnapshot,
        reads: frozenset[str],
        call: Called = NO_CALL,
    ) -> Card:
        """
        One card, whole; `reads` are the facts that its rule reads.

        Raises ContentError rather than send a summary that is too long: cut short, half a
        clinical sentence can mean its opposite.
        """
        card = self._cards_for(thresholds)[outcome.card]
        summary = card.summaries[outcome.summary.id].fill(outcome.summary.fills)
        summary = summary[:1].upper() + summary[1:]  # it may begin with the name of a drug
        if len(summary) > LONGEST_SUMMARY:
            raise ContentError([f"{outcome.card}: a filled summary is too long"])
        told: Card = {"uuid": self._new_uuid()} if self._profile.feedback else {}
        offered = [s for s in outcome.suggestions if s.act not in patient.requested]
        told |= {
            "summary": summary,
            "indicator": (outcome.indicator or card.content.indicator).value,
            "detail": "\n\n".join(self._detail(card, outcome, thresholds, patient, reads, call)),
            "source": card.source,
        }
        if offered:
            told |= self._suggestions.write(offered, call)
        if call.app and self._profile.smart_links:
            told["links"] = [self._app_link(call.app, outcome.card)]
        return told | ({"overrideReasons": self._overrides} if self._profile.feedback else {})

    def _app_link(self, url: str, card: str) -> dict[str, str]:
        """The link to the SMART app; its context names the recommendation, and nobody."""
        label = self._content.phrases.headings["app-link"]
        context = json.dumps({"recommendation": card})
        return {"label": label, "url": url, "type": "smart", "appContext": context}

    def write_notice(self, notice: str, fills: Fills, thresholds: Thresholds) -> Card:
        """A card about the answer itself rather than about the patient."""
        (line,) = NOTICES[notice].summaries
        outcome = Recommended(notice, Line(line, fills), (), (Line(line, fills),))
        return self.write(outcome, thresholds, PatientSnapshot(), frozenset())

    def title_of(self, card: str) -> str:
        """What a card is called."""
        return self._content.cards[card].title

    def reasons(self, because: Iterable[Basis], thresholds: Thresholds) -> list[str]:
        """The reasons of an outcome as plain lines, for people who read a terminal."""
        return [self._basis(basis, thresholds) for basis in because]

    def gap_line(self, gap: DataGap) -> str:
        """One gap in words: which value, of when, what is wrong and what to correct."""
        phrases = self._content.phrases
        fact = phrases.facts.get(gap.fact, "a value of unknown kind")
        when = f" of {gap.on}" if gap.on else ""
        shown = f" ({as_code(gap.shown)})" if gap.shown else ""
        return f"{fact}{when}, {as_code(gap.reference)}: {phrases.gaps[gap.reason]}{shown}"

    def _cards_for(self, thresholds: Thresholds) -> dict[str, _Compiled]:
        day, compiled = self._compiled
        if day is not thresholds:
            compiled = dict(self._compile_all(thresholds))
            self._compiled = (thresholds, compiled)
        return compiled

    def _compile_all(self, thresholds: Thresholds) -> Iterator[tuple[str, _Compiled]]:
        words = {
            name: text for t in thresholds.values() for name, text in placeholders_of(t).items()
        }
        for card in (*self._content.cards.values(), *self._content.notices.values()):
            summaries = {name: text.fill_known(words) for name, text in card.summaries.items()}
            detail = [DetailLine(line.id, line.text.fill_known(words)) for line in card.detail]
            yield (
                card.id,
                _Compiled(
                    card, summaries, tuple(detail), self._source(card), self._review(card.review)
                ),
            )

    def _source(self, card: CardContent) -> dict[str, Any]:
        source = self._content.sources[card.source]
        topic = {"system": TOPIC_SYSTEM, "code": card.id, "display": card.title}
        return {"label": source.label, "url": source.url, "icon": self._icon, "topic": topic}

    def _review(self, review: Review) -> str:
        due = review.due.isoformat()
        if review.status == "awaiting":
            return f"*{self._phrase('awaiting', due=due)}*"
        return f"*{self._phrase('signed', by=review.by, on=str(review.on), due=due)}*"

    def _detail(
        self,
        card: _Compiled,
        outcome: Recommended,
        thresholds: Thresholds,
        patient: PatientSnapshot,
        reads: frozenset[str],
        call: Called,
    ) -> Iterator[str]:
        headings = self._content.phrases.headings
        shared = card.shared(tuple([line.id for line in outcome.lines]), self._evidence)
        fills = {line.id: line.fills for line in outcome.lines}
        yield from [line.text.fill(fills.get(line.id or "", _NO_FILLS)) for line in shared.lines]
        basis = self.reasons(outcome.because[:_MOST_LISTED], thresholds)
        left_out = len(outcome.because) - len(basis)
        if left_out:
            basis.append(self._phrase("more", count=str(left_out)))
        if basis:
            yield _list(headings["basis"], basis)
        requested = list(self._requested(outcome, patient))
        if requested:
            yield _list(headings["requested"], requested)
        unknown = list(self._unknown(outcome, patient, reads, call.asked))
        if unknown:
            yield _list(headings["unknown"], unknown)
        yield from shared.closing

    def _requested(self, outcome: Recommended, patient: PatientSnapshot) -> Iterator[str]:
        """What would have been offered, had it not been requested already."""
        for suggestion in outcome.suggestions:
            request = patient.requested.get(suggestion.act)
            if request:
                label = self._content.acts[suggestion.act].label.fill(_NO_FILLS)
                yield f"{label}: {as_code(request)}"

    def _basis(self, basis: Basis, thresholds: Thresholds) -> str:
        phrases = self._content.phrases
        label = phrases.labels[basis.label]
        shown = basis.value and basis.value != label
        parts = [f"{label}: **{basis.value}**" if shown else label]
        parts += [str(basis.on)] if basis.on else []
        parts += [phrases.how[basis.how]] if basis.how else []
        parts += [basis.note] if basis.note else []
        parts += [self._threshold(basis.threshold, thresholds)] if basis.threshold else []
        parts += [as_code(basis.reference)] if basis.reference else []
        return ", ".join(parts)

    def _threshold(self, name: str, thresholds: Thresholds) -> str:
        limit = thresholds[name]
        return self._phrase("threshold", threshold=str(limit), source=self._link(limit.source))

    def _link(self, name: str) -> str:
        source = self._content.sources[name]
        return f"[{source.label}]({source.url})"

    def _unknown(
        self,
        outcome: Recommended,
        patient: PatientSnapshot,
        reads: frozenset[str],
        asked: frozenset[str],
    ) -> Iterator[str]:
        facts = reads | {"*"}
        gaps = outcome.gaps or [gap for gap in patient.gaps if gap.fact in facts]
        yield from map(self.gap_line, gaps[:_MOST_LISTED])
        if len(gaps) > _MOST_LISTED:
            yield self._phrase("more", count=str(len(gaps) - _MOST_LISTED))
        for heading, facts in (
            ("not-sent", patient.unavailable & reads & asked),
            ("first-page", patient.partial & reads & asked),
        ):
            if facts:
                names = sorted({self._content.phrases.facts[fact] for fact in facts})
                yield self._phrase(heading, facts=", ".join(names))

    def _evidence(self, card: CardContent, said: set[str]) -> str:
        """The list of what supports the lines that are said; empty when nothing does."""
        items = list(self._grades(card, said))
        return _list(self._content.phrases.headings["evidence"], items) if items else ""

    def _grades(self, card: CardContent, said: set[str]) -> Iterator[str]:
        for grade in card.grades:
            if not grade.lines or said & set(grade.lines):
                yield self._phrase(
                    "graded" if grade.strength else "ungraded",
                    statement=grade.statement,
                    strength=grade.strength,
                    certainty=grade.certainty,
                    kind=grade.kind,
                    source=self._link(grade.source),
                )

    def _phrase(self, heading: str, **fills: str | None) -> str:
        known = {name: text for name, text in fills.items() if text is not None}
        return self._headings[heading].fill(known)


def in_order_of_urgency(cards: Sequence[Card]) -> list[Card]:
    """Most urgent first; within one urgency the order of the rules stays."""
    return sorted(cards, key=lambda card: _URGENCY[Indicator(card["indicator"])])


def _list(heading: str, items: Iterable[str]) -> str:
    return "\n".join([f"**{heading}**", "", *(f"- {item}" for item in items)])
