"""What an order is for: by what it says itself, or else by what is on record."""

from __future__ import annotations

from cds_service.domain.medication import MedicationUse, Reason
from cds_service.domain.snapshot import PatientSnapshot

_OTHER_THAN_LAM = frozenset(Reason) - {Reason.LAM}
_OWN_SIROLIMUS_DOSES = frozenset({Reason.CANCER, Reason.TRANSPLANT})


def indications(use: MedicationUse, patient: PatientSnapshot) -> frozenset[Reason]:
    """
    The uses, other than LAM, for which high doses or doses by body surface are known.

    An order that gives one of these as its reason has it; one that gives LAM has none. An order
    that gives neither may be for any of them that is on record.
    """
    if use.reasons:
        return use.reasons & _OTHER_THAN_LAM
    on_record = {
        Reason.ANGIOMYOLIPOMA: patient.angiomyolipoma,
        Reason.SEGA: patient.subependymal_astrocytoma,
        Reason.CANCER: patient.cancer,
        Reason.TRANSPLANT: (*patient.organ_transplant, *patient.lung_transplant),
    }
    return frozenset(reason for reason, found in on_record.items() if found)


def is_for_lam(use: MedicationUse, patient: PatientSnapshot) -> bool:
    """
    Whether a sirolimus order counts as one for LAM: LAM is on record, and no use of its own dose.

    Angiomyolipoma and SEGA are no such use: their high doses are those of everolimus, and taking
    them for sirolimus is the very error to be caught.
    """
    return bool(patient.lam) and not indications(use, patient) & _OWN_SIROLIMUS_DOSES
