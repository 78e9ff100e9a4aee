"""Tell which values on record could not be read, when that left a question open."""

from __future__ import annotations

from collections.abc import Sequence

from cds_service.domain.outcomes import Basis, Line, NotIndicated, Outcome, Recommended
from cds_service.domain.snapshot import DataGap

CARD = "review-unreadable-data"
SUMMARIES = {
    "one": frozenset[str](),
    "several": frozenset({"count"}),
    "order": frozenset[str](),
}
ACTS = frozenset[str]()
LINES = {"values": frozenset[str](), "order": frozenset[str]()}


def recommend(unjudged: Sequence[DataGap]) -> Outcome:
    """
    Recommend correcting the values that kept a rule from an answer.

    Unlike the other rules this one reads their outcomes, so the pipeline calls it last, with the
    gaps that were in the way. Plain absence of data is no gap.
    """
    if not unjudged:
        return NotIndicated((Basis("everything-readable"),))
    gaps = tuple(unjudged)
    if all(gap.fact == "drafts" for gap in gaps):
        return Recommended(CARD, Line("order"), because=(), lines=(Line("order"),), gaps=gaps)
    summary = Line("one") if len(gaps) == 1 else Line("several", {"count": str(len(gaps))})
    return Recommended(CARD, summary, because=(), lines=(Line("values"),), gaps=gaps)
