"""
What the pages draw and tell of one chart.

The series, the line through FEV1, treatment and events, the values left out, and every
recommendation with its reasons. The numbers are those of the rules: the same extraction, the same
arithmetic, the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from markdown_it import MarkdownIt

from cds_service.domain.course import LungFunctionTest
from cds_service.domain.lung_function import (
    KindAndTrend,
    fev1_trends,
    is_established,
    millilitres_per_year,
    trend_points,
)
from cds_service.domain.medication import MedicationUse, Stage
from cds_service.domain.snapshot import Finding, Measurement, Oxygenation, PatientSnapshot
from cds_service.domain.thresholds import Thresholds
from cds_service.domain.trend import confidence_band
from cds_service.explain import kind_of, reasons_of
from cds_service.pipeline import Answer, Pipeline

_LINES = (
    "fev1-for-mtor-inhibitor", "fev1-for-transplant-referral", "spo2-rest-for-oxygen",
    "spo2-exertion-for-oxygen", "trough-target",
)  # fmt: skip
_EVENTS = (
    "pneumothorax", "pleurodesis", "lung_transplant", "transplant_listing", "transplant_referral",
)  # fmt: skip
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")


def as_html(markdown: str) -> str:
    """The detail of a card as HTML; nothing of a record can become a tag."""
    return str(_markdown.render(markdown))


def view(pipeline: Pipeline, answer: Answer, as_of: date) -> dict[str, Any]:
    """Everything that a page needs, as JSON values; numbers as the rules see them."""
    thresholds, patient = pipeline.content.thresholds_on(as_of), answer.patient
    course = pipeline.course_of(answer, as_of)
    return {
        "asOf": as_of.isoformat(),
        "contentVersion": pipeline.content.version,
        "thresholds": {name: _threshold(thresholds, name) for name in _LINES},
        "fev1": [_test(test) for test in course.lung_function],
        "trends": [_trend(found, patient, thresholds, as_of)
                   for found in fev1_trends(patient, thresholds, as_of)],
        "saturation": [_saturation(reading) for reading in course.saturation],
        "levels": [*_levels("sirolimus", course.sirolimus_level),
                   *_levels("everolimus", course.everolimus_level)],
        "medications": [_medication(use) for use in patient.mtor_inhibitor],
        "events": [_event(kind, finding)
                   for kind in _EVENTS for finding in getattr(patient, kind)],
        "leftOut": [pipeline.writer.gap_line(gap)
                    for gap in dict.fromkeys((*course.gaps, *patient.gaps))],
        "cards": [{**card, "html": as_html(card["detail"])} for card in answer.cards],
        "recommendations": list(_recommendations(pipeline, answer, thresholds)),
    }  # fmt: skip


def _threshold(thresholds: Thresholds, name: str) -> dict[str, Any]:
    found = thresholds[name]
    return {"label": found.label, "unit": found.unit, "low": float(found.low),
            "high": float(found.high), "shown": str(found)}  # fmt: skip


def _value(measured: Measurement) -> dict[str, Any]:
    """When, and where in the record; `on` as it was recorded, `day` to draw it."""
    return {"on": str(measured.on), "day": measured.on.last.isoformat(),
            "reference": measured.reference}  # fmt: skip


def _test(test: LungFunctionTest) -> dict[str, Any]:
    told: dict[str, Any] = _value(test.measured)
    if test.volume:
        told |= {"litres": float(test.volume.measured.value), "kind": test.volume.kind.value}
    if test.percent:
        told |= {"percent": float(test.percent.measured.value),
                 "percentSource": test.percent.source.value}  # fmt: skip
        told |= {"note": test.percent.measured.note} if test.percent.measured.note else {}
    if test.z_score is not None:
        told["z"] = float(test.z_score)
    return told


def _trend(
    found: KindAndTrend, patient: PatientSnapshot, thresholds: Thresholds, as_of: date
) -> dict[str, Any]:
    kind, trend = found
    band = confidence_band(trend_points(patient, kind, thresholds, as_of))
    told: dict[str, Any] = {
        "kind": kind.value,
        "millilitresPerYear": float(millilitres_per_year(trend)),
        "tests": trend.tests,
        "first": trend.first.isoformat(),
        "last": trend.last.isoformat(),
        "established": is_established(trend, thresholds),
        "line": [{"day": p.on.isoformat(), "litres": round(p.value, 4)} for p in band],
    }
    if trend.low is not None and trend.high is not None:
        told["interval"] = [round(trend.low * 1000, 1), round(trend.high * 1000, 1)]
        told["band"] = [{"day": p.on.isoformat(), "low": round(p.low or 0.0, 4),
                         "high": round(p.high or 0.0, 4)} for p in band]  # fmt: skip
    return told


def _saturation(reading: Oxygenation) -> dict[str, Any]:
    return {**_value(reading.measured), "value": float(reading.measured.value),
            "activity": reading.activity.value, "air": reading.air.value}  # fmt: skip


def _levels(drug: str, levels: Iterable[Measurement]) -> Iterator[dict[str, Any]]:
    for level in levels:
        yield {**_value(level), "drug": drug, "value": float(level.value), "unit": level.unit}


def _medication(use: MedicationUse) -> dict[str, Any]:
    told: dict[str, Any] = {"drug": use.shown, "reference": use.reference,
                            "current": use.stage is Stage.CURRENT}  # fmt: skip
    if use.on:
        told |= {"from": use.on.first.isoformat(), "fromShown": str(use.on)}
    if use.ended:
        told |= {"to": use.ended.last.isoformat(), "toShown": str(use.ended)}
    return told


def _event(kind: str, finding: Finding) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": kind.replace("_", "-"), "label": finding.label,
                            "reference": finding.reference}  # fmt: skip
    if finding.on:
        told |= {"on": str(finding.on), "day": finding.on.last.isoformat()}
    return told


def _recommendations(
    pipeline: Pipeline, answer: Answer, thresholds: Thresholds
) -> Iterator[Mapping[str, Any]]:
    for judged in answer.judgements:
        yield {
            "id": judged.card,
            "title": pipeline.writer.title_of(judged.card),
            "outcome": kind_of(judged.outcome),
            "reasons": [as_html(r) for r in reasons_of(pipeline, judged.outcome, thresholds)],
        }
