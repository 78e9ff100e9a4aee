"""The size of the body, and of an angiomyolipoma."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import msgspec

from cds_service.domain.dosing import BodySurface, mosteller
from cds_service.domain.snapshot import Finding, Measurement
from cds_service.domain.thresholds import plain
from cds_service.fhir import wire
from cds_service.fhir.extraction.reading import (
    Coded,
    Observations,
    Reader,
    newest_first,
    part_of,
)
from cds_service.fhir.vocabulary import texts_of

Groups = Mapping[str, Observations]

_CONCEPT = msgspec.json.Decoder(wire.CodeableConcept)
_NOTES = msgspec.json.Decoder(tuple[wire.Annotation, ...])
_COMPONENTS = msgspec.json.Decoder(tuple[wire.Component, ...])
_TUMOUR = "angiomyolipoma"
# "4.2 cm", "42 mm", "3.1 x 2.8 cm"; not "< 3 cm", "no larger than 3 cm" or "3-4 cm"
_NUMBER = r"(\d{1,3}(?:[.,]\d+)?)"
_SIZE = re.compile(rf"(?<![\d.,<>≤≥~-])(?:{_NUMBER} ?(?:mm|cm)? ?[x\u00d7] ?)?{_NUMBER} ?(mm|cm)\b")
_NOT_A_SIZE = re.compile(
    r"[<>≤≥]|less than|smaller than|under|up to|below|above|more than|larger than|"
    r"greater than|no larger|threshold|if |was |prior|previous"
)


def read_body_surface(groups: Groups, reader: Reader) -> BodySurface | None:
    """
    The newest body surface area on record, or else that of the newest height and weight.

    Both must be recent; None when neither is known.
    """
    on_record = reader.newest(
        groups.get("body-surface-area", ()), "body-surface-area", "body_surface_area"
    )
    if on_record:
        return BodySurface(on_record.value, f"of {on_record.on}")
    height = reader.newest(groups.get("body-height", ()), "height", "body_surface_area")
    weight = reader.newest(groups.get("body-weight", ()), "body-weight", "body_surface_area")
    if height is None or weight is None:
        return None
    origin = (
        f"by Mosteller from {plain(height.value)} cm and {plain(weight.value)} kg of {weight.on}"
    )
    return BodySurface(mosteller(height.value, weight.value), origin)


def read_angiomyolipoma_size(groups: Groups, reader: Reader) -> Measurement | None:
    """The largest angiomyolipoma of the day of the newest measurement."""
    measured = _of_newest_day(groups.get("tumour-size", ()), reader)
    return max(measured, key=lambda size: size.value, default=None)


def size_in_diagnosis(found: Iterable[Finding]) -> Measurement | None:
    """The largest angiomyolipoma by the texts of the diagnoses."""
    sizes = [
        Measurement(f.size_cm, "cm", f.on, f.reference, note="from the text of the diagnosis")
        for f in found
        if f.size_cm is not None and f.on is not None
    ]
    return max(sizes, key=lambda size: size.value, default=None)


def _of_newest_day(found: Observations, reader: Reader) -> Iterator[Measurement]:
    day = None
    for coded in newest_first(found):
        if not _is_of_angiomyolipoma(coded.observation, reader):
            continue
        if day is not None and coded.when[:10] != day:
            return
        for part in _parts(coded):
            size = reader.measure(part, "tumour-size", "angiomyolipoma_size")
            if size is not None:
                day = coded.when[:10]
                yield size


def _is_of_angiomyolipoma(sent: wire.Observation, reader: Reader) -> bool:
    texts = [sent.code.text if sent.code else None]
    texts += [note.text for note in part_of(_NOTES, sent.note) or ()]
    site = part_of(_CONCEPT, sent.bodySite)
    texts += [texts_of(site)] if site else []
    code = wire.CodeableConcept(text=" | ".join(text for text in texts if text))
    return bool(reader.tools.vocabulary.mentioned(code, (_TUMOUR,)))


def _parts(coded: Coded) -> Iterator[Coded]:
    """The observation itself if it has a value, or else its components that are sizes."""
    sent = coded.observation
    if sent.valueQuantity is not None:
        yield coded
        return
    for part in part_of(_COMPONENTS, sent.component) or ():
        codings = part.code.coding if part.code else ()
        if part.valueQuantity is not None and any(c.code == "33728-7" for c in codings):
            copy = msgspec.structs.replace(sent, valueQuantity=part.valueQuantity)
            yield msgspec.structs.replace(coded, observation=copy)


def size_in(text: str) -> Decimal | None:
    """The longest diameter in cm that a text states; None when it states none, or a limit."""
    lower = text.lower()
    if ("cm" not in lower and "mm" not in lower) or _NOT_A_SIZE.search(lower):
        return None
    sizes = [
        max(Decimal((number or "0").replace(",", ".")) for number in found[:2])
        / (10 if found[2] == "mm" else 1)
        for found in _SIZE.findall(lower)
    ]
    return max(sizes, default=None)
