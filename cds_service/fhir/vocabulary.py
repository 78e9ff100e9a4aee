"""Which codes, and which texts beside or instead of them, mean which concept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cds_service.content.check import LONGEST_NAME
from cds_service.content.model import Concept, Content
from cds_service.fhir import wire

_ATC = "http://www.whocc.no/atc"
_ATC_LEVELS = (5, 4, 3)  # a class is a prefix of the codes of its drugs
_CATEGORY = 3  # the length of an ICD category, which stands for all codes below it
_RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
_CVX = "http://hl7.org/fhir/sid/cvx"
_DOTLESS = frozenset(
    {
        "http://hl7.org/fhir/sid/icd-10-cm",
        "http://hl7.org/fhir/sid/icd-10",
        "http://hl7.org/fhir/sid/icd-9-cm",
    }
)  # sent with and without the dot


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """
    A concept that a code may mean; `needs_text` when the code alone does not tell.

    `name` is what the code names: of a class of drugs, the one ingredient.
    """

    concept: Concept
    needs_text: bool
    name: str


@dataclass(frozen=True, slots=True)
class Drug:
    """A drug by the value set it belongs to, and by the name of its ingredient."""

    concept: Concept
    name: str

    @property
    def is_named(self) -> bool:
        """Whether the ingredient is known, and not only the kind of drug."""
        return self.name != self.concept.title


class Vocabulary:
    """The value sets of the content, turned round: from a code to its concepts."""

    def __init__(self, content: Content) -> None:
        """Index every code once, in every spelling that is known to arrive."""
        self._aliases = content.code_systems
        self._by_code: dict[tuple[str | None, str | None], list[Match]] = {}
        self._categories: dict[tuple[str | None, str | None], list[Match]] = {}
        for concept in content.concepts.values():
            for system, code in concept.codes:
                name = _name_of(concept, concept.names[system, code])
                match = Match(concept, (system, code) in concept.needs_text, name)
                for spelling in spellings(system, code, content.code_systems):
                    self._by_code.setdefault(spelling, []).append(match)
                    if code in concept.categories:
                        self._categories.setdefault(spelling, []).append(match)
        self._add_products(content)
        self._atc = {_ATC, *(a for a, known in content.code_systems.items() if known == _ATC)}
        self._unions: dict[tuple[str, ...], re.Pattern[str]] = {}
        self.concepts = content.concepts

    def _add_products(self, content: Content) -> None:
        """A product means what the names of its ingredients mean."""
        for product in content.products.values():
            for name in product.ingredients:
                for concept in ingredients_named(name, content.concepts.values()):
                    for spelling in spellings(_RXNORM, product.code, content.code_systems):
                        self._by_code.setdefault(spelling, []).append(Match(concept, False, name))

    def coded(self, code: wire.CodeableConcept | None) -> list[Concept]:
        """The concepts that a code means, each once; the text is asked where the code is vague."""
        found: list[Concept] = []
        for coding in code.coding if code else ():
            for match in self._matches(coding):
                if match.concept not in found and _stands(match, code):
                    found.append(match.concept)
        return found

    def _matches(self, coding: wire.Coding) -> Sequence[Match]:
        matches = self._by_code.get((coding.system, coding.code), ())
        if coding.system in self._atc and coding.code:
            classes = [self._by_code.get((_ATC, coding.code[:level]), ()) for level in _ATC_LEVELS]
            return [*matches, *(m for found in classes for m in found)]
        if not matches and coding.code:
            return self._categories.get((coding.system, coding.code[:_CATEGORY]), ())
        return matches

    def drugs(self, code: wire.CodeableConcept, among: tuple[str, ...]) -> list[Drug]:
        """
        The drugs of the value sets `among` that codes or text name, each ingredient once.

        A code of a whole class gives way to the ingredient that the text names.
        """
        found: dict[tuple[str, str], Drug] = {}
        for coding in code.coding:
            for match in self._matches(coding):
                if match.concept.id in among and _stands(match, code):
                    drug = Drug(match.concept, match.name)
                    found.setdefault((match.concept.id, match.name.lower()), drug)
        known = {drug.concept.id for drug in found.values() if drug.is_named}
        named = [c for c in self.by_text(code, among) if c.id not in known]
        told = {concept.id for concept in named}
        by_code = [drug for drug in found.values() if drug.is_named
                   or drug.concept.id not in told | known]  # fmt: skip
        return [*by_code, *(Drug(concept, _name_in(concept, code)) for concept in named)]

    def named(self, code: wire.CodeableConcept | None, among: Iterable[str]) -> Iterator[Concept]:
        """The concepts of `among` that code or text means, where text alone may decide."""
        if code is None:
            return
        coded = {concept.id for concept in self.coded(code)}
        texts = {concept.id for concept in self.by_text(code, tuple(among))}
        yield from (self.concepts[name] for name in among if name in coded or name in texts)

    def by_text(self, code: wire.CodeableConcept, among: tuple[str, ...]) -> list[Concept]:
        """The concepts of `among` that may stand on their text alone, and whose text is there."""
        if not self._any_text(among).search(texts_of(code)):
            return []
        concepts = [self.concepts[name] for name in among]
        return [c for c in concepts if c.text_alone and _mentions(c, code) and not _denied(c, code)]

    def mentioned(self, code: wire.CodeableConcept, among: Iterable[str]) -> list[Concept]:
        """The concepts of `among` that a text mentions, whether or not it may stand alone."""
        concepts = [self.concepts[name] for name in among]
        return [c for c in concepts if _mentions(c, code) and not _denied(c, code)]

    def is_rxnorm(self, coding: wire.Coding) -> bool:
        """Whether a coding is of RxNorm, under whatever name of the system."""
        return self.system_of(coding) == _RXNORM

    def _any_text(self, names: tuple[str, ...]) -> re.Pattern[str]:
        """One pattern for all: most texts match none, and one search tells."""
        found = self._unions.get(names)
        if found is None:
            texts = [concept.text for name in names if (concept := self.concepts[name]).text_alone]
            patterns = [_unanchored(text.pattern) for text in texts if text]
            found = re.compile(rf"\b(?:{'|'.join(patterns)})" if patterns else r"(?!)")
            self._unions[names] = found
        return found

    def system_of(self, coding: wire.Coding) -> str | None:
        """The canonical system of a coding."""
        return self._aliases.get(coding.system or "", coding.system)


def spellings(
    system: str, code: str, aliases: Mapping[str, str]
) -> Iterator[tuple[str | None, str | None]]:
    """A code as it may arrive: its system by URL or OID, ICD codes with or without the dot."""
    systems = [system, *(alias for alias, known in aliases.items() if known == system)]
    codes = {code, code.replace(".", "")} if system in _DOTLESS else {code}
    codes |= {code.lstrip("0")} if system == _CVX else set()
    return ((name, spelling) for name in systems for spelling in codes)


def _stands(match: Match, code: wire.CodeableConcept | None) -> bool:
    """Whether the texts beside a code leave it standing, and confirm it where it is vague."""
    concept = match.concept
    if code is None or (concept.text_not is None and not match.needs_text):
        return code is not None
    return not _denied(concept, code) and (not match.needs_text or _mentions(concept, code))


def _parts(code: wire.CodeableConcept) -> Iterable[str]:
    """The text and the displays in lower case, each once: they are often the same."""
    parts = dict.fromkeys([code.text, *[coding.display for coding in code.coding]])
    return [part.lower() for part in parts if part]


def texts_of(code: wire.CodeableConcept) -> str:
    """The text and displays of a concept, in one string."""
    return " | ".join(_parts(code))


def _unanchored(pattern: str) -> str:
    """The pattern without anchors, to be searched in several texts joined, at word starts."""
    return pattern.removeprefix(r"\b").replace("^", "").replace("$", "")


def _mentions(concept: Concept, code: wire.CodeableConcept) -> bool:
    """Whether the text or one display names the concept; each is held against it alone."""
    if concept.text is None:
        return False
    return any(concept.text.search(part) for part in _parts(code))


def _name_of(concept: Concept, display: str) -> str:
    """What a code names: an ingredient, or, when its display is of a class or long, its kind."""
    name = display.split(" (")[0]
    is_class = "class prefix" in display or len(name) > LONGEST_NAME
    return concept.title if is_class else name


def _name_in(concept: Concept, code: wire.CodeableConcept) -> str:
    """The words of our own pattern that were found; nothing else of the text is taken over."""
    pattern = concept.text
    found = (pattern.search(part) for part in _parts(code)) if pattern else ()
    name = next((match[0] for match in found if match), "")
    return name if 0 < len(name) <= LONGEST_NAME else concept.title


def ingredients_named(name: str, concepts: Iterable[Concept]) -> list[Concept]:
    """The value sets of drugs that know an ingredient by its name."""
    return [
        concept
        for concept in concepts
        if concept.is_drug and concept.text and concept.text.search(name)
    ]


def _denied(concept: Concept, code: wire.CodeableConcept) -> bool:
    return concept.text_not is not None and bool(concept.text_not.search(texts_of(code)))
