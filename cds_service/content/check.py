"""What the schemas cannot see: references, placeholders, lengths, and texts without a rule."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from cds_service.content.files import Document, Files
from cds_service.content.model import Product
from cds_service.content.templates import parse, stray_dollar
from cds_service.content.value_set import extension, pairs, text_rule
from cds_service.domain.outcomes import Said, Texts
from cds_service.domain.thresholds import Comparison, Threshold

Says = Mapping[str, Said]  # by the id of the card

_ORDER = frozenset({"order", "drug"})
LONGEST_SUMMARY = 139  # CDS Hooks: fewer than 140 characters
LONGEST_NAME = 32  # of a drug; a longer one is shown by the name of its kind
_LONGEST_FILLS = {"drug": LONGEST_NAME, "other": LONGEST_NAME}
_LONGEST_FILL = 16  # of anything else that a rule puts in a summary: a number, a date, a dose
_ACT_FILLS = {"create": frozenset[str](), "update": _ORDER, "delete": _ORDER}


def check(files: Files, says: Says) -> Iterator[str]:
    """One line per fault in documents that already obey their schemas."""
    known = _known(files)
    for folder in ("recommendations", "notices"):
        for name, card in files.folders[folder].items():
            where = f"cards/{folder}/{name}.json"
            yield from (f"{where}: {text}" for text in _check_card(card, says, known))
    yield from _check_rules_have_cards(files, says)
    for name, threshold in files.folders["thresholds"].items():
        where = f"cards/thresholds/{name}.json"
        yield from (f"{where}: {text}" for text in _check_threshold(threshold, known))
    for name, value_set in files.folders["value_sets"].items():
        where = f"cards/value_sets/{name}.json"
        yield from (f"{where}: {text}" for text in _check_value_set(value_set, files))
    yield from _check_acts(files, says)
    for product in files.products:
        for name in _unknown_ingredients(product, files):
            yield f"cards/drug_products.csv: {product.code}: no value set knows {name!r}"


class _Known:
    """The names a text may refer to."""

    def __init__(self, sources: frozenset[str], thresholds: Mapping[str, str]) -> None:
        self.sources = sources
        self.thresholds = thresholds  # placeholder -> its text


_NOTHING = _Known(frozenset(), {})


def _known(files: Files) -> _Known:
    sources = files.single["sources"].get("sources", ())
    return _Known(
        frozenset(source["id"] for source in sources),
        {
            placeholder: text
            for document in files.folders["thresholds"].values()
            for placeholder, text in placeholders_of(_newest(document)).items()
        },
    )


def _newest(document: Document) -> Threshold:
    value = document["values"][-1]["value"]
    low, high = value if isinstance(value, list) else (value, value)
    return Threshold(
        document["id"], document["label"], document["unit"],
        Comparison(document["comparison"]), Decimal(str(low)), Decimal(str(high)), "",
    )  # fmt: skip


def placeholders_of(threshold: Threshold) -> dict[str, str]:
    """How texts refer to a threshold: by its id with underscores, and `.value` for the number."""
    name, words = threshold.id.replace("-", "_"), str(threshold)
    bare = re.sub(r"^(at least|at most|above|below) ", "", words)
    return {name: words, f"{name}.value": bare}


def _check_card(card: Document, says: Says, known: _Known) -> Iterator[str]:
    said = says.get(card["id"], Said({}, {}))
    summaries, lines = said.summaries, said.lines
    if card["id"] not in says:
        yield "id: no rule speaks through this card"
    yield from _check_sources(card, known)
    yield from _check_texts("summary", card["summary"], summaries, known)
    detail = {line["line"]: line["text"] for line in card["detail"] if isinstance(line, dict)}
    yield from _check_texts("detail", detail, lines, known)
    always = [line for line in card["detail"] if isinstance(line, str)]
    for text in always:
        yield from _check_text("detail", text, frozenset(), known)
    for name, text in card["summary"].items():
        yield from _check_length(name, text, known)
    for text in (card.get("question", ""), *card.get("criteria", ()), *card.get("not_covered", ())):
        yield from _check_text("criteria", text, frozenset(), known)
    for grade in card["grades"]:
        for line in set(grade.get("lines", ())) - set(detail):
            yield f"grades: {line!r} is no line of the detail"


def _check_sources(card: Document, known: _Known) -> Iterator[str]:
    cited = [("source", card["source"])]
    cited += [("grades", grade["source"]) for grade in card["grades"]]
    for where, source in cited:
        if source not in known.sources:
            yield f"{where}: {source!r} is not in cards/sources.json"


def _check_texts(
    where: str, texts: Mapping[str, str], expected: Texts, known: _Known
) -> Iterator[str]:
    for name in sorted(set(expected) - set(texts)):
        yield f"{where}: {name!r} is missing; the rule may say it"
    for name, text in texts.items():
        if name not in expected:
            yield f"{where}/{name}: the rule never says this"
        yield from _check_text(f"{where}/{name}", text, expected.get(name, frozenset()), known)


def _check_text(where: str, text: str, fills: frozenset[str], known: _Known) -> Iterator[str]:
    for name in sorted(parse(text).placeholders - fills - set(known.thresholds)):
        yield f"{where}: unknown placeholder ${{{name}}}"
    if stray_dollar(text):
        yield f"{where}: a $ that begins no placeholder"
    if "<" in text or ">" in text:
        yield f"{where}: no HTML and no < or >: write the comparison in words"


def _check_length(name: str, text: str, known: _Known) -> Iterator[str]:
    sentence = parse(text).fill_known(known.thresholds)
    fills = {n: "x" * _LONGEST_FILLS.get(n, _LONGEST_FILL) for n in sentence.placeholders}
    length = len(sentence.fill(fills))
    if length > LONGEST_SUMMARY:
        yield f"summary/{name}: up to {length} characters once filled, {LONGEST_SUMMARY} allowed"


def _check_rules_have_cards(files: Files, says: Says) -> Iterator[str]:
    present = set(files.folders["recommendations"]) | set(files.folders["notices"])
    for name in sorted(set(says) - present):
        yield f"cards/recommendations/{name}.json: missing or faulty; a rule speaks through it"


def _check_threshold(document: Document, known: _Known) -> Iterator[str]:
    values = document["values"]
    for value in values:
        if value["source"] not in known.sources:
            yield f"values: {value['source']!r} is not in cards/sources.json"
        if isinstance(value["value"], list) is not (document["comparison"] == "between"):
            yield "values: a pair of numbers goes with the comparison between, and with no other"
    if [v["from"] for v in values] != sorted({v["from"] for v in values}):
        yield "values: dates must rise, each with a later one below it"


def _check_acts(files: Files, says: Says) -> Iterator[str]:
    acts, suggested = files.folders["acts"], {act for said in says.values() for act in said.acts}
    for name in sorted(suggested - set(acts)):
        yield f"cards/acts/{name}.json: missing or faulty; a rule suggests it"
    for name in sorted(set(acts) - suggested):
        yield f"cards/acts/{name}.json: no rule suggests this"
    systems = set(files.single["code-systems"].get("systems", {}))
    for name, act in acts.items():
        listed = {(code["system"], code["code"]) for code in act.get("codes", ())}
        for system, code in sorted(_codings(act.get("resource", {})) ^ listed):
            yield f"cards/acts/{name}.json: codes: {code} must stand here and in the resource"
            if system not in systems:
                yield f"cards/acts/{name}.json: codes: {system!r} is not in cards/code-systems.json"
        for text in (act["label"], act["description"]):
            faults = _check_text("text", text, _ACT_FILLS[act["type"]], _NOTHING)
            yield from (f"cards/acts/{name}.json: {fault}" for fault in faults)


def _codings(value: object) -> set[tuple[str, str]]:
    """Every coding in a resource; units are none of them."""
    if isinstance(value, list):
        return {pair for item in value for pair in _codings(item)}
    if not isinstance(value, dict):
        return set()
    own = {(c["system"], c["code"]) for c in value.get("coding", ())}
    return own | {pair for item in value.values() for pair in _codings(item)}


def _unknown_ingredients(product: Product, files: Files) -> list[str]:
    """The ingredients by which no value set of drugs would recognise a product."""
    patterns = [text_rule(document).get("pattern", "(?!)")
                for document in files.folders["value_sets"].values()
                if extension(document, "drug")]  # fmt: skip
    return [name for name in product.ingredients
            if not any(re.search(rf"\b(?:{pattern})", name) for pattern in patterns)]  # fmt: skip


def _check_value_set(document: Document, files: Files) -> Iterator[str]:
    rule = text_rule(document)
    for key in ("pattern", "not"):
        try:
            re.compile(rule.get(key, ""))
        except re.error as error:
            yield f"extension: the text {key} is no regular expression: {error}"
    systems = set(files.single["code-systems"].get("systems", {}))
    for system, concept in pairs(document):
        if system not in systems:
            yield f"compose: {system!r} is not in cards/code-systems.json"
        if extension(concept, "needs-text") and "pattern" not in rule:
            yield f"compose: {concept['code']} needs a text, and no text pattern is given"
    if extension(document, "drug") and len(document["title"]) > LONGEST_NAME:
        yield f"title: at most {LONGEST_NAME} characters, as it stands in summaries"
