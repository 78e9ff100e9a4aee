"""Avoid live vaccines while an mTOR inhibitor is taken."""

from __future__ import annotations

from datetime import date

from cds_service.domain.medication import MedicationUse, Stage
from cds_service.domain.outcomes import (
    Basis,
    Indicator,
    Line,
    NotIndicated,
    Outcome,
    Recommended,
    Undetermined,
)
from cds_service.domain.population import NO_MTOR_INHIBITOR, NOTHING_DRAFTED, met
from cds_service.domain.reasons import medication_basis
from cds_service.domain.snapshot import PatientSnapshot
from cds_service.domain.suggestions import REMOVE, removals
from cds_service.domain.thresholds import Thresholds

CARD = "avoid-live-vaccine"
READS = frozenset({"mtor_inhibitor", "live_vaccine", "perhaps_live_vaccine", "drafts"})
_DRUG = frozenset({"drug"})
SUMMARIES = {"live": _DRUG, "perhaps-live": _DRUG}
LINES = {"live": _DRUG, "perhaps-live": _DRUG}
ACTS = frozenset({REMOVE})


def recommend(patient: PatientSnapshot, thresholds: Thresholds, as_of: date) -> Outcome:  # noqa: ARG001
    """
    Recommend another vaccine, or another time, when the ordered one is live.

    A vaccine whose code does not say whether it is live is asked about; an inactivated or
    recombinant one stays silent.
    """
    vaccines = [use for use in (*patient.live_vaccine, *patient.perhaps_live_vaccine)
                if use.stage in (Stage.DRAFTED, Stage.BACKGROUND)]  # fmt: skip
    if not vaccines:
        return NOTHING_DRAFTED
    uses = met(patient.mtor_inhibitor)
    if not uses:
        known = patient.absence_is_known("mtor_inhibitor")
        return NO_MTOR_INHIBITOR if known else Undetermined(missing=("mtor_inhibitor",))
    drafted = any(use.stage is Stage.DRAFTED for use in uses)
    asked = [v for v in vaccines if drafted or v.stage is Stage.DRAFTED]
    if not asked:
        return NotIndicated((Basis("nothing-drafted"),), unless=frozenset({"drafts"}))
    return _advise(asked, uses[0])


def _advise(vaccines: list[MedicationUse], use: MedicationUse) -> Recommended:
    live = [vaccine for vaccine in vaccines if vaccine.drug == "live-vaccine"]
    kinds = [("live", live), ("perhaps-live", [v for v in vaccines if v.drug != "live-vaccine"])]
    lines = tuple(Line(kind, {"drug": use.shown}) for kind, found in kinds if found)
    drafted = [vaccine for vaccine in vaccines if vaccine.stage is Stage.DRAFTED]
    return Recommended(
        card=CARD,
        summary=lines[0],
        because=(*map(medication_basis, vaccines), medication_basis(use)),
        lines=lines,
        indicator=None if live else Indicator.INFO,
        suggestions=removals(drafted, advised=bool(live)),
    )
