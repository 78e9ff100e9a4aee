"""One hook call, from its body to its cards, on one page."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from uuid import uuid4

from cds_service.composition import Composer, Judgement
from cds_service.content.model import Content
from cds_service.domain.course import Course
from cds_service.domain.outcomes import NotIndicated, Outcome, Recommended, Rule, Undetermined
from cds_service.domain.population import SETTLED
from cds_service.domain.snapshot import DataGap, Moment, PatientSnapshot
from cds_service.domain.thresholds import Thresholds
from cds_service.errors import CallError
from cds_service.fhir import prefetch
from cds_service.fhir.client import Server
from cds_service.fhir.completion import Completed, Completer, Source
from cds_service.fhir.extraction import ANY_FACT, Extractor
from cds_service.fhir.extraction.coverage import facts_of
from cds_service.fhir.extraction.drafts import NO_DRAFTS, Drafts, read_drafts
from cds_service.fhir.extraction.person import check_patient
from cds_service.fhir.prefetch import Prefetch, check_required, is_sound, read_answers
from cds_service.hooks.cards import Card, CardWriter
from cds_service.hooks.catalogue import Service
from cds_service.hooks.profiles import DEFAULT, PROFILES, Profile
from cds_service.hooks.request import HookRequest, RequestReader
from cds_service.hooks.suggestions import Called
from cds_service.recommendations import RULES, review_unreadable_data, why_no_rule_applies
from cds_service.trust.egress import Egress, Fetched, Wanted
from cds_service.trust.model import NOBODY, Caller, FhirServer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """
    Who calls, and when the call arrived, in seconds of `time.monotonic()`.

    `told` hears what was read from the FHIR server and how many milliseconds that took, also when
    the call is refused for want of it.
    """

    caller: Caller = NOBODY
    arrived: float = field(default_factory=time.monotonic)
    told: Callable[[Completed, float], None] = lambda *_: None


@dataclass(frozen=True, slots=True)
class Answer:
    """The cards of a call, with all that led to them."""

    request: HookRequest[Prefetch]
    patient: PatientSnapshot
    judgements: tuple[Judgement, ...]
    cards: tuple[Card, ...]
    dangling: int = 0  # selections that point to no order
    chart: Mapping[str, prefetch.Answer] = field(default_factory=dict, repr=False)


class Pipeline:
    """Answers hook calls with one set of content; `today` and `new_uuid` make it repeatable."""

    def __init__(
        self,
        content: Content,
        *,
        icon: str,
        max_cards: int,
        profile: Profile = DEFAULT,
        app_url: str | None = None,
        egress: Egress | None = None,
        deadline: float = 0.45,
        today: Callable[[], date] = date.today,
        new_uuid: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        """
        Prepare everything that does not depend on the patient.

        Without `egress` no FHIR server is read. `deadline` is in seconds from the arrival of a
        call. `app_url` is where our SMART app is launched.
        """
        self.content = content
        self._composers = {
            name: Composer(CardWriter(content, icon, new_uuid, known), max_cards)
            for name, known in PROFILES.items()
        }
        self.writer = self._composers[profile.name].writer
        self.today = today
        self._profile, self._egress, self._deadline = profile, egress, deadline
        self._app_url = app_url
        self._reader: RequestReader[Prefetch] = RequestReader(Prefetch, is_sound)
        self._completer = Completer()
        self._extractor = Extractor(content)
        self._asked: dict[str, frozenset[str]] = {}

    def answer(
        self, service: Service, body: bytes, as_of: date | None = None, call: Call | None = None
    ) -> Answer:
        """
        Answer one call; `as_of` overrides the day of the call.

        Raises CallError for a call that cannot be judged.
        """
        call = call or Call()
        request = self._reader.read(body, service.hook)
        day = as_of or self.today()
        thresholds = self.content.thresholds_on(day)
        drafts = _drafts(request)
        known = self._completed(service, request, drafts, call)
        check_required(known.answers, service.required, known.problems)
        check_patient(known.answers["patient"], request.patient_id)
        patient = self._extractor.extract(
            known.answers, request.patient_id, thresholds, day, drafts, Moment(service.hook)
        )
        judgements = self._judge(patient, thresholds, day)
        cards: list[Card] = []
        if request.user_is_clinician:
            server = call.caller.server_at(request.fhir_server)
            app = self._app_url if server and server.smart else None
            called = Called(request.patient_id, drafts.raw, self._asked_by(service), app)
            composer = self._composer_for(call.caller)
            cards = composer.cards(judgements, patient, thresholds, called)
        return Answer(request, patient, judgements, tuple(cards), drafts.dangling, known.answers)

    def course_of(self, answer: Answer, as_of: date) -> Course:
        """Every usable value over the years, of the chart that an answer was given to."""
        thresholds = self.content.thresholds_on(as_of)
        return self._extractor.course(answer.chart, answer.request.patient_id, thresholds, as_of)

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

    def _completed(
        self, service: Service, request: HookRequest[Prefetch], drafts: Drafts, call: Call
    ) -> Completed:
        """What was sent, and what the FHIR server adds to it, if this caller may name it."""
        answers = read_answers(request.prefetch)
        server = call.caller.server_at(request.fhir_server)
        if server is None or request.token is None or self._egress is None:
            return Completed(answers)
        source = self._source(server, request.token, call)
        ordered = [d.record for d in (*drafts.judged, *drafts.background) if d.record is not None]
        started = time.monotonic()
        known = self._completer.complete(
            answers, service.prefetch, service.required, request.patient_id, source, ordered
        )
        call.told(known, (time.monotonic() - started) * 1000)
        return known

    def _source(self, server: FhirServer, token: str, call: Call) -> Source:
        egress = self._egress

        def fetch(url: str, headers: Mapping[str, str], form: str | None, until: float) -> Fetched:
            assert egress is not None
            return egress.fetch(Wanted(url, headers, form, server.private), until)

        until = call.arrived + self._deadline
        return Source(
            Server(server.url, token, server.holds, fetch), until, server.post, server.version
        )

    def _composer_for(self, caller: Caller) -> Composer:
        """By the profile of the issuer, or else that of the settings."""
        profile = caller.issuer.client_profile if caller.issuer else None
        return self._composers[profile or self._profile.name]

    def _asked_by(self, service: Service) -> frozenset[str]:
        known = self._asked.get(service.id)
        if known is None:
            known = self._asked[service.id] = facts_of(service.prefetch)
        return known


def _drafts(request: HookRequest[Prefetch]) -> Drafts:
    if request.draft_orders is None:
        return NO_DRAFTS
    return read_drafts(request.draft_orders, request.selections)


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
