"""Suggestions: what each kind of client can take over, and what is never offered."""

from __future__ import annotations

import copy

import pytest

from cds_service.app import close_app, create_app
from cds_service.hooks.profiles import PROFILES
from tests.golden.cases import all_cases
from tests.support import AS_OF, assert_valid, case_request, post, settings, walk

CASES = [case for case in all_cases() if any("suggestions" in c for c in case.expected["cards"])]
HIGH = "verify-mtor-inhibitor-dose/sirolimus-10-mg"
MANY = "monitor-mtor-inhibitor/nothing-on-record"


@pytest.fixture(scope="module")
def clients():
    made = {
        name: create_app(settings(client_profile=name), today=lambda: AS_OF) for name in PROFILES
    }
    yield {name: app.test_client() for name, app in made.items()}
    for app in made.values():
        close_app(app)


def cards(client, body):
    answer = post(client, body)
    assert answer.status_code == 200
    assert_valid("response", answer.get_json())
    return answer.get_json()["cards"]


def suggestions(client, body):
    return [s for card in cards(client, body) for s in card.get("suggestions", ())]


@pytest.mark.conformance("C103", "C104", "C105", "C107", "C108", "C109", "C111", "C112", "C113")
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_profile_obeys_its_rules(clients, profile, case):
    rules = PROFILES[profile]
    for card in cards(clients[profile], case.request):
        assert ("uuid" in card) is ("overrideReasons" in card) is rules.feedback
        found = card.get("suggestions", [])
        assert ("selectionBehavior" in card) is bool(found)
        if card.get("selectionBehavior") == "any":
            assert rules.any_number
        elif found:
            assert rules.exclusive
            assert sum("isRecommended" in s for s in found) <= 1
        for suggestion in found:
            assert "actionSelectionBehavior" not in suggestion
            assert not rules.any_number or len(suggestion["actions"]) == 1
            assert rules.marks_advised or "isRecommended" not in suggestion
            for action in suggestion["actions"]:
                named = "resourceId" if rules.resource_id else "resource"
                assert action["type"] != "delete" or action[named].startswith(
                    ("MedicationRequest/draft-", "ServiceRequest/draft-")
                )


@pytest.mark.conformance("C105")
def test_how_several_requests_are_offered(clients):
    body = case_request(MANY)
    modern, old, epic = (suggestions(clients[n], body) for n in ("hl7-2.0", "hl7-1.0", "epic"))
    assert [len(s["actions"]) for s in modern] == [1] * 5
    assert [len(s["actions"]) for s in old] == [5]
    assert [len(s["actions"]) for s in epic] == [1] * 5
    assert all(s["isRecommended"] for s in modern)


def test_how_alternatives_are_offered(clients):
    body = case_request(HIGH, "order-sign")
    modern, old, epic = (suggestions(clients[n], body) for n in ("hl7-2.0", "hl7-1.0", "epic"))
    assert [s["actions"][0]["type"] for s in modern] == ["update", "delete"]
    assert [s["actions"][0]["type"] for s in old] == ["update", "delete"]
    assert [s["actions"][0]["type"] for s in epic] == ["update"]
    assert [s.get("isRecommended") for s in modern] == [True, None]


@pytest.mark.conformance("C116")
def test_a_deletion_names_its_order_as_the_version_of_the_client_does(clients):
    body = case_request("avoid-estrogen/combined-contraceptive", "order-sign")
    (modern,) = suggestions(clients["hl7-2.0"], body)
    assert modern["actions"][0]["resourceId"] == "MedicationRequest/draft-1"
    (old,) = suggestions(clients["hl7-1.0"], body)
    assert old["actions"][0]["resource"] == "MedicationRequest/draft-1"
    assert "resourceId" not in old["actions"][0]


@pytest.mark.conformance("C115", "C117")
def test_an_update_is_the_whole_order_with_another_dosage(client):
    body = case_request(HIGH, "order-sign")
    sent = body["context"]["draftOrders"]["entry"][0]["resource"]
    sent |= {
        "extension": [{"url": "https://ehr.example.org/x", "valueDecimal": 1.50}],
        "priority": "urgent",
        "dispenseRequest": {"quantity": {"value": 30}},
        "_status": {"id": "kept"},
    }
    sent["dosageInstruction"][0] |= {
        "route": {"text": "oral"},
        "extension": [{"url": "https://ehr.example.org/y", "valueString": "kept"}],
        "patientInstruction": "take ten",
        "maxDosePerPeriod": {"numerator": {"value": 10}, "denominator": {"value": 1}},
    }
    before = copy.deepcopy(sent)
    made = suggestions(client, body)[0]["actions"][0]["resource"]
    assert {k: v for k, v in made.items() if k != "dosageInstruction"} == {
        k: v for k, v in before.items() if k != "dosageInstruction"
    }
    (dosage,) = made["dosageInstruction"]
    assert dosage["text"] == "2 mg by mouth once daily"
    assert dosage["doseAndRate"][0]["doseQuantity"]["value"] == 2
    assert dosage["route"] == {"text": "oral"}
    assert dosage["extension"][0]["valueString"] == "kept"
    assert not {"patientInstruction", "maxDosePerPeriod", "asNeededBoolean"} & set(dosage)


