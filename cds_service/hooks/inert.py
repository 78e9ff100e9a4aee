"""Text from a record, shown so that nothing in it comes alive."""

from __future__ import annotations

_LONGEST_SHOWN = 60


def as_code(text: str) -> str:
    """
    Text from the record, shown inert: inside a code span no markdown, HTML or link comes alive.

    Backticks and line ends, which could end the span, are replaced; long text is cut and says so.
    """
    flat = text
    if not text.isprintable() or "`" in text:
        flat = "".join(c if c.isprintable() and c != "`" else " " for c in text)
    cut = flat if len(flat) <= _LONGEST_SHOWN else f"{flat[:_LONGEST_SHOWN]}..."
    return f"`{cut.strip() or 'empty'}`"
