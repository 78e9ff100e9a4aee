"""Start an mTOR inhibitor in LAM with abnormal or declining lung function, or chylous effusion."""

from __future__ import annotations

from datetime import date

from cds_service.domain.indications import (
    TreatmentSigns,
    bar_to_treatment,
    is_confirmed,
    treatment_signs,
    unclear_fev1,
)
from cds_service.domain.lung_function import millilitres_per_year
from cds_service.domain.medication import MedicationUse
from cds_service.domain.outcomes import (
    Basis,
    Line,
    NotIndicated,
    Outcome,
    Recommended,
    Undetermined,
)
from cds_service.domain.population import stopped_mtor_inhibitor, taken
from cds_service.domain.reasons import finding_basis, percent_basis, trend_basis
from cds_service.domain.snapshot import PatientSnapshot, PercentSource, Sex
from cds_service.domain.suggestions import requests
from cds_service.domain.thresholds import Thresholds, plain

CARD = "start-mtor-inhibitor"
READS = frozenset(
    {
        "birth", "lam", "mtor_inhibitor", "mtor_allergy", "pregnancy", "lung_transplant",
        "transplant_listing", "transplant_referral", "fev1", "fev1_percent", "chylous_effusion",
    }
)  # fmt: skip
SUMMARIES = {
    "low-fev1": frozenset({"percent"}),
    "fast-decline": frozenset({"slope"}),
    "chylous-effusion": frozenset[str](),
    "allergy": frozenset[str](),
}
LINES = {
    "dose": frozenset[str](),
    "allergy": frozenset({"drug"}),
    "stopped": frozenset({"drug", "when"}),
    "chylous-effusion": frozenset[str](),
    "borderline": frozenset({"percent"}),
    "reference-set-matters": frozenset({"percent"}),
    "provisional": frozenset({"slope"}),
    "medication-list-not-seen": frozenset[str](),
    "use-code": frozenset[str](),
    "pregnancy-test": frozenset[str](),
    "low-fev1": frozenset[str](),
    "fast-decline": frozenset[str](),
    "not-drafted-interaction": frozenset({"drug"}),
    "not-drafted-stopped": frozenset[str](),
    "not-drafted-not-seen": frozenset[str](),
}
ACTS = frozenset({"start-sirolimus"})
_SIGNS = frozenset({"fev1", "fev1_percent", "chylous_effusion"})
# What must be known before an order is drafted; the advice itself does not wait for it.
_BEFORE_AN_ORDER = ("mtor_inhibitor", "mtor_allergy", "pregnancy")


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:
    """
    Recommend treatment when one of three signs is present and nothing on record bars it.

    A medication list that was not sent counts as no mTOR inhibitor, and the card says so: the
    harm of a missed treatment outweighs that of a question. No FEV1 on record leaves it open.
    """
    barred = bar_to_treatment(patient, thresholds, as_of)
    if barred is not None:
        return barred
    signs = treatment_signs(patient, thresholds, as_of)
    if signs.any:
        return _advise(patient, signs, thresholds)
    if signs.recent_fev1 is None and signs.trend is None:
        return Undetermined(("fev1_percent",), unclear_fev1(patient, thresholds, as_of))
    return NotIndicated(tuple(_values(signs)), unless=_SIGNS)


def _advise(patient: PatientSnapshot, signs: TreatmentSigns, thresholds: Thresholds) -> Recommended:
    not_drafted = _why_not_drafted(patient)
    drafted = is_confirmed(patient, thresholds) and not not_drafted and not patient.mtor_allergy
    return Recommended(
        card=CARD,
        summary=_summary(patient, signs),
        because=tuple(_values(signs)),
        lines=(*_lines(patient, signs, thresholds), *not_drafted),
        suggestions=requests(patient, *ACTS) if drafted else (),
    )


