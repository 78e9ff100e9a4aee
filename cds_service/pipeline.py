"""One hook call, from its body to its cards, on one page."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from uuid import uuid4

from cds_service.content.model import Content
from cds_service.domain.outcomes import NotIndicated, Outcome, Recommended, Rule, Undetermined
from cds_service.domain.population import SETTLED
from cds_service.domain.snapshot import DataGap, Moment, PatientSnapshot
from cds_service.domain.thresholds import Thresholds
from cds_service.errors import CallError, ContentError
from cds_service.fhir.extraction import ANY_FACT, Extractor
from cds_service.fhir.extraction.coverage import facts_of
from cds_service.fhir.extraction.drafts import NO_DRAFTS, Drafts, read_drafts
from cds_service.fhir.extraction.person import check_patient
from cds_service.fhir.prefetch import Prefetch, is_sound, read_answers
from cds_service.hooks.cards import (
    FURTHER,
    NOT_MADE,
    Card,
    CardWriter,
    in_order_of_urgency,
)
from cds_service.hooks.catalogue import Service
from cds_service.hooks.profiles import DEFAULT, Profile
from cds_service.hooks.request import HookRequest, RequestReader
from cds_service.hooks.suggestions import Called
from cds_service.recommendations import (
    EVERY_RULE,
    RULES,
    review_unreadable_data,
    why_no_rule_applies,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one rule answered; `outcome` is None when the rule failed."""

    card: str
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The cards of a call, with all that led to them."""

    request: HookRequest[Prefetch]
    patient: PatientSnapshot
    judgements: tuple[Judgement, ...]
    cards: tuple[Card, ...]
    dangling: int = 0  # selections that point to no order


class Pipeline:
    """Answers hook calls with one set of content; `today` and `new_uuid` make it repeatable."""

    def __init__(
        self,
        content: Content,
        *,
        icon: str,
        max_cards: int,
        profile: Profile = DEFAULT,
        today: Callable[[], date] = date.today,
        new_uuid: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        """Prepare everything that does not depend on the patient."""
        self.content = content
        self.writer = CardWriter(content, icon, new_uuid, profile)
        self.today = today
        self._reader: RequestReader[Prefetch] = RequestReader(Prefetch, is_sound)
        self._extractor = Extractor(content)
        self._max_cards = max_cards
        self._asked: dict[str, frozenset[str]] = {}

    def answer(self, service: Service, body: bytes, as_of: date | None = None) -> Answer:
        """
        Answer one call; `as_of` overrides the day of the call.

        Raises CallError for a call that cannot be judged.
        """
        request = self._reader.read(body, service.hook)
        day = as_of or self.today()
        thresholds = self.content.thresholds_on(day)
        answers = read_answers(request.prefetch, service.required)
        check_patient(answers["patient"], request.patient_id)
        drafts = _drafts(request)
        patient = self._extractor.extract(
            answers, request.patient_id, thresholds, day, drafts, Moment(service.hook)
        )
        judgements = self._judge(patient, thresholds, day)
        cards: list[Card] = []
        if request.user_is_clinician:
            call = Called(request.patient_id, drafts.raw, self._asked_by(service))
            cards = self._cards(judgements, patient, thresholds, call)
        return Answer(request, patient, judgements, tuple(cards), drafts.dangling)

    def _judge(
        self, patient: PatientSnapshot, thresholds: Thresholds, day: date
    ) -> tuple[Judgement, ...]:
        barred = why_no_rule_applies(patient, thresholds, day)
        judgements = []
        for rule in RULES[patient.moment]:
            if barred is not None and rule.CARD not in barred[1]:
                judgements.append(Judgement(rule.CARD, NotIndicated((barred[0],), SETTLED)))
            else:
                judgements.append(_judge_one(rule, patient, thresholds, day))
        if all(judgement.outcome is None for judgement in judgements):
            raise CallError(500, "exception", "No recommendation could be judged.")
        if barred is None:
            unjudged = tuple(_unjudged(judgements))
            last = review_unreadable_data.recommend(unjudged)
            judgements.append(Judgement(review_unreadable_data.CARD, last))
        return tuple(judgements)

    def _cards(
        self,
        judgements: tuple[Judgement, ...],
        patient: PatientSnapshot,
        thresholds: Thresholds,
        call: Called,
    ) -> list[Card]:
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

    def _asked_by(self, service: Service) -> frozenset[str]:
        known = self._asked.get(service.id)
        if known is None:
            known = self._asked[service.id] = facts_of(service.prefetch)
        return known

    def _capped(self, cards: list[Card], thresholds: Thresholds) -> list[Card]:
        """No more than the maximum; the last card then names what is left out."""
        if len(cards) <= self._max_cards:
            return cards
        shown, rest = cards[: self._max_cards - 1], cards[self._max_cards - 1 :]
        titles = "; ".join(card["source"]["topic"]["display"] for card in rest)
        fills = {"count": str(len(rest)), "titles": titles}
        return [*shown, self.writer.write_notice(FURTHER, fills, thresholds)]


def _drafts(request: HookRequest[Prefetch]) -> Drafts:
    if request.draft_orders is None:
        return NO_DRAFTS
    return read_drafts(request.draft_orders, request.selections)


_READS = {rule.CARD: rule.READS for rule in EVERY_RULE} | {
    review_unreadable_data.CARD: frozenset[str]()
}


def _judge_one(
    rule: Rule, patient: PatientSnapshot, thresholds: Thresholds, day: date
) -> Judgement:
    """One rule; a rule that fails costs the clinician no other card."""
    try:
        outcome = rule.recommend(patient, thresholds, day)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other rules still stand
        log.error("rule failed", extra={"fields": {"rule": rule.CARD, **where_it_failed(error)}})
        return Judgement(rule.CARD, None)
    return Judgement(rule.CARD, _downgraded(rule, outcome, patient))


def where_it_failed(error: Exception) -> dict[str, str]:
    """The kind and place of an error, without its message, which may quote the record."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"
    return {"error": type(error).__name__, "at": place}


def _downgraded(rule: Rule, outcome: Outcome, patient: PatientSnapshot) -> Outcome:
    """Not indicated, or open, beside a fact that could not be read, is undetermined by it."""
    if isinstance(outcome, Recommended) or not patient.gaps:
        return outcome
    if isinstance(outcome, NotIndicated) and outcome.unless is not None:
        facts = outcome.unless
    else:
        facts = rule.READS | {ANY_FACT}
    gaps = tuple(gap for gap in patient.gaps if gap.fact in facts)
    if isinstance(outcome, Undetermined):
        return replace(outcome, gaps=(*outcome.gaps, *gaps))
    return Undetermined(tuple(sorted({gap.fact for gap in gaps})), gaps) if gaps else outcome


def _unjudged(judgements: list[Judgement]) -> Iterator[DataGap]:
    """The gaps that left a rule undetermined, each once."""
    seen: set[DataGap] = set()
    for judged in judgements:
        if isinstance(judged.outcome, Undetermined):
            for gap in judged.outcome.gaps:
                if gap not in seen:
                    seen.add(gap)
                    yield gap
