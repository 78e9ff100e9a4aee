"""The clinical manual: all that the service may say and why, on one page to be signed off."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from cds_service.content.check import placeholders_of
from cds_service.content.model import CardContent, Content, Grade, Review
from cds_service.content.root import cards_root, fixtures_root
from cds_service.content.templates import Sentence, parse
from cds_service.recommendations import RULES, SAYS

_HEADLINE = "# Clinical manual"
_NOTE = "<!-- Written by `make manual` from cards/ and fixtures/; do not edit. -->"


@dataclass(frozen=True, slots=True)
class Example:
    """A synthetic patient: `expected` are the cards of the whole answer."""

    name: str
    hook: str
    card: str
    about: dict[str, Any]
    expected: list[dict[str, Any]]

    @property
    def fires(self) -> bool:
        """Whether the recommendation of its folder is among the cards."""
        return self.card in self.about["expect"]


class Manual:
    """Writes the manual from one set of content, with the newest value of every threshold."""

    def __init__(self, content: Content) -> None:
        """Read the synthetic patients, and the numbers as they stand in sentences."""
        self._content = content
        self._limits = {
            placeholder: text
            for threshold in (history.on(date.max) for history in content.thresholds.values())
            for placeholder, text in placeholders_of(threshold).items()
        }
        self._examples = list(_examples(fixtures_root()))

    def __str__(self) -> str:
        """The whole page, as GitHub-flavoured markdown."""
        intro = parse((cards_root() / "manual.md").read_text(encoding="utf-8").rstrip())
        parts = [_HEADLINE, _NOTE, self._text(intro), *self._overview()]
        for name in self._order():
            parts += self._recommendation(self._content.cards[name])
        parts += [*self._thresholds(), *self._acts(), *self._codes(), *self._sources()]
        return "\n\n".join(parts) + "\n"

    def _order(self) -> list[str]:
        """As the cards appear: in the chart, then those of orders, then the rest."""
        known = [rule.CARD for rules in RULES.values() for rule in rules]
        return list(dict.fromkeys([*known, *self._content.cards]))

    def _text(self, sentence: Sentence) -> str:
        """A sentence with its numbers; what a rule fills in stands in brackets."""
        fills = {name: self._limits.get(name, f"[{name}]") for name in sentence.placeholders}
        return sentence.fill(fills)

    def _overview(self) -> Iterator[str]:
        yield "## Recommendations"
        rows = []
        for name in self._order():
            card = self._content.cards[name]
            cases = [e for e in self._examples if e.card == name]
            fired = sum(e.fires for e in cases)
            rows.append(
                [f"[{card.title}](#{name})", _hooks(name), card.indicator.value,
                 f"{len(cases)} ({fired} shown, {len(cases) - fired} silent)",
                 _reviewed(card.review)]
            )  # fmt: skip
        yield _table(["Recommendation", "Hooks", "Urgency", "Cases", "Review"], rows)

    def _recommendation(self, card: CardContent) -> Iterator[str]:
        yield f'<a id="{card.id}"></a>\n\n## {card.title}'
        yield f"`{card.id}` on {_hooks(card.id)}. {_reviewed(card.review)}."
        if card.question:
            yield f"**Question.** {self._text(card.question)}"
        yield _list("Criteria", map(self._text, card.criteria))
        yield _list("Not covered", map(self._text, card.not_covered))
        yield _list("Summaries", (f"*{name}*: {self._text(text)}"
                                  for name, text in card.summaries.items()))  # fmt: skip
        yield _list("Lines", (f"*{line.id or 'always'}*: {self._text(line.text)}"
                              for line in card.detail))  # fmt: skip
        acts = sorted(SAYS[card.id].acts)
        if acts:
            labels = (self._content.acts[act].label for act in acts)
            yield _list("May offer", map(self._text, labels))
        yield _list("Evidence", map(self._grade, card.grades))
        yield from self._cases(card.id)

    def _grade(self, grade: Grade) -> str:
        source = self._content.sources[grade.source]
        graded = f"{grade.strength} recommendation, {grade.certainty} certainty"
        return f"{grade.statement}: {grade.kind or graded} ([{source.label}]({source.url}))"

    def _cases(self, card: str) -> Iterator[str]:
        own = [example for example in self._examples if example.card == card]
        rows = [
            [f"[{e.about['title']}](../fixtures/{e.name}/case.json)", e.hook,
             "shown" if e.fires else "silent", e.about["why"]]
            for e in own
        ]  # fmt: skip
        yield f"**Cases.** {len(own)} synthetic patients."
        yield _table(["Patient", "Hook", "Card", "Why"], rows)
        shown = min((e for e in own if e.fires), key=lambda e: (len(e.expected), e.name))
        yield f"**Example.** {shown.about['title']}: {shown.about['story']}"
        yield _quoted(next(c for c in shown.expected if c["source"]["topic"]["code"] == card))

    def _thresholds(self) -> Iterator[str]:
        yield "## Numbers"
        rows = []
        for history in self._content.thresholds.values():
            source = self._content.sources[history.values[-1].source]
            name = history.id.replace("-", "_")
            rows.append([history.label, self._limits[name], history.status,
                         f"[{source.label}]({source.url})", history.note])  # fmt: skip
        yield _table(["Number", "Value", "Status", "Source", "Note"], rows)

    def _acts(self) -> Iterator[str]:
        yield "## What may be drafted"
        rows = []
        for act in self._content.acts.values():
            codes = ", ".join(
                f"{self._system(system)} {code}" for system, code in sorted(act.codes)
            )
            rows.append([self._text(act.label), self._text(act.description), codes or "text only"])
        yield _table(["Act", "What happens", "Codes"], rows)

    def _system(self, url: str) -> str:
        return self._content.code_system_names[url]

    def _codes(self) -> Iterator[str]:
        yield "## Codes"
        yield (
            "A code that is not verified, or that is shared with other diseases, counts only "
            "beside a text that names the concept. The "
            f"{len(self._content.products)} drug products of `cards/drug_products.csv` count as "
            "their ingredients."
        )
        rows = []
        for concept in self._content.concepts.values():
            codes = [self._code(concept.needs_text, pair, concept.names[pair])
                     for pair in sorted(concept.codes)]  # fmt: skip
            text = f"`{concept.text.pattern}`" if concept.text else ""
            rows.append([concept.title, "; ".join(codes), text.replace("|", "\\|")])
        yield _table(["Concept", "Codes (in italics: only beside a text)", "Text"], rows)

    def _code(self, vague: frozenset[tuple[str, str]], pair: tuple[str, str], name: str) -> str:
        shown = f"{self._system(pair[0])} {pair[1]} {name}"
        return f"*{shown}*" if pair in vague else shown

    def _sources(self) -> Iterator[str]:
        yield "## Sources"
        rows = [
            [f"[{source.label}]({source.url})", source.citation, source.read]
            for source in self._content.sources.values()
        ]
        yield _table(["Source", "Citation", "What of it was read"], rows)


def _hooks(card: str) -> str:
    hooks = [moment.value for moment, rules in RULES.items() for rule in rules if card == rule.CARD]
    return ", ".join(hooks) or "every hook"


def _reviewed(review: Review) -> str:
    if review.status == "signed":
        return f"Signed by {review.by} on {review.on}, due again {review.due}"
    return f"Awaits clinical review, due {review.due}"


def _examples(root: Path) -> Iterator[Example]:
    for path in sorted(root.glob("*/*/*/case.json")):
        name = path.parent.relative_to(root).as_posix()
        hook, card, _ = name.split("/")
        about = json.loads(path.read_text(encoding="utf-8"))
        answer = json.loads((path.parent / "expected.json").read_text(encoding="utf-8"))
        yield Example(name, hook, card, about, answer["cards"])


def _list(heading: str, items: Iterable[str]) -> str:
    return "\n".join([f"**{heading}.**", "", *(f"- {item}" for item in items)])


def _table(heads: list[str], rows: Iterable[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _quoted(card: dict[str, Any]) -> str:
    """A card as an EHR shows it."""
    told = f"**{card['indicator'].upper()}: {card['summary']}**\n\n{card['detail']}"
    return "\n".join(f"> {line}".rstrip() for line in told.splitlines())
