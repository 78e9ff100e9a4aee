"""From what the rules answered to the cards of one answer: written, sorted, and capped."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from cds_service.domain.outcomes import Outcome, Recommended
from cds_service.domain.snapshot import PatientSnapshot
from cds_service.domain.thresholds import Thresholds
from cds_service.errors import ContentError
from cds_service.hooks.cards import (
    FURTHER,
    NOT_MADE,
    Card,
    CardWriter,
    in_order_of_urgency,
)
from cds_service.hooks.suggestions import Called
from cds_service.recommendations import EVERY_RULE, review_unreadable_data

log = logging.getLogger(__name__)

_READS = {rule.CARD: rule.READS for rule in EVERY_RULE} | {
    review_unreadable_data.CARD: frozenset[str]()
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one rule answered; `outcome` is None when the rule failed."""

    card: str
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Composer:
    """Composes answers of at most `most` cards with one writer."""

    writer: CardWriter
    most: int

    def cards(
        self,
        judgements: tuple[Judgement, ...],
        patient: PatientSnapshot,
        thresholds: Thresholds,
        call: Called,
    ) -> list[Card]:
        """The cards, most urgent first; the last one names what could not be made or shown."""
        written, failed = self._written(judgements, patient, thresholds, call)
        cards = in_order_of_urgency(written)
        if failed:
            notice = {"titles": ", ".join(failed)}
            cards.append(self.writer.write_notice(NOT_MADE, notice, thresholds))
        return self._capped(cards, thresholds)

    def _written(
        self,
        judgements: tuple[Judgement, ...],
        patient: PatientSnapshot,
        thresholds: Thresholds,
        call: Called,
    ) -> tuple[list[Card], list[str]]:
        """The cards, and the titles of those that could not be judged or written."""
        cards: list[Card] = []
        failed: list[str] = []
        for judged in judgements:
            outcome = judged.outcome
            if isinstance(outcome, Recommended):
                try:
                    reads = _READS[judged.card]
                    cards.append(self.writer.write(outcome, thresholds, patient, reads, call))
                except ContentError:
                    log.error("card not written", extra={"fields": {"rule": judged.card}})
                    failed.append(self.writer.title_of(judged.card))
            elif outcome is None:
                failed.append(self.writer.title_of(judged.card))
        return cards, failed

    def _capped(self, cards: list[Card], thresholds: Thresholds) -> list[Card]:
        """No more than the maximum; the last card then names what is left out."""
        if len(cards) <= self.most:
            return cards
        shown, rest = cards[: self.most - 1], cards[self.most - 1 :]
        titles = "; ".join(card["source"]["topic"]["display"] for card in rest)
        fills = {"count": str(len(rest)), "titles": titles}
        return [*shown, self.writer.write_notice(FURTHER, fills, thresholds)]
