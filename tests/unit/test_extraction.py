"""From resources to facts: drugs, allergies, acts, classes, statuses, texts instead of codes."""

from __future__ import annotations

import json

import msgspec
import pytest

from cds_service.domain.medication import Stage
from cds_service.fhir.extraction import Extractor
from cds_service.fhir.prefetch import KEYS, read_answers
from tests.support import AS_OF, LOINC

SCT = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC = "http://www.whocc.no/atc"
SIROLIMUS = {"coding": [{"system": RXNORM, "code": "35302"}], "text": "sirolimus"}
SUBJECT = {"reference": "Patient/p"}


@pytest.fixture(scope="module")
def extractor(content):
    return Extractor(content)


@pytest.fixture
def extract(extractor, thresholds):
    """The snapshot of a woman with these resources under each key."""

    def run(patient=None, **resources):
        prefetch = dict.fromkeys(KEYS) | {
            key: {"resourceType": "Bundle", "entry": [{"resource": r} for r in found]}
            for key, found in resources.items()
        }
        prefetch["patient"] = {
            "resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1985-04-12",
        } | (patient or {})  # fmt: skip
        raw = {k: msgspec.Raw(json.dumps(v).encode()) for k, v in prefetch.items()}
        return extractor.extract(read_answers(raw), "p", thresholds, AS_OF)

    return run


def medication(**changed):
    return {
        "resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order",
        "subject": SUBJECT, "authoredOn": "2025-03-10", "medicationCodeableConcept": SIROLIMUS,
    } | changed  # fmt: skip


def drugs(snapshot):
    return [(use.drug, use.stage is Stage.CURRENT) for use in snapshot.mtor_inhibitor]


@pytest.mark.parametrize(
    ("code", "drug"),
    [
        ({"coding": [{"system": RXNORM, "code": "349208"}]}, "sirolimus"),
        ({"coding": [{"system": "urn:oid:2.16.840.1.113883.6.88", "code": "35302"}]}, "sirolimus"),
        ({"coding": [{"system": ATC, "code": "L04AA10"}]}, "sirolimus"),
        ({"coding": [{"system": ATC, "code": "L01EG02"}]}, "everolimus"),
        ({"coding": [{"system": SCT, "code": "428698007"}]}, "everolimus"),
        ({"text": "Rapamune 1 mg tablets"}, "sirolimus"),
        ({"text": "VOTUBIA 10 mg"}, "everolimus"),
        ({"coding": [{"system": "urn:local", "code": "1", "display": "Sirolimus 2 mg"}]},
         "sirolimus"),
    ],
)  # fmt: skip
def test_mtor_inhibitors_by_code_and_by_name(extract, code, drug):
    found = extract(medicationRequests=[medication(medicationCodeableConcept=code)])
    assert drugs(found) == [(drug, True)]


@pytest.mark.parametrize(
    "changed",
    [
        {"medicationCodeableConcept": {"text": "temsirolimus 25 mg"}},
        {"medicationCodeableConcept": {"text": "sirolimus gel 0.2 %"}},
        {"medicationCodeableConcept": {"text": "sirolimus-eluting stent"}},
        {"medicationCodeableConcept": {"coding": [{"system": SCT, "code": "387014003"}]}},
        {"dosageInstruction": [{"route": {"text": "Topical"}}]},
        {"intent": "proposal"},
        {"status": "draft"},
        {"status": "cancelled"},
        {"status": "entered-in-error"},
        {"medicationCodeableConcept": None},
    ],
)
def test_what_is_no_systemic_use(extract, changed):
    body = {k: v for k, v in medication(**changed).items() if v is not None}
    assert drugs(extract(medicationRequests=[body])) == []


@pytest.mark.parametrize(
    ("status", "current"),
    [("active", True), ("on-hold", True), ("stopped", False), ("completed", False)],
)
def test_use_is_current_or_past(extract, status, current):
    found = extract(medicationRequests=[medication(status=status)])
    assert drugs(found) == [("sirolimus", current)]


def test_an_unknown_status_is_a_gap(extract):
    found = extract(medicationRequests=[medication(status="unknown")])
    assert [(gap.fact, gap.reason) for gap in found.gaps] == [("mtor_inhibitor", "unknown-status")]


