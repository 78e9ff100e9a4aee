"""The orders that a clinician is choosing or signing: `draftOrders` and `selections`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from cds_service.errors import CallError
from cds_service.fhir import wire
from cds_service.fhir.extraction.medications import local_reference
from cds_service.fhir.extraction.reading import reference_of

_JUDGED = frozenset({"MedicationRequest", "ServiceRequest"})
_BUNDLE = msgspec.json.Decoder(wire.RawBundle)
_RECORD = msgspec.json.Decoder(wire.Record)
_ANYTHING = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry of `draftOrders`; `record` is None when it could not be decoded."""

    reference: str
    kind: str
    record: wire.Record | None
    raw: bytes
    full_url: str | None


@dataclass(frozen=True, slots=True)
class Drafts:
    """
    The orders of one session.

    `judged` are those the question is about, `background` the others. `library` holds helper
    resources by every name they may be referred to. `dangling` counts selections that point to
    no order.
    """

    judged: tuple[Draft, ...] = ()
    background: tuple[Draft, ...] = ()
    library: Mapping[str, wire.Record] = field(default_factory=dict)
    dangling: int = 0

    @property
    def references(self) -> frozenset[str]:
        """Every order, judged or not: an earlier copy of it may be on the lists too."""
        return frozenset(draft.reference for draft in (*self.judged, *self.background))

    @property
    def raw(self) -> Mapping[str, bytes]:
        """The judged orders as they came, by their references."""
        return {draft.reference: draft.raw for draft in self.judged}


NO_DRAFTS = Drafts()


def read_drafts(sent: bytes, selections: Sequence[str] | None) -> Drafts:
    """
    The orders of a call; `selections` names those to be judged, None means all of them.

    Raises CallError (400) when `draftOrders` is no Bundle. Types that no rule judges are let go.
    """
    found = list(_drafts(sent))
    orders = [draft for draft in found if draft.kind in _JUDGED]
    library = dict(_library(found))
    if selections is None:
        return Drafts(tuple(orders), (), library)
    chosen = {local_reference(name) for name in selections}
    return Drafts(
        judged=tuple(draft for draft in orders if draft.reference in chosen),
        background=tuple(draft for draft in orders if draft.reference not in chosen),
        library=library,
        dangling=len(chosen - {draft.reference for draft in found}),
    )


def _drafts(sent: bytes) -> Iterator[Draft]:
    try:
        bundle = _BUNDLE.decode(sent)
    except msgspec.ValidationError:
        bundle = wire.RawBundle()
    if bundle.resourceType != "Bundle":
        text = "The call lacks a member, or one has a wrong form."
        raise CallError(400, "invalid", text, "context.draftOrders: expected a Bundle")
    for entry in bundle.entry:
        raw = bytes(entry.resource)
        if raw not in (b"", b"null"):
            yield _draft(raw, entry.fullUrl)


def _draft(raw: bytes, full_url: str | None) -> Draft:
    try:
        record = _RECORD.decode(raw)
    except msgspec.ValidationError:
        return _undecoded(raw, full_url)
    return Draft(reference_of(record), record.resourceType or "", record, raw, full_url)


def _undecoded(raw: bytes, full_url: str | None) -> Draft:
    """An order with an element of a wrong type: its type and id may still be told."""
    sent = _ANYTHING.decode(raw)
    members = sent if isinstance(sent, dict) else {}
    kind, name = (str(members.get(member) or "") for member in ("resourceType", "id"))
    reference = reference_of(wire.Record(resourceType=kind, id=name))
    return Draft(reference, kind, None, raw, full_url)


def _library(found: Sequence[Draft]) -> Iterator[tuple[str, wire.Record]]:
    for draft in found:
        if draft.kind == "Medication" and draft.record is not None:
            yield draft.reference, draft.record
            if draft.full_url:
                yield draft.full_url, draft.record
