"""Builds the typed content from the files, once, at start-up."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from cds_service.content.check import Says, check
from cds_service.content.files import Document, Files
from cds_service.content.model import (
    Act,
    CardContent,
    Concept,
    Content,
    DatedValue,
    DetailLine,
    Grade,
    Phrases,
    Quantity,
    Review,
    Source,
    ThresholdHistory,
)
from cds_service.content.templates import parse
from cds_service.content.value_set import extension, pairs, text_rule
from cds_service.domain.outcomes import Indicator
from cds_service.domain.thresholds import Comparison
from cds_service.errors import ContentError


def load_content(root: Path, says: Says) -> Content:
    """
    Load everything under `root`; `says` tells which texts each rule may use.

    Raises ContentError with one line per fault: bad content stops the start.
    """
    files = Files(root)
    faults = [*files.faults, *check(files, says)]
    if faults:
        raise ContentError(faults)
    return _build(files)


def _build(files: Files) -> Content:
    folders, quantities = files.folders, files.single["quantities"]
    return Content(
        cards={name: _card(doc) for name, doc in folders["recommendations"].items()},
        notices={name: _card(doc) for name, doc in folders["notices"].items()},
        thresholds={name: _threshold(doc) for name, doc in folders["thresholds"].items()},
        concepts={name: _concept(doc) for name, doc in folders["value_sets"].items()},
        code_systems=files.single["code-systems"]["aliases"],
        code_system_names=files.single["code-systems"]["systems"],
        quantities={q["id"]: _quantity(q) for q in quantities["quantities"]},
        unit_aliases=quantities["aliases"],
        sources={s["id"]: Source(**s) for s in files.single["sources"]["sources"]},
        phrases=Phrases(**files.single["phrases"]),
        products={product.code: product for product in files.products},
        acts={name: _act(doc) for name, doc in folders["acts"].items()},
        reference_tables=files.reference_tables,
        version=files.version,
    )


def _review(document: Document) -> Review:
    signed = document.get("on")
    return Review(
        status=document["status"],
        due=date.fromisoformat(document["due"]),
        by=document.get("by"),
        on=date.fromisoformat(signed) if signed else None,
    )


def _card(document: Document) -> CardContent:
    return CardContent(
        id=document["id"],
        title=document["title"],
        indicator=Indicator(document["indicator"]),
        summaries={name: parse(text) for name, text in document["summary"].items()},
        detail=tuple(_detail(line) for line in document["detail"]),
        source=document["source"],
        grades=tuple(
            Grade(**{**grade, "lines": tuple(grade.get("lines", ()))})
            for grade in document["grades"]
        ),
        review=_review(document["review"]),
        question=parse(document["question"]) if "question" in document else None,
        criteria=tuple(map(parse, document.get("criteria", ()))),
        not_covered=tuple(map(parse, document.get("not_covered", ()))),
    )


def _act(document: Document) -> Act:
    return Act(
        id=document["id"],
        type=document["type"],
        label=parse(document["label"]),
        description=parse(document["description"]),
        resource=document.get("resource", {}),
        codes=frozenset((code["system"], code["code"]) for code in document.get("codes", ())),
    )


def _detail(line: str | Document) -> DetailLine:
    if isinstance(line, str):
        return DetailLine(None, parse(line))
    return DetailLine(line["line"], parse(line["text"]))


def _threshold(document: Document) -> ThresholdHistory:
    return ThresholdHistory(
        id=document["id"],
        label=document["label"],
        unit=document["unit"],
        comparison=Comparison(document["comparison"]),
        values=tuple(_dated(value) for value in document["values"]),
        status=document["status"],
        note=document["note"],
        review=_review(document["review"]),
    )


def _dated(value: Document) -> DatedValue:
    number = value["value"]
    low, high = number if isinstance(number, list) else (number, number)
    return DatedValue(
        date.fromisoformat(value["from"]), _decimal(low), _decimal(high), value["source"]
    )


def _decimal(number: Any) -> Decimal:
    return Decimal(str(number))


def _concept(document: Document) -> Concept:
    rule = text_rule(document)
    found = list(pairs(document))
    return Concept(
        id=document["id"],
        title=document["title"],
        codes=frozenset((system, concept["code"]) for system, concept in found),
        needs_text=frozenset(
            (system, concept["code"])
            for system, concept in found
            if extension(concept, "needs-text") or not extension(concept, "verified")
        ),
        text=_pattern(rule.get("pattern")),
        text_not=_pattern(rule.get("not")),
        text_alone=bool(rule.get("alone")),
        names={(system, concept["code"]): concept["display"] for system, concept in found},
        categories=frozenset(
            concept["code"] for _, concept in found if extension(concept, "descendants")
        ),
        is_drug=bool(extension(document, "drug")),
    )


def _pattern(text: str | None) -> re.Pattern[str] | None:
    """
    A text is looked for at the beginning of words, in lower case.

    That brings fewer surprises, and is several times faster than to ignore case: the matcher can
    reject an alternative by its first letter.
    """
    return re.compile(rf"\b(?:{text})") if text else None


def _quantity(document: Document) -> Quantity:
    optional = ("fraction_up_to", "milli_above", "nmol_per_unit")
    return Quantity(
        id=document["id"],
        label=document["label"],
        unit=document["unit"],
        low=_decimal(document["plausible"][0]),
        high=_decimal(document["plausible"][1]),
        **{name: _decimal(document[name]) for name in optional if name in document},
    )