def test_a_drug_may_be_contained_or_an_entry_of_its_own(extract):
    drug = {"resourceType": "Medication", "id": "d", "code": SIROLIMUS}
    base = medication()
    del base["medicationCodeableConcept"]
    contained = base | {"contained": [drug], "medicationReference": {"reference": "#d"}}
    beside = base | {"medicationReference": {"reference": "https://x/fhir/Medication/d/_history/2"}}
    named = base | {"medicationReference": {"reference": "Medication/z", "display": "Sirolimus"}}
    lost = base | {"medicationReference": {"reference": "Medication/z"}}
    assert drugs(extract(medicationRequests=[contained])) == [("sirolimus", True)]
    assert drugs(extract(medicationRequests=[beside, drug])) == [("sirolimus", True)]
    assert drugs(extract(medicationRequests=[named])) == [("sirolimus", True)]
    assert drugs(extract(medicationRequests=[lost])) == []


def test_a_malformed_or_foreign_order_is_a_gap(extract):
    for changed, reason in (
        ({"authoredOn": "in spring"}, "malformed"),
        ({"subject": {"reference": "Patient/other"}}, "other-patient"),
    ):
        found = extract(medicationRequests=[medication(**changed)])
        assert [(gap.fact, gap.reason) for gap in found.gaps] == [("mtor_inhibitor", reason)]


def test_the_current_drug_comes_before_later_past_ones(extract):
    statement = {
        "resourceType": "MedicationStatement", "id": "s", "status": "stopped", "subject": SUBJECT,
        "medicationCodeableConcept": {"text": "everolimus"},
        "effectivePeriod": {"start": "2026-01-01", "end": "2026-05-01"},
    }  # fmt: skip
    found = extract(medicationRequests=[medication()], medicationStatements=[statement])
    assert drugs(found) == [("sirolimus", True), ("everolimus", False)]
    assert str(found.mtor_inhibitor[1].ended) == "2026-05-01"