@pytest.mark.conformance("C110", "C114")
def test_a_new_order_is_a_draft_for_this_patient_with_its_reason(client):
    (made,) = suggestions(client, case_request())
    (action,) = made["actions"]
    order = action["resource"]
    assert (order["status"], order["intent"]) == ("draft", "proposal")
    assert order["subject"] == {"reference": "Patient/synthetic"}
    assert order["reasonReference"] == [{"reference": "Condition/condition-1"}]
    assert order["medicationCodeableConcept"]["coding"][0]["code"] == "35302"
    assert order["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"] == 2
    assert "id" not in order


@pytest.mark.parametrize(("profile", "intent"), [("hl7-1.0", "proposal"), ("epic", "order"),
                                                 ("sandbox", "order")])  # fmt: skip
def test_the_intent_is_that_of_the_profile(clients, profile, intent):
    (made,) = suggestions(clients[profile], case_request())
    assert made["actions"][0]["resource"]["intent"] == intent


@pytest.mark.parametrize(
    "name",
    [
        "start-mtor-inhibitor/allergy-to-sirolimus",
        "start-mtor-inhibitor/interacting-drug",
        "start-mtor-inhibitor/sirolimus-stopped",
        "start-mtor-inhibitor/allergies-not-sent",
        "confirm-lam-diagnosis/nothing-confirms-lam",
        "screen-for-lam/pregnant",
        "repeat-pulmonary-function/requested-already",
        "plan-mtor-inhibitor-before-transplant/listed",
    ],
)
def test_no_drug_or_request_against_the_record(client, name):
    drafted = [
        s["actions"][0]["resource"] for s in suggestions(client, case_request(name))
        if "medicationCodeableConcept" in str(s) or "chest" in str(s) or "spirometry" in str(s)
    ]  # fmt: skip
    assert drafted == []


@pytest.mark.parametrize(
    "changed",
    [
        {"conditions": "PREGNANT"}, {"allergies": "ALLERGY"}, {"conditions": "LISTED"},
    ],
)  # fmt: skip
def test_no_corrected_dose_against_the_record(client, changed):
    name = {
        "PREGNANT": "plan-pregnancy/sirolimus-in-pregnancy",
        "LISTED": "plan-mtor-inhibitor-before-transplant/sirolimus-while-listed",
        "ALLERGY": "verify-mtor-inhibitor-dose/allergy-on-record",
    }[next(iter(changed.values()))]
    body = case_request(name, "order-sign")
    high = case_request(HIGH, "order-sign")
    body["context"]["draftOrders"] = high["context"]["draftOrders"]
    types = [s["actions"][0]["type"] for s in suggestions(client, body)]
    assert types
    assert "update" not in types


def test_everolimus_and_angiomyolipoma_are_never_given_a_dose():
    for case in all_cases():
        for value in walk(case.expected):
            if isinstance(value, dict) and "dosageInstruction" in value:
                assert "everolimus" not in str(value).lower()
                (line,) = value["dosageInstruction"]
                assert line["doseAndRate"][0]["doseQuantity"]["value"] == 2


def test_an_order_without_an_id_cannot_be_acted_upon(client):
    body = case_request(HIGH, "order-sign")
    del body["context"]["draftOrders"]["entry"][0]["resource"]["id"]
    assert suggestions(client, body) == []


def test_a_diagnosis_without_an_id_is_no_reason(client):
    body = case_request()
    for entry in body["prefetch"]["conditions"]["entry"]:
        del entry["resource"]["id"]
    (made,) = suggestions(client, body)
    assert "reasonReference" not in made["actions"][0]["resource"]


@pytest.mark.parametrize(
    ("code", "still_offered"),
    [
        ({"coding": [{"system": "http://loinc.org", "code": "2093-3"}]}, False),
        ({"coding": [{"system": "urn:oid:2.16.840.1.113883.6.1", "code": "2093-3"}]}, False),
        ({"coding": [{"system": "http://loinc.org", "code": "1-1"}]}, True),
        ({"text": "Lipids: cholesterol and triglycerides"}, True),  # known by its code
    ],
)
def test_what_is_requested_is_not_offered_again(client, code, still_offered):
    body = case_request(MANY)
    body["prefetch"]["serviceRequests"] = {
        "resourceType": "Bundle",
        "entry": [{"resource": {
            "resourceType": "ServiceRequest", "id": "r", "status": "active", "intent": "order",
            "subject": {"reference": "Patient/synthetic"}, "code": code,
        }}],
    }  # fmt: skip
    labels = [s["label"] for s in suggestions(client, body)]
    assert ("Request lipids" in labels) is still_offered
    assert len(labels) == 4 + still_offered


def test_a_request_without_a_code_is_known_by_its_text(client):
    body = case_request("assess-home-oxygen/rest-89")
    before = [s["label"] for s in suggestions(client, body)]
    body["prefetch"]["serviceRequests"] = {
        "resourceType": "Bundle",
        "entry": [{"resource": {
            "resourceType": "ServiceRequest", "id": "r", "status": "active", "intent": "order",
            "code": {"text": "Overnight oximetry on room air"},
        }}],
    }  # fmt: skip
    after = [s["label"] for s in suggestions(client, body)]
    assert set(before) - set(after) == {"Request overnight oximetry"}
