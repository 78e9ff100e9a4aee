"""Reads from the FHIR server what the prefetch lacks: absent keys, further pages, medications."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote

import msgspec

from cds_service.fhir import wire
from cds_service.fhir.client import FhirClient, Query, Read, Server
from cds_service.fhir.extraction.medications import library_of, local_reference, unresolved
from cds_service.fhir.prefetch import Answer, State, joined, read_answer
from cds_service.fhir.versions import Versions

_MOST_MEDICATIONS = 40
_LISTS = ("medicationRequests", "medicationStatements")
_MEDICATION = msgspec.json.Decoder(wire.Record)
_PATIENT_TOKEN = "{{context.patientId}}"  # noqa: S105 - a token of a template, not a secret


@dataclass(frozen=True, slots=True)
class Source:
    """
    The FHIR server of a call, and how it is to be read.

    `version` is what is known of it beforehand; `until` a moment of `time.monotonic()`.
    """

    server: Server
    until: float
    post: bool = False
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """The answers with what could be read, and a word for each key that could not."""

    answers: Mapping[str, Answer]
    read: tuple[str, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)


class Completer:
    """Completes the answers of calls; one for a process."""

    def __init__(self) -> None:
        """Keep one client, and what is known of the servers."""
        self._client, self._versions = FhirClient(), Versions()

    def complete(
        self,
        answers: Mapping[str, Answer],
        templates: Mapping[str, str],
        required: frozenset[str],
        patient_id: str,
        source: Source,
        drafts: Iterable[wire.Record] = (),
    ) -> Completed:
        """
        Read what was not sent, from the same templates that discovery offers.

        What the client tried and failed to read is not tried again. Raises CallError (412) when
        the server speaks a version of FHIR that is not read.
        """
        wanted = {key: Query(_filled(template, patient_id), source.post)
                  for key, template in templates.items()
                  if answers[key].state is State.ABSENT}  # fmt: skip
        links = {key: answers[key].more or "" for key in templates
                 if answers[key].state is State.PARTIAL}  # fmt: skip
        told = self._versions.ask(source.server, source.version) if wanted or links else None
        found = self._client.read(source.server, wanted, links, source.until)
        problems = {key: read.problem for key, read in found.items() if read.problem}
        if told:
            told.check(source.until if problems.keys() & required else 0.0)
        merged = {**answers, **{key: _merged(key, answers[key], found[key]) for key in found}}
        self._add_medications(merged, source, drafts)
        problems |= {key: "not-fhir" for key in wanted
                     if key not in problems and merged[key].state in _UNUSABLE}  # fmt: skip
        return Completed(merged, tuple(found), problems)

    def _add_medications(
        self, answers: dict[str, Answer], source: Source, drafts: Iterable[wire.Record]
    ) -> None:
        """The drugs that orders and statements only refer to."""
        records = [record for key in _LISTS for record in answers[key].resources]
        records += drafts
        names = list(_readable(unresolved(records, library_of(records)), source.server))
        if not names:
            return
        queries = {name: Query(name) for name in names[:_MOST_MEDICATIONS]}
        found = self._client.read(source.server, queries, {}, source.until)
        medications = tuple(_medications(found))
        key = _LISTS[0]
        answers[key] = replace(answers[key], resources=(*answers[key].resources, *medications))


_UNUSABLE = (State.ABSENT, State.FAILED)


def _filled(template: str, patient_id: str) -> str:
    return template.replace(_PATIENT_TOKEN, quote(patient_id, safe=""))


def _merged(key: str, sent: Answer, read: Read) -> Answer:
    """What was sent, then the pages that were read; a failure leaves a beginning, or nothing."""
    pages = [_page(key, page) for page in read.pages]
    if any(page.state in _UNUSABLE for page in pages):
        return sent if sent.state is State.PARTIAL else Answer(State.FAILED)
    if sent.state is State.PARTIAL:
        pages = [sent, *pages]
    if not pages:
        return Answer(State.FAILED)
    return joined(pages, State.PARTIAL if read.problem else State.ANSWERED)


def _page(key: str, body: bytes) -> Answer:
    """One page; what is no JSON, or nested beyond reason, is no answer."""
    try:
        return read_answer(key, body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return Answer(State.FAILED)


def _readable(targets: Iterable[str], server: Server) -> Iterator[str]:
    """References below the server's base, as paths, each once."""
    seen: set[str] = set()
    for target in targets:
        name = local_reference(target)
        kind, _, identifier = name.partition("/")
        is_own = "://" not in target or server.holds(target)
        sound = kind == "Medication" and identifier == quote(identifier, safe="")
        if is_own and sound and identifier and name not in seen:
            seen.add(name)
            yield name


def _medications(found: Mapping[str, Read]) -> Iterator[wire.Record]:
    for name, read in found.items():
        for page in read.pages:
            try:
                record = _MEDICATION.decode(page)
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                continue
            if record.resourceType == "Medication" and f"Medication/{record.id}" == name:
                yield record
