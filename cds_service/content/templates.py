"""Sentences with placeholders, compiled once and filled many times."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PLACEHOLDER = re.compile(r"\$\{([a-z][a-z0-9_.]*)\}")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text in parts: even positions are literal, odd positions name a placeholder."""

    parts: tuple[str, ...]

    @property
    def placeholders(self) -> frozenset[str]:
        """The names to be filled."""
        return frozenset(self.parts[1::2])

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with every placeholder replaced; raises KeyError for one without a value."""
        if len(self.parts) == 1:
            return self.parts[0]
        filled = list(self.parts)
        filled[1::2] = [values[name] for name in self.parts[1::2]]
        return "".join(filled)

    def fill_known(self, values: Mapping[str, str]) -> Sentence:
        """Replace what `values` has and leave the rest to be filled later."""
        text = "".join(
            values.get(part, f"${{{part}}}") if index % 2 else part
            for index, part in enumerate(self.parts)
        )
        return parse(text)


def parse(text: str) -> Sentence:
    """Compile a text with `${name}` placeholders."""
    return Sentence(tuple(_PLACEHOLDER.split(text)))


def stray_dollar(text: str) -> bool:
    """Whether a `$` is left that forms no placeholder: most likely a typing mistake."""
    return "$" in _PLACEHOLDER.sub("", text)
