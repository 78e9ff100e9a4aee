"""What discovery offers: each service with its hook, its prefetch templates and its rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cds_service.content.model import Content

_LOINC = "http://loinc.org"
CDS_HOOKS_VERSION = "2.0.1"
_PATIENT = "patient={{context.patientId}}"

_OBSERVATIONS = (
    "fev1", "fev1-pre", "fev1-post", "fev1-predicted", "fev1-predicted-pre", "fev1-predicted-post",
    "fev1-percent", "saturation", "saturation-rest", "saturation-room-air", "saturation-exertion",
    "saturation-after-exercise", "inhaled-oxygen-flow", "inhaled-oxygen-concentration", "pao2",
    "body-height", "nyha-class", "pregnancy-status", "smoking-status", "fvc", "fvc-pre", "fvc-post",
    "fev1-fvc", "bronchodilator-response", "tumour-size",
)  # fmt: skip
_LABORATORY = (
    "haematocrit", "vegf-d", "sirolimus-level", "everolimus-level", "lipids", "blood-count",
    "creatinine", "urine-protein",
)  # fmt: skip
_TAKEN = "status=active,on-hold,stopped,completed,unknown"  # of unknown status: told as a gap
_MEDICATION_LISTS = {
    "medicationRequests": f"MedicationRequest?{_PATIENT}&{_TAKEN}",
    "medicationStatements": f"MedicationStatement?{_PATIENT}&{_TAKEN}",
}
_MEASUREMENTS = ("pregnancy-status", "body-height", "body-weight", "body-surface-area")


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the discovery document; `required` names the keys without which 412."""

    id: str
    hook: str
    title: str
    description: str
    usage_requirements: str
    prefetch: Mapping[str, str]
    required: frozenset[str]

    def as_discovered(self, advertise_version: bool) -> dict[str, Any]:
        """The entry of the discovery document."""
        entry = {
            "hook": self.hook,
            "id": self.id,
            "title": self.title,
            "description": self.description,
            "usageRequirements": self.usage_requirements,
            "prefetch": dict(self.prefetch),
        }
        return entry | ({"version": CDS_HOOKS_VERSION} if advertise_version else {})


def services(content: Content) -> tuple[Service, ...]:
    """Every service there is, whether offered or not."""
    return (
        _patient_view(content),
        _order_service(content, "order-select", "chosen", "Only the orders that `selections` names "
                       "are judged; the other drafts count as background."),
        _order_service(content, "order-sign", "signed", "All drafts are judged."),
    )  # fmt: skip


def named_in(body: bytes, offered: Sequence[Service]) -> Service | None:
    """The service of the hook that a call names; the first one, to tell what is wrong with it."""
    known = (service for service in offered if f'"{service.hook}"'.encode() in body)
    return next(known, offered[0] if offered else None)


def _patient_view(content: Content) -> Service:
    return Service(
        id="lam-tsc-patient-view",
        hook="patient-view",
        title="Lung care in LAM and TSC",
        description=(
            "Advises clinicians on adults with lymphangioleiomyomatosis (LAM) or tuberous "
            "sclerosis complex (TSC): mTOR inhibitor treatment, its monitoring and interactions, "
            "home oxygen, referral for lung transplantation, lung function tests, pneumothorax, "
            "hormones, smoking, angiomyolipoma, screening and diagnosis."
        ),
        usage_requirements=(
            "FHIR R4. The keys patient, conditions and observations are required (412 without "
            "them). Without laboratory, medicationRequests or medicationStatements, allergies, "
            "procedures, serviceRequests or imaging the answer is shorter, and cards say what was "
            "not sent. For clinicians: a call by a patient or a proxy gets no cards."
        ),
        prefetch={
            "patient": "Patient/{{context.patientId}}",
            "conditions": f"Condition?{_PATIENT}",
            "observations": _newest("Observation", _loinc(content, _OBSERVATIONS), 500),
            "laboratory": _newest("Observation", _loinc(content, _LABORATORY), 200),
            **_MEDICATION_LISTS,
            "allergies": f"AllergyIntolerance?{_PATIENT}",
            "procedures": f"Procedure?{_PATIENT}",
            "serviceRequests": f"ServiceRequest?{_PATIENT}&status=active,completed",
            "imaging": _newest("DiagnosticReport", _loinc(content, ("chest-ct",)), 20),
        },
        required=frozenset({"patient", "conditions", "observations"}),
    )


def _order_service(content: Content, hook: str, done: str, judged: str) -> Service:
    return Service(
        id=f"lam-tsc-{hook}",
        hook=hook,
        title=f"Safe orders in LAM and TSC: {hook}",
        description=(
            f"Checks orders that are being {done} for people with lymphangioleiomyomatosis (LAM) "
            "or tuberous sclerosis complex (TSC): the dose of an mTOR inhibitor, its interactions, "
            "live vaccines, pregnancy and a coming lung transplant, estrogen, and unproven "
            "treatments of LAM."
        ),
        usage_requirements=(
            "FHIR R4. The keys patient, conditions and medicationRequests are required (412 "
            "without them). Without medicationStatements, measurements, allergies, procedures or "
            f"serviceRequests the check is less complete. {judged} Judged are MedicationRequest "
            "and ServiceRequest; a Medication may be inline, contained or an entry of its own. "
            "For clinicians: a call by a patient or a proxy gets no cards."
        ),
        prefetch={
            "patient": "Patient/{{context.patientId}}",
            "conditions": f"Condition?{_PATIENT}",
            "measurements": _newest("Observation", _loinc(content, _MEASUREMENTS), 100),
            **_MEDICATION_LISTS,
            "allergies": f"AllergyIntolerance?{_PATIENT}",
            "procedures": f"Procedure?{_PATIENT}",
            "serviceRequests": f"ServiceRequest?{_PATIENT}&status=active,completed",
        },
        required=frozenset({"patient", "conditions", "medicationRequests"}),
    )


def _newest(resource_type: str, codes: str, count: int) -> str:
    """A search for codes, newest first: a first page then holds what decides."""
    return f"{resource_type}?{_PATIENT}&code={codes}&_sort=-date&_count={count}"


def _loinc(content: Content, names: Iterable[str]) -> str:
    found = {c for name in names for s, c in content.concepts[name].codes if s == _LOINC}
    return ",".join(sorted(found))
