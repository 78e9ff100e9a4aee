"""An outcome in words: what the rule answered, and why."""

from __future__ import annotations

from cds_service.domain.outcomes import NotIndicated, Outcome, Recommended
from cds_service.domain.thresholds import Thresholds
from cds_service.pipeline import Pipeline


def kind_of(outcome: Outcome | None) -> str:
    """*recommended*, *not indicated*, *undetermined*, or *failed* when the rule did."""
    if outcome is None:
        return "failed"
    names = {"Recommended": "recommended", "NotIndicated": "not indicated"}
    return names.get(type(outcome).__name__, "undetermined")


def reasons_of(pipeline: Pipeline, outcome: Outcome | None, thresholds: Thresholds) -> list[str]:
    """The values that decided, or what is missing or could not be read; one line each, markdown."""
    if isinstance(outcome, Recommended | NotIndicated):
        return pipeline.writer.reasons(outcome.because, thresholds)
    if outcome is None:
        return []
    facts = pipeline.content.phrases.facts
    missing = [f"missing: {facts.get(fact, fact)}" for fact in outcome.missing]
    return missing + [pipeline.writer.gap_line(gap) for gap in outcome.gaps]