@pytest.mark.parametrize(
    ("code", "changed", "found"),
    [
        (SIROLIMUS, {}, True),
        ({"coding": [{"system": RXNORM, "code": "657797"}]}, {}, True),
        ({"text": "Allergy to Rapamune"}, {}, True),
        ({"text": "penicillin"}, {}, False),
        ({"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "Z88.8"}]}, {}, False),
        ({"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "Z888"}],
          "text": "allergic to everolimus"}, {}, True),
        (SIROLIMUS, {"clinicalStatus": {"coding": [{"code": "resolved"}]}}, False),
        (SIROLIMUS, {"verificationStatus": {"coding": [{"code": "refuted"}]}}, False),
        (SIROLIMUS, {"clinicalStatus": {"coding": [{"code": "active"}]}}, True),
    ],
)  # fmt: skip
def test_allergies_to_the_class(extract, code, changed, found):
    allergy = {"resourceType": "AllergyIntolerance", "id": "a", "code": code, "patient": SUBJECT}
    assert bool(extract(allergies=[allergy | changed]).mtor_allergy) is found


@pytest.mark.parametrize(
    ("key", "resource", "fact"),
    [
        ("procedures", {"resourceType": "Procedure", "status": "completed",
                        "code": {"text": "VATS pleurodesis left"}}, "pleurodesis"),
        ("procedures", {"resourceType": "Procedure", "status": "completed",
                        "code": {"text": "Hysterectomy"}}, "contraception"),
        ("procedures", {"resourceType": "Procedure", "status": "completed",
                        "code": {"text": "HRCT thorax"},
                        "performedPeriod": {"start": "2025-01-01"}}, "chest_ct"),
        ("procedures", {"resourceType": "Procedure", "status": "completed",
                        "code": {"coding": [{"system": SCT, "code": "232657004"}]}},
         "lung_transplant"),
        ("serviceRequests", {"resourceType": "ServiceRequest", "status": "active",
                             "intent": "order", "code": {"text": "Home oxygen 2 L/min"}},
         "home_oxygen"),
        ("serviceRequests", {"resourceType": "ServiceRequest", "status": "active",
                             "intent": "order", "code": {"text": "Portable oxygen"}},
         "ambulatory_oxygen"),
        ("serviceRequests", {"resourceType": "ServiceRequest", "status": "completed",
                             "intent": "order", "code": {"text": "Pulmonary rehab"}},
         "rehabilitation"),
        ("conditions", {"resourceType": "Condition", "code": {"text": "P pulmonale on ECG"}},
         "p_pulmonale"),
        ("conditions", {"resourceType": "Condition", "code": {"text": "Tubal ligation 2015"}},
         "contraception"),
        ("conditions", {"resourceType": "Condition",
                        "code": {"coding": [{"system": SCT, "code": "89201000119106"}]}},
         "ambulatory_oxygen"),
    ],
)  # fmt: skip
def test_acts_and_statuses(extract, key, resource, fact):
    sound = resource | {"id": "x", "subject": SUBJECT}
    assert getattr(extract(**{key: [sound]}), fact)
    foreign = extract(**{key: [sound | {"subject": {"reference": "Patient/other"}}]})
    assert not getattr(foreign, fact)
    assert [gap.reason for gap in foreign.gaps] == ["other-patient"]


@pytest.mark.parametrize(
    ("key", "resource", "fact"),
    [
        ("procedures", {"resourceType": "Procedure", "status": "not-done",
                        "code": {"text": "Pleurodesis"}}, "pleurodesis"),
        ("procedures", {"resourceType": "Procedure", "status": "completed",
                        "code": {"text": "Lung biopsy declined"}}, "lung_histology"),
        ("serviceRequests", {"resourceType": "ServiceRequest", "status": "active",
                             "intent": "order", "code": {"text": "Home oxygen assessment"}},
         "home_oxygen"),
        ("serviceRequests", {"resourceType": "ServiceRequest", "status": "revoked",
                             "intent": "order", "code": {"text": "Lung transplant referral"}},
         "transplant_referral"),
        ("conditions", {"resourceType": "Condition", "code": {"text": "no P pulmonale"}},
         "p_pulmonale"),
        ("conditions", {"resourceType": "Condition", "code": {"text": "Chylothorax"}},
         "chylous_effusion"),
        ("conditions", {"resourceType": "Condition", "code": {
            "coding": [{"system": SCT, "code": "233719000"}], "text": "LAM of skin"}}, "lam"),
        ("conditions", {"resourceType": "Observation", "code": {"text": "P pulmonale"}},
         "p_pulmonale"),
        ("conditions", {"resourceType": "Condition"}, "lam"),
    ],
)  # fmt: skip
def test_what_tells_nothing(extract, key, resource, fact):
    assert not getattr(extract(**{key: [resource | {"id": "x", "subject": SUBJECT}]}), fact)


def observation(code, system=LOINC, **changed):
    return {
        "resourceType": "Observation", "id": "o", "status": "final", "subject": SUBJECT,
        "code": {"coding": [{"system": system, "code": code}]}, "effectiveDateTime": "2026-09-14",
    } | changed  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ({"valueCodeableConcept": {"coding": [{"system": SCT, "code": "420913000"}]}}, 3),
        ({"valueCodeableConcept": {"text": "NYHA Class II"}}, 2),
        ({"valueString": "III"}, 3),
        ({"valueString": "class iv"}, 4),
        ({"valueInteger": 2}, 2),
        ({"valueQuantity": {"value": 4.0}}, 4),
    ],
)
def test_functional_classes(extract, answer, value):
    found = extract(observations=[observation("88020-3", **answer)])
    assert found.functional_class.value == value


def test_a_class_may_be_a_finding_of_its_own(extract):
    found = extract(observations=[observation("421704003", SCT)])
    assert found.functional_class.value == 2


@pytest.mark.parametrize(
    "answer",
    [{"valueString": "II-III"}, {"valueString": "severe"}, {"valueQuantity": {"value": 2.5}},
     {"valueBoolean": True}, {}],
)  # fmt: skip
def test_an_answer_that_is_no_class_is_a_gap(extract, answer):
    found = extract(observations=[observation("88020-3", **answer)])
    assert found.functional_class is None
    assert [gap.reason for gap in found.gaps] == ["unknown-answer"]


@pytest.mark.parametrize(
    ("code", "answer", "pregnant"),
    [
        ("82810-3", {"valueCodeableConcept": {"coding": [
            {"system": SCT, "code": "77386006"}]}}, True),
        ("82810-3", {"valueCodeableConcept": {"text": "Not pregnant"}}, False),
        ("2106-3", {"valueString": "Positive"}, True),
        ("2106-3", {"valueString": "negative"}, False),
        ("82810-3", {"valueBoolean": True}, True),
        ("82810-3", {"valueBoolean": False}, False),
        ("82810-3", {"valueCodeableConcept": {"coding": [
            {"system": SCT, "code": "10828004"}]}}, False),
        ("82810-3", {"valueCodeableConcept": {"coding": [
            {"system": SCT, "code": "10828004", "display": "Positive"}]}}, True),
    ],
)  # fmt: skip
def test_pregnancy_status(extract, code, answer, pregnant):
    found = extract(observations=[observation(code, **answer)])
    assert bool(found.pregnancy) is pregnant


