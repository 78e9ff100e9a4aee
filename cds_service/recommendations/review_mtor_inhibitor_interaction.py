"""Review drugs that change the level of an mTOR inhibitor, or add to its harm."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from cds_service.domain.medication import MedicationUse, Stage
from cds_service.domain.outcomes import (
    Basis,
    Line,
    NotIndicated,
    Outcome,
    Recommended,
    Undetermined,
)
from cds_service.domain.population import NO_MTOR_INHIBITOR, NOTHING_DRAFTED, judged, met, taken
from cds_service.domain.reasons import medication_basis
from cds_service.domain.snapshot import Moment, PatientSnapshot
from cds_service.domain.suggestions import REMOVE, removals
from cds_service.domain.thresholds import Thresholds

CARD = "review-mtor-inhibitor-interaction"
_KINDS = ("cyp3a4_inhibitor", "cyp3a4_inducer", "cannabidiol", "ace_inhibitor")
READS = frozenset({"mtor_inhibitor", "drafts", *_KINDS})
_PAIR = frozenset({"drug", "other"})
SUMMARIES = {
    "inhibitor": _PAIR,
    "inducer": _PAIR,
    "cannabidiol": _PAIR,
    "ace-inhibitor": _PAIR,
    "several": frozenset({"drug", "count"}),
}
LINES = {
    "inhibitor": _PAIR,
    "inducer": _PAIR,
    "cannabidiol": frozenset({"drug"}),
    "ace-inhibitor": _PAIR,
}
ACTS = frozenset({REMOVE})
_LINE_OF = dict(zip(_KINDS, LINES, strict=True))


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:  # noqa: ARG001
    """
    Recommend a review when an mTOR inhibitor meets a drug that interacts with it.

    In a chart both are taken; with orders at least one of the two is being ordered, whichever.
    """
    if patient.moment is not Moment.CHART and not _any_drafted(patient):
        return NOTHING_DRAFTED
    uses = _mtor_inhibitors(patient)
    if not uses:
        known = patient.absence_is_known("mtor_inhibitor")
        return NO_MTOR_INHIBITOR if known else Undetermined(missing=("mtor_inhibitor",))
    pairs = list(_pairs(patient, uses))
    if pairs:
        return _advise(patient, pairs)
    if not patient.absence_is_known(*_KINDS):
        return Undetermined(missing=_KINDS)
    return NotIndicated((Basis("no-interaction"),), unless=frozenset({"drafts", *_KINDS}))


Pair = tuple[str, MedicationUse, MedicationUse]  # kind, mTOR inhibitor, the other drug


def _any_drafted(patient: PatientSnapshot) -> bool:
    fields = ("mtor_inhibitor", *_KINDS)
    return any(judged(patient, getattr(patient, name)) for name in fields)


def _mtor_inhibitors(patient: PatientSnapshot) -> list[MedicationUse]:
    """One that is being ordered stands for the one that is taken: its change is the question."""
    chart = patient.moment is Moment.CHART
    return list(taken(patient.mtor_inhibitor)) if chart else met(patient.mtor_inhibitor)


def _pairs(patient: PatientSnapshot, uses: list[MedicationUse]) -> Iterator[Pair]:
    """Each interacting drug once, beside the mTOR inhibitor that makes it a question."""
    chart, seen = patient.moment is Moment.CHART, set[tuple[str, str]]()
    drafted = next((use for use in uses if use.stage is Stage.DRAFTED), None)
    for kind in _KINDS:
        others: list[MedicationUse] = met(getattr(patient, kind))
        for other in others:
            asked = chart or other.stage is Stage.DRAFTED
            use = uses[0] if asked else drafted
            if use is not None and (kind, other.shown) not in seen:
                seen.add((kind, other.shown))
                yield kind, use, other


def _advise(patient: PatientSnapshot, pairs: list[Pair]) -> Recommended:
    kind, use, other = pairs[0]
    summary = Line(_LINE_OF[kind], {"drug": use.shown, "other": other.shown})
    if len(pairs) > 1:
        summary = Line("several", {"drug": use.shown, "count": str(len(pairs))})
    involved = dict.fromkeys(use for _, a, b in pairs for use in (a, b))
    drafted = [use for use in involved if use.stage is Stage.DRAFTED]
    return Recommended(
        card=CARD,
        summary=summary,
        because=tuple(medication_basis(use) for use in involved),
        lines=tuple(_lines(pairs)),
        suggestions=removals(drafted, advised=False) if patient.drafts else (),
    )


def _lines(pairs: list[Pair]) -> Iterator[Line]:
    """A line for each kind of interaction, naming all drugs of the kind."""
    for kind in _KINDS:
        same = [(use, other) for k, use, other in pairs if k == kind]
        if same:
            others = ", ".join(dict.fromkeys(other.shown for _, other in same))
            fills = {"drug": same[0][0].shown, "other": others}
            name = _LINE_OF[kind]
            yield Line(name, {key: fills[key] for key in LINES[name]})