def _why_not_drafted(patient: PatientSnapshot) -> list[Line]:
    """
    What on record speaks against an order with one click; the advice stands.

    That nothing confirms the diagnosis is told on a card of its own, an allergy in the advice.
    """
    if patient.mtor_allergy:
        return []
    met = taken((*patient.cyp3a4_inhibitor, *patient.cyp3a4_inducer, *patient.cannabidiol,
                 *patient.ace_inhibitor))  # fmt: skip
    interacting = next(met, None)
    if interacting:
        return [Line("not-drafted-interaction", {"drug": interacting.shown})]
    if stopped_mtor_inhibitor(patient):
        return [Line("not-drafted-stopped")]
    hidden = any(gap.fact in _BEFORE_AN_ORDER for gap in patient.gaps)
    known = patient.absence_is_known(*_BEFORE_AN_ORDER)
    return [] if known and not hidden else [Line("not-drafted-not-seen")]


def _summary(patient: PatientSnapshot, signs: TreatmentSigns) -> Line:
    if patient.mtor_allergy:
        return Line("allergy")
    if signs.low_fev1:
        return Line("low-fev1", {"percent": plain(signs.low_fev1.measured.value)})
    if signs.fast_decline:
        return Line("fast-decline", {"slope": _slope(signs)})
    return Line("chylous-effusion")


def _slope(signs: TreatmentSigns) -> str:
    found = signs.fast_decline or signs.provisional
    return plain(millilitres_per_year(found[1])) if found else ""


def _values(signs: TreatmentSigns) -> list[Basis]:
    values = []
    if signs.recent_fev1:
        values.append(percent_basis(signs.recent_fev1, "fev1-for-mtor-inhibitor"))
    trend = signs.trend or signs.provisional
    if trend:
        values.append(trend_basis(trend, "fev1-decline-for-mtor-inhibitor"))
    if signs.chylous_effusion:
        values.append(finding_basis("chylous-effusion", signs.chylous_effusion))
    return values


def _lines(patient: PatientSnapshot, signs: TreatmentSigns, thresholds: Thresholds) -> list[Line]:
    lines = [*_sign_lines(signs), *_reading_lines(signs, thresholds), *_history_lines(patient)]
    if patient.mtor_allergy:
        return [*lines, Line("allergy", {"drug": patient.mtor_allergy[0].label})]
    if patient.sex is not Sex.MALE:
        lines.append(Line("pregnancy-test"))
    return [*lines, Line("dose")]


def _sign_lines(signs: TreatmentSigns) -> list[Line]:
    present = {
        "low-fev1": signs.low_fev1,
        "fast-decline": signs.fast_decline,
        "chylous-effusion": signs.chylous_effusion,
    }
    return [Line(name) for name, sign in present.items() if sign]


def _reading_lines(signs: TreatmentSigns, thresholds: Thresholds) -> list[Line]:
    """What the reader must know of how sure the numbers are."""
    lines = []
    if signs.provisional:
        lines.append(Line("provisional", {"slope": _slope(signs)}))
    if signs.recent_fev1:
        measured = signs.recent_fev1.measured
        fill = {"percent": plain(measured.value)}
        if measured.value == thresholds["fev1-for-mtor-inhibitor"].low:
            lines.append(Line("borderline", fill))
        computed = signs.recent_fev1.source is PercentSource.COMPUTED
        near = thresholds["fev1-near-mtor-threshold"]
        if computed and near.is_met_by(measured.value, measured.unit):
            lines.append(Line("reference-set-matters", fill))
    return lines


def _history_lines(patient: PatientSnapshot) -> list[Line]:
    lines = []
    stopped = stopped_mtor_inhibitor(patient)
    if stopped:
        lines.append(Line("stopped", {"drug": stopped.shown, "when": _until(stopped)}))
    if not patient.absence_is_known("mtor_inhibitor"):
        lines.append(Line("medication-list-not-seen"))
    if patient.mtor_use_code:
        lines.append(Line("use-code"))
    return lines


def _until(use: MedicationUse) -> str:
    """When a drug was stopped, or the nearest that the record tells."""
    if use.ended:
        return f"until {use.ended}"
    began = f"ordered {use.on}, " if use.on else ""
    return f"{began}date of stopping not recorded"
