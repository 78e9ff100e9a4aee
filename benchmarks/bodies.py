"""
Request bodies for measuring: charts of any size, the same every time.

The patient is synthetic: a woman with LAM and TSC who is seen every 13 weeks from March 2019 and
loses about 120 mL of FEV1 a year. Resources carry what real servers send along and no rule reads.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

SERVER = "https://ehr.example.org/fhir/R4"
PATIENT = "eLamPatient000000001"
FIRST_VISIT = datetime(2019, 3, 4, 9, tzinfo=UTC)
UCUM, LOINC = "http://unitsofmeasure.org", "http://loinc.org"
TERMS = "http://terminology.hl7.org/CodeSystem"
LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"

# kind: LOINC code, display, category, unit, normal range
KINDS: dict[str, tuple[str, str, str, str, tuple[float, float]]] = {
    "fev1": ("20150-9", "FEV1", "procedure", "L", (2.2, 3.6)),
    "fev1pp": ("20152-5", "FEV1 measured/predicted", "procedure", "%", (80, 120)),
    "fvc": (
        "19868-9", "Forced vital capacity [Volume] Respiratory system by Spirometry",
        "procedure", "L", (2.8, 4.4),
    ),
    "spo2": (
        "59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry", "vital-signs", "%",
        (94, 100),
    ),
    "hr": ("8867-4", "Heart rate", "vital-signs", "/min", (60, 100)),
    "rr": ("9279-1", "Respiratory rate", "vital-signs", "/min", (12, 20)),
    "temp": ("8310-5", "Body temperature", "vital-signs", "Cel", (36.1, 37.5)),
    "wt": ("29463-7", "Body weight", "vital-signs", "kg", (50, 90)),
    "ht": ("8302-2", "Body height", "vital-signs", "cm", (150, 190)),
    "bp": (
        "85354-9", "Blood pressure panel with all children optional", "vital-signs", "mm[Hg]",
        (90, 130),
    ),
}  # fmt: skip
DIAGNOSES = [
    ("J84.81", "Lymphangioleiomyomatosis"),
    ("Q85.1", "Tuberous sclerosis"),
    ("D17.71", "Benign lipomatous neoplasm of kidney"),
    ("J93.11", "Primary spontaneous pneumothorax"),
    ("J94.0", "Chylous effusion"),
    ("G40.909", "Epilepsy, unspecified, not intractable"),
    ("R06.09", "Other forms of dyspnea"),
    ("J96.11", "Chronic respiratory failure with hypoxia"),
    ("I10", "Essential (primary) hypertension"),
    ("E78.5", "Hyperlipidemia, unspecified"),
    ("K21.9", "Gastro-esophageal reflux disease without esophagitis"),
    ("F41.1", "Generalized anxiety disorder"),
    ("E55.9", "Vitamin D deficiency, unspecified"),
    ("M81.0", "Age-related osteoporosis without current pathological fracture"),
    ("L71.9", "Rosacea, unspecified"),
    ("D32.9", "Benign neoplasm of meninges, unspecified"),
    ("N18.2", "Chronic kidney disease, stage 2 (mild)"),
    ("J30.9", "Allergic rhinitis, unspecified"),
    ("G43.909", "Migraine, unspecified, not intractable"),
    ("Z86.69", "Personal history of other diseases of the nervous system"),
]
SNOMED = {
    "J84.81": ("277844007", "Pulmonary lymphangioleiomyomatosis"),
    "Q85.1": ("7199000", "Tuberous sclerosis syndrome"),
}

Resource = dict[str, Any]


def request_body(conditions: int, observations: int, seed: int = 20) -> bytes:
    """A patient-view call with so many Conditions and Observations, as compact JSON."""
    chart = _Chart(random.Random(seed))
    return json.dumps(chart.call(conditions, observations), separators=(",", ":")).encode()


def _time(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _concept(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def _status(system: str, code: str) -> Resource:
    coding = {"system": f"{TERMS}/{system}", "version": "4.0.0", "code": code,
              "display": code.title()}  # fmt: skip
    return {"coding": [coding], "text": code.title()}


def _quantity(value: float, unit: str) -> Resource:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


class _Chart:
    """Draws everything from one random source, so that a seed gives one chart."""

    def __init__(self, source: random.Random) -> None:
        self.random = source

    def id(self) -> str:
        return "e" + "".join(self.random.choices(LETTERS, k=19))

    def uuid(self) -> str:
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def call(self, conditions: int, observations: int) -> Resource:
        token = {"access_token": "x" * 64, "token_type": "Bearer", "expires_in": 300,
                 "scope": "patient/Patient.read patient/Condition.read patient/Observation.read",
                 "subject": "lam-cds"}  # fmt: skip
        return {
            "hook": "patient-view",
            "hookInstance": self.uuid(),
            "fhirServer": SERVER,
            "fhirAuthorization": token,
            "context": {
                "userId": "Practitioner/ePrac1", "patientId": PATIENT, "encounterId": "eEnc1",
            },
            "prefetch": {
                "patient": self.patient(),
                "conditions": self.bundle(
                    "Condition", [self.condition(i) for i in range(conditions)]
                ),
                "observations": self.bundle("Observation", self.observations(observations)),
            },
        }  # fmt: skip

    def patient(self) -> Resource:
        sex = {"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex",
               "valueCode": "F"}  # fmt: skip
        return {
            "resourceType": "Patient",
            "id": PATIENT,
            "meta": {"versionId": "3", "lastUpdated": _time(FIRST_VISIT)},
            "extension": [sex],
            "identifier": [{"use": "usual", "type": {"text": "MRN"}, "value": "12345"}],
            "active": True,
            "name": [{"use": "official", "text": "Lena Example", "family": "Example"}],
            "telecom": [{"system": "phone", "value": "555-0100", "use": "home"}],
            "gender": "female",
            "birthDate": "1982-06-14",
            "deceasedBoolean": False,
            "address": [{"use": "home", "line": ["1 Example Way"], "city": "Springfield"}],
        }

    def condition(self, number: int) -> Resource:
        code, text = DIAGNOSES[number % len(DIAGNOSES)]
        coding = [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code, "display": text}]
        if code in SNOMED:
            snomed, display = SNOMED[code]
            coding.append({"system": "http://snomed.info/sct", "code": snomed, "display": display})
        coding.append({"system": "urn:oid:1.2.840.114350.1.13.0.1.7.2.696871",
                       "code": str(40000 + number), "display": text})  # fmt: skip
        onset = FIRST_VISIT - timedelta(days=90 * number)
        category = _concept(f"{TERMS}/condition-category", "problem-list-item", "Problem List Item")
        return {
            "resourceType": "Condition",
            "id": self.id(),
            "meta": {"versionId": "1", "lastUpdated": _time(onset)},
            "clinicalStatus": _status("condition-clinical", "active"),
            "verificationStatus": _status("condition-ver-status", "confirmed"),
            "category": [category],
            "code": {"coding": coding, "text": text},
            "subject": {"reference": f"Patient/{PATIENT}", "display": "Example, Lena"},
            "onsetDateTime": onset.strftime("%Y-%m-%d"),
            "recordedDate": onset.strftime("%Y-%m-%d"),
        }

    def observations(self, number: int) -> list[Resource]:
        found: list[Resource] = []
        while len(found) < number:
            visit = len(found) // len(KINDS)
            minutes = self.random.randrange(180)
            when = FIRST_VISIT + timedelta(days=91 * visit, minutes=minutes)
            values = self.values(visit * 91 / 365.25)
            wanted = list(KINDS)[: number - len(found)]
            found += [self.observation(kind, values[kind], when) for kind in wanted]
        return found

    def values(self, years: float) -> dict[str, Any]:
        draw = self.random
        fev1 = round(2.45 - 0.12 * years + draw.gauss(0, 0.03), 2)
        return {
            "fev1": fev1,
            "fev1pp": round(fev1 / 3.05 * 100, 1),
            "fvc": round(3.3 - 0.05 * years + draw.gauss(0, 0.03), 2),
            "spo2": int(max(84, 95 - years + draw.gauss(0, 1))),
            "hr": draw.randrange(62, 98),
            "rr": draw.randrange(12, 22),
            "temp": round(draw.uniform(36.2, 37.4), 1),
            "wt": round(61 + draw.uniform(-2, 2), 1),
            "ht": 165,
            "bp": (draw.randrange(104, 138), draw.randrange(62, 88)),
        }

    def observation(self, kind: str, value: Any, when: datetime) -> Resource:
        code, display, category, unit, (low, high) = KINDS[kind]
        resource = {
            "resourceType": "Observation",
            "id": self.id(),
            "meta": {"versionId": "1", "lastUpdated": _time(when + timedelta(minutes=40))},
            "status": "final",
            "category": [
                _concept(f"{TERMS}/observation-category", category, category.replace("-", " "))
            ],
            "code": _concept(LOINC, code, display),
            "subject": {"reference": f"Patient/{PATIENT}", "display": "Example, Lena"},
            "encounter": {"reference": f"Encounter/{self.id()}", "display": "Office Visit"},
            "effectiveDateTime": _time(when),
            "issued": _time(when + timedelta(minutes=35)),
            "performer": [
                {"reference": f"Practitioner/{self.id()}", "display": "Pat Example, RRT"}
            ],
        }
        if kind == "bp":
            return resource | {"component": self.pressures(value)}
        resource["valueQuantity"] = _quantity(value, unit)
        if category == "procedure" or kind == "spo2":
            flag = "L" if value < low else "H" if value > high else "N"
            resource["interpretation"] = [
                {"coding": [{"system": f"{TERMS}/v3-ObservationInterpretation", "code": flag}]}
            ]
            resource["referenceRange"] = [
                {"low": _quantity(low, unit), "high": _quantity(high, unit)}
            ]
        return resource

    def pressures(self, value: tuple[int, int]) -> list[Resource]:
        codes = (("8480-6", "Systolic blood pressure"), ("8462-4", "Diastolic blood pressure"))
        return [
            {"code": _concept(LOINC, code, display), "valueQuantity": _quantity(number, "mm[Hg]")}
            for (code, display), number in zip(codes, value, strict=True)
        ]

    def bundle(self, resource_type: str, resources: list[Resource]) -> Resource:
        link = f"{SERVER}/{resource_type}?patient={PATIENT}&_count=200"
        return {
            "resourceType": "Bundle",
            "id": self.uuid(),
            "type": "searchset",
            "total": len(resources),
            "link": [{"relation": "self", "url": link}],
            "entry": [
                {
                    "fullUrl": f"{SERVER}/{resource_type}/{resource['id']}",
                    "resource": resource,
                    "search": {"mode": "match"},
                }
                for resource in resources
            ],
        }