def test_a_newer_negative_status_overrides_a_positive_one(extract):
    old = observation("82810-3", valueString="positive", effectiveDateTime="2026-05-01")
    new = observation("82810-3", valueString="negative", effectiveDateTime="2026-10-01")
    assert not extract(observations=[old, new]).pregnancy
    bad = new | {"subject": {"reference": "Patient/other"}}
    assert extract(observations=[old, bad]).pregnancy


def test_the_newest_smoking_status_decides(extract):
    def status(code, day):
        answer = {"coding": [{"system": SCT, "code": code}]}
        return observation("72166-2", valueCodeableConcept=answer, effectiveDateTime=day)

    diagnosis = {
        "resourceType": "Condition", "id": "c", "subject": SUBJECT,
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F17210"}]},
    }  # fmt: skip
    assert extract(conditions=[diagnosis]).smoker
    stopped = status("8517006", "2026-09-01")
    assert not extract(conditions=[diagnosis], observations=[stopped]).smoker
    again = status("449868002", "2026-10-01")
    assert extract(observations=[stopped, again]).smoker
    unreadable = again | {"effectiveDateTime": "soon"}
    assert not extract(observations=[stopped, unreadable]).smoker


def test_birth_sex_goes_before_gender(extract):
    url = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
    found = extract(patient={"gender": "male", "extension": [{"url": url, "valueCode": "F"}]})
    assert found.sex == "female"
    assert extract(patient={"gender": "other"}).gaps[0].reason == "missing-sex"


@pytest.mark.parametrize(
    ("changed", "reasons"),
    [
        ({"birthDate": None}, ["missing-birth-date"]),
        ({"birthDate": "1985-13-45"}, ["malformed", "unreadable-date"]),
    ],
)
def test_a_patient_without_birth_date_is_a_gap(extract, changed, reasons):
    assert [gap.reason for gap in extract(patient=changed).gaps] == reasons


@pytest.mark.parametrize(
    ("changed", "dead"),
    [({"deceasedBoolean": True}, True), ({"deceasedDateTime": "2026"}, True),
     ({"deceasedBoolean": False}, False)],
)  # fmt: skip
def test_who_has_died(extract, changed, dead):
    assert extract(patient=changed).deceased is dead


def fev1(value, when, **changed):
    quantity = {"value": value, "unit": "%", "code": "%"}
    return observation("20152-5", valueQuantity=quantity, effectiveDateTime=when, **changed)


def test_on_one_day_the_later_issued_report_wins(extract):
    first = fev1(55, "2026-09-14", issued="2026-09-14T10:00:00Z")
    corrected = fev1(75, "2026-09-14", issued="2026-09-15T10:00:00Z", status="corrected")
    assert extract(observations=[corrected, first]).fev1_percent.measured.value == 75


def test_two_equal_values_of_one_time_are_one(extract):
    found = extract(observations=[fev1(55, "2026-09-14"), fev1(55, "2026-09-14")])
    assert found.fev1_percent.measured.value == 55
    assert found.gaps == ()


def test_a_vague_date_that_may_be_the_newest_is_a_gap(extract):
    found = extract(observations=[fev1(55, "2026-09-14"), fev1(75, "2026-09")])
    assert found.fev1_percent.measured.value == 55
    found = extract(
        observations=[
            observation("20150-9", valueQuantity={"value": 2.0, "code": "L"}, effectiveDateTime=day)
            for day in ("2026-09-14", "2026-09", "2026-01")
        ]
    )
    assert [gap.reason for gap in found.gaps] == ["order-unclear"]
    assert len(found.fev1) == 2


def test_periods_count_as_the_days_they_span(extract):
    body = fev1(55, None) | {"effectivePeriod": {"start": "2026-09-14", "end": "2026-09-15"}}
    del body["effectiveDateTime"]
    assert str(extract(observations=[body]).fev1_percent.measured.on) == "2026-09-14 to 2026-09-15"


