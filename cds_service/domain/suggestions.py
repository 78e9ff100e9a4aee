"""What a card may offer to draft, change or remove."""

from __future__ import annotations

from collections.abc import Iterable

from cds_service.domain.medication import MedicationUse
from cds_service.domain.outcomes import Suggestion
from cds_service.domain.snapshot import PatientSnapshot

REMOVE = "remove-order"
CORRECT = "correct-sirolimus-dose"


def requests(patient: PatientSnapshot, *acts: str) -> tuple[Suggestion, ...]:
    """New orders, justified by the diagnosis on record."""
    diagnoses = patient.lam or patient.possible_lam or patient.tsc
    reasons = tuple(finding.reference for finding in diagnoses[:1])
    return tuple(Suggestion(act, reasons=reasons) for act in acts)


def removals(uses: Iterable[MedicationUse], *, advised: bool) -> tuple[Suggestion, ...]:
    """To take orders back, each once; `advised` if that is what the card recommends."""
    orders = {use.reference: use.shown for use in uses}
    return tuple(Suggestion(REMOVE, name, drug, advised=advised) for name, drug in orders.items())


def changes(use: MedicationUse, *, correctable: bool, advised: bool) -> tuple[Suggestion, ...]:
    """To correct an order of sirolimus, where that is possible, or to take it back."""
    removal = Suggestion(REMOVE, use.reference, use.shown, advised=False)
    if not correctable:
        return (removal,)
    return Suggestion(CORRECT, use.reference, use.shown, advised=advised), removal
