"""What feedback adds up to: per recommendation and content version."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cds_service.feedback.store import Store

UNKNOWN = "(card not known)"
_MOST_COMMENTS = 500  # the newest: nobody reads more, and each is decrypted
_COLUMNS = (
    "recommendation", "content version", "shown", "accepted", "overridden", "no feedback",
    "reasons", "comments",
)  # fmt: skip


@dataclass(slots=True)
class Row:
    """
    One recommendation in one version of the content.

    A card counts once, by the last that was said of it. Silence is no override: cards without
    feedback are counted apart. Of cards that are not known only the feedback is.
    """

    recommendation: str
    content_version: str
    shown: int = 0
    accepted: int = 0
    overridden: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    comments: list[str] = field(default_factory=list, repr=False)

    @property
    def silent(self) -> int:
        """Cards of which nothing was said."""
        return max(0, self.shown - self.accepted - self.overridden)

    def share(self, count: int) -> str:
        """A count as a share of what was shown, in whole percent; empty if nothing was."""
        return f"{round(100 * count / self.shown)} %" if self.shown else ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "recommendation": self.recommendation,
            "contentVersion": self.content_version,
            "shown": self.shown,
            "accepted": self.accepted,
            "overridden": self.overridden,
            "noFeedback": self.silent,
            "reasons": dict(self.reasons.most_common()),
            "comments": self.comments,
        }


def report(store: Store, since: datetime) -> list[Row]:
    """The rows since then, by recommendation. Raises Unavailable."""
    rows: dict[tuple[str, str], Row] = {}

    def row(of: Mapping[str, Any]) -> Row:
        key = (of["recommendation"] or UNKNOWN, of["content_version"] or "")
        return rows.setdefault(key, Row(*key))

    for counted in store.shown_since(since):
        row(counted).shown = counted["shown"]
    for counted in store.outcomes_since(since):
        _add(row(counted), counted)
    for said in store.comments_since(since, _MOST_COMMENTS):
        row(said).comments.append(said["comment"])
    return sorted(rows.values(), key=lambda r: (r.recommendation, r.content_version))


def _add(row: Row, counted: Mapping[str, Any]) -> None:
    if counted["outcome"] == "accepted":
        row.accepted += counted["count"]
    else:
        row.overridden += counted["count"]
        row.reasons[counted["reason_code"] or "no reason given"] += counted["count"]


def as_table(rows: list[Row]) -> str:
    """For a terminal."""
    cells = [_COLUMNS[:-1], *(_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = ["  ".join(t.ljust(w) for t, w in zip(line, widths, strict=True)) for line in cells]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    reasons = ", ".join(f"{reason} {count}" for reason, count in row.reasons.most_common())
    counts = (row.accepted, row.overridden, row.silent)
    shares = [f"{n} ({row.share(n)})" if row.shown else str(n) for n in counts]
    return (row.recommendation, row.content_version, str(row.shown), *shares, reasons)


def as_csv(rows: list[Row]) -> str:
    """For a spreadsheet; a cell that could be taken for a formula is marked as text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in row.reasons.most_common())
        numbers = (row.shown, row.accepted, row.overridden, row.silent)
        texts = [row.recommendation, row.content_version]
        writer.writerow([*texts, *numbers, _inert(reasons), _inert(" | ".join(row.comments))])
    return out.getvalue()


def _inert(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def as_json(rows: list[Row]) -> str:
    """For a program."""
    return json.dumps([row.as_dict() for row in rows], indent=2, ensure_ascii=False) + "\n"