def test_an_absurd_computed_percentage_is_a_gap(extract):
    litres = {"value": 7.9, "unit": "L", "code": "L"}
    predicted = {"value": 0.5, "unit": "L", "code": "L"}
    found = extract(
        observations=[
            observation("20150-9", valueQuantity=litres),
            observation("20149-1", valueQuantity=predicted),
        ]
    )
    assert found.fev1_percent is None
    assert [(gap.fact, gap.reason) for gap in found.gaps] == [("fev1_percent", "implausible")]


@pytest.mark.parametrize("when", ["2026-03-01", "2026-12-01", None])
def test_a_height_before_or_after_the_test_serves(extract, when):
    height = observation(
        "8302-2", valueQuantity={"value": 165, "code": "cm"}, effectiveDateTime="2026-06-01"
    )
    volume = observation(
        "20150-9", valueQuantity={"value": 1.8, "code": "L"}, effectiveDateTime=when or "2020-01-01"
    )
    percent = extract(observations=[height, volume]).fev1_percent
    if when == "2026-03-01":
        assert percent.source == "computed"
        assert percent.measured.note == "GLI Global 2022, height 165 cm of 2026-06-01"
    else:
        assert percent is None


def test_oxygen_in_a_component_or_charted_beside(extract):
    def spo2(**changed):
        return observation("59408-5", valueQuantity={"value": 86, "code": "%"}, **changed)

    def given(code, value, unit):
        return {"code": {"coding": [{"system": LOINC, "code": code}]},
                "valueQuantity": {"value": value, "code": unit}}  # fmt: skip

    cases = [
        ([spo2(component=[given("3151-8", 2, "L/min")])], "supplemental oxygen"),
        ([spo2(component=[given("3151-8", 0, "L/min")])], "room air"),
        ([spo2(component=[given("3150-0", 0.21, "1")])], "room air"),
        ([spo2(component=[given("3150-0", 28, "%")])], "supplemental oxygen"),
        ([spo2(component=[given("3151-8", 2, "furlong")])], "supplemental oxygen"),
        ([spo2(component=[given("3150-0", 2, "furlong")])], "inspired air not recorded"),
        ([spo2(component=[{"code": {"text": "x"}, "valueString": "on room air"}])], "room air"),
        ([spo2(component="broken")], "inspired air not recorded"),
        ([spo2(method={"text": "room air"})], "room air"),
        ([spo2(), observation("3151-8", valueQuantity={"value": 2, "code": "L/min"})],
         "supplemental oxygen"),
        ([spo2(effectiveDateTime="2026-09-14T09:00:00Z"),
          observation("3151-8", valueQuantity={"value": 2, "code": "L/min"},
                      effectiveDateTime="2026-09-14T09:16:00Z")], "inspired air not recorded"),
        ([spo2(effectiveDateTime="2026-09-14T09:00:00Z"),
          observation("3151-8", valueQuantity={"value": 2, "code": "L/min"},
                      effectiveDateTime="2026-09-14T11:15:00+02:00")], "supplemental oxygen"),
        ([spo2(effectiveDateTime="2026-09-14T09:00:00Z"),
          observation("3151-8", valueQuantity={"value": 0, "code": "L/min"})], "room air"),
        ([spo2(), observation("3151-8", valueQuantity={"value": 2, "code": "L/min"},
                              subject={"reference": "Patient/other"})],
         "inspired air not recorded"),
    ]  # fmt: skip
    for observations, air in cases:
        (reading,) = extract(observations=observations).saturation
        assert reading.air.value == air, observations


def test_of_thousands_of_saturations_only_the_deciding_ones_are_kept(extract):
    def spo2(value, day):
        return observation(
            "59417-6", valueQuantity={"value": value, "code": "%"}, effectiveDateTime=day
        )

    days = [f"2026-0{1 + i % 9}-{1 + i % 28:02}" for i in range(500)]
    chart = [spo2(97, day) for day in days] + [spo2(85, "2026-03-30"), spo2(96, "2026-10-30")]
    values = [reading.measured.value for reading in extract(observations=chart).saturation]
    assert values == [96, 85]


def test_of_two_readings_of_one_day_the_one_with_context_comes_first(extract):
    def spo2(code, value):
        return observation(code, valueQuantity={"value": value, "code": "%"})

    for chart in ([("59408-5", 96), ("59417-6", 87)], [("59417-6", 87), ("59408-5", 96)]):
        found = extract(observations=[spo2(*reading) for reading in chart])
        assert found.saturation[0].measured.value == 87
