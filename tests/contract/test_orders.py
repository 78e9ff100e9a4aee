"""The order hooks: what is judged, what is refused, and what is never lost."""

from __future__ import annotations

import time

import pytest

from tests.contract.test_calls import assert_refused
from tests.support import ORDER_HOOKS, assert_valid, case_request, post, topics, without

DOSE = "verify-mtor-inhibitor-dose"
HIGH = f"{DOSE}/sirolimus-10-mg"
SELECT, SIGN = ORDER_HOOKS


def high(hook=SIGN):
    return case_request(HIGH, hook)


def drafts(body):
    return body["context"]["draftOrders"]["entry"]


def with_drafts(body, *resources):
    body["context"]["draftOrders"]["entry"] = [{"resource": r} for r in resources]
    return body


def draft(body, **changed):
    return {**drafts(body)[0]["resource"], **changed}


@pytest.mark.conformance("C053", "C057")
@pytest.mark.parametrize("hook", ORDER_HOOKS)
@pytest.mark.parametrize("member", ["draftOrders", "selections", "patientId"])
def test_a_missing_member_is_named(client, hook, member):
    body = high(hook)
    if member not in body["context"]:
        assert topics(post(client, body)) == [DOSE]
        return
    answer = post(client, without(body, "context", member))
    assert_refused(answer, 400, f"context.{member}: missing")


@pytest.mark.conformance("C053", "C057")
@pytest.mark.parametrize("value", [None, [], "x", 7, {}, {"resourceType": "Patient"}])
def test_draft_orders_must_be_a_bundle(client, value):
    body = high()
    body["context"]["draftOrders"] = value
    assert_refused(post(client, body), 400, "context.draftOrders")


@pytest.mark.conformance("C053")
@pytest.mark.parametrize("value", ["MedicationRequest/draft-1", {}, [7], None])
def test_selections_must_be_a_list_of_references(client, value):
    body = high(SELECT)
    body["context"]["selections"] = value
    assert_refused(post(client, body), 400, "context.selections")


@pytest.mark.conformance("C053", "C057")
@pytest.mark.parametrize("user", ["Practitioner/1", "PractitionerRole/1", None])
def test_every_kind_of_clinician_is_answered(client, user):
    body = high()
    body["context"]["userId"] = user
    assert topics(post(client, body)) == [DOSE]


@pytest.mark.conformance("C054")
def test_only_what_is_selected_is_judged(client):
    body = case_request(f"{DOSE}/only-the-other-order-is-wrong", SELECT)
    assert topics(post(client, body)) == []
    body["context"]["selections"] = ["MedicationRequest/draft-2"]
    assert topics(post(client, body)) == [DOSE]


@pytest.mark.conformance("C054")
@pytest.mark.parametrize(
    "name",
    ["MedicationRequest/draft-1", "https://ehr.example.org/fhir/MedicationRequest/draft-1",
     "MedicationRequest/draft-1/_history/3"],
)  # fmt: skip
def test_selections_may_be_absolute(client, name):
    body = high(SELECT)
    body["context"]["selections"] = [name]
    assert topics(post(client, body)) == [DOSE]


@pytest.mark.conformance("C055")
def test_selections_that_lead_nowhere_are_let_go(client):
    body = high(SELECT)
    body["context"]["selections"] += ["MedicationRequest/gone"]
    assert topics(post(client, body)) == [DOSE]
    body["context"]["selections"] = ["MedicationRequest/gone"]
    assert post(client, body).get_json() == {"cards": []}
    body["context"]["selections"] = []
    assert post(client, body).get_json() == {"cards": []}


@pytest.mark.conformance("C056")
@pytest.mark.parametrize(
    "kept", [(), ("status",), ("status", "intent"), ("medicationCodeableConcept",), ("id",)]
)
@pytest.mark.parametrize("hook", ORDER_HOOKS)
def test_drafts_may_be_incomplete(client, hook, kept):
    body = high(hook)
    full = draft(body)
    small = {"resourceType": "MedicationRequest", **{name: full[name] for name in kept}}
    answer = post(client, with_drafts(body, small))
    assert answer.status_code == 200
    assert_valid("response", answer.get_json())


@pytest.mark.conformance("C058")
@pytest.mark.parametrize("status", ["active", "on-hold", None])
def test_orders_that_are_no_drafts_are_judged_and_not_changed(client, status):
    body = high()
    answer = post(client, with_drafts(body, draft(body, status=status)))
    assert topics(answer) == [DOSE]
    assert "suggestions" not in answer.get_json()["cards"][0]


@pytest.mark.conformance("C059")
def test_a_medication_may_be_anywhere(client):
    body = high()
    drug = {"resourceType": "Medication", "id": "m",
            "code": draft(body)["medicationCodeableConcept"]}  # fmt: skip
    order = draft(body)
    del order["medicationCodeableConcept"]
    for bundle in (
        [{"resource": {**order, "contained": [drug], "medicationReference": {"reference": "#m"}}}],
        [{"resource": {**order, "medicationReference": {"reference": "Medication/m"}}},
         {"resource": drug}],
        [{"resource": {**order, "medicationReference": {"reference": "urn:uuid:1"}}},
         {"fullUrl": "urn:uuid:1", "resource": drug}],
        [{"resource": {**order, "medicationReference": {"display": "sirolimus"}}}],
    ):  # fmt: skip
        body["context"]["draftOrders"]["entry"] = bundle
        assert topics(post(client, body)) == [DOSE]


@pytest.mark.conformance("C059", "C062")
@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "DeviceRequest", "id": "d", "codeCodeableConcept": {"text": "sirolimus"}},
        {"resourceType": "MedicationOrder", "id": "d", "status": "draft",
         "medicationCodeableConcept": {"text": "sirolimus"}},
        {"resourceType": "Procedure", "id": "d", "code": 7},
        {"resourceType": 7}, {}, {"id": "d"}, None, [], 7, "sirolimus",
    ],
)  # fmt: skip
def test_what_no_rule_judges_is_let_go(client, resource):
    assert post(client, with_drafts(high(), resource)).get_json() == {"cards": []}


@pytest.mark.conformance("C063")
@pytest.mark.parametrize("hook", ORDER_HOOKS)
def test_an_order_of_another_patient_is_told_and_not_judged(client, hook):
    body = high(hook)
    answer = post(client, with_drafts(body, draft(body, subject={"reference": "Patient/other"})))
    assert topics(answer) == ["review-unreadable-data"]
    (card,) = answer.get_json()["cards"]
    assert "names another patient" in card["detail"]
    assert "suggestions" not in card


@pytest.mark.parametrize("hook", ORDER_HOOKS)
def test_an_order_that_is_no_fhir_is_told_and_the_others_are_judged(client, hook):
    body = high(hook)
    body["context"]["selections"] = ["MedicationRequest/draft-1", "MedicationRequest/b"]
    broken = draft(body, id="b", medicationCodeableConcept=7)
    answer = post(client, with_drafts(body, draft(body), broken))
    assert topics(answer) == [DOSE, "review-unreadable-data"]
    assert "`MedicationRequest/b`: the order is not valid FHIR" in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "dosage",
    [None, [], {}, "2 mg", [None], [7], [{"timing": "daily"}], [{"doseAndRate": {}}],
     [{"timing": {"repeat": {"frequency": "1"}}, "doseAndRate": [{}]}],
     [{"doseAndRate": [{"doseQuantity": {"value": 1e308, "unit": "mg", "code": "mg"}}],
       "timing": {"repeat": {"frequency": 99999999, "period": 1e-300, "periodUnit": "s"}}}],
     [{"sequence": -1}, {"sequence": 10**12}], [{}] * 3000],
)  # fmt: skip
@pytest.mark.parametrize("hook", ORDER_HOOKS)
def test_no_dosage_is_a_server_error(client, hook, dosage):
    body = high(hook)
    answer = post(client, with_drafts(body, draft(body, dosageInstruction=dosage)))
    assert answer.status_code == 200
    assert_valid("response", answer.get_json())


@pytest.mark.parametrize("hook", ORDER_HOOKS)
def test_five_hundred_drafts_at_once(client, hook):
    body = high(hook)
    orders = [draft(body, id=f"d{n}") for n in range(500)]
    body["context"]["selections"] = [f"MedicationRequest/d{n}" for n in range(500)]
    started = time.perf_counter()
    answer = post(client, with_drafts(body, *orders))
    assert time.perf_counter() - started < 5
    assert topics(answer) == [DOSE]
    (card,) = answer.get_json()["cards"]
    assert len(card["suggestions"]) == 20
    assert "and 476 more of the same kind" in card["detail"]
    assert len(answer.get_data()) < 60_000
    assert_valid("response", answer.get_json())


@pytest.mark.conformance("C066")
@pytest.mark.parametrize("hook", ORDER_HOOKS)
@pytest.mark.parametrize("key", ["patient", "conditions", "medicationRequests"])
def test_without_required_data_nothing_is_judged(client, hook, key):
    answer = post(client, without(high(hook), "prefetch", key))
    assert_refused(answer, 412, f"prefetch key: {key}")


@pytest.mark.parametrize("hook", ORDER_HOOKS)
@pytest.mark.parametrize(
    "key", ["measurements", "medicationStatements", "allergies", "procedures", "serviceRequests"]
)
def test_without_optional_data_the_check_goes_on(client, hook, key):
    assert topics(post(client, without(high(hook), "prefetch", key))) == [DOSE]


def test_what_the_service_does_not_ask_for_is_not_said_to_be_missing(client):
    body = case_request("plan-mtor-inhibitor-before-transplant/referral-on-sirolimus", SIGN)
    (card,) = post(client, body).get_json()["cards"]
    assert "Not sent" not in card["detail"]
    answer = post(client, without(body, "prefetch", "procedures"))
    assert answer.status_code == 200


@pytest.mark.conformance("C052")
@pytest.mark.parametrize("hook", ORDER_HOOKS)
def test_a_patient_gets_no_cards(client, hook):
    body = high(hook)
    body["context"]["userId"] = "Patient/synthetic"
    assert post(client, body).get_json() == {"cards": []}


def test_the_deceased_get_no_cards(client):
    body = high()
    body["prefetch"]["patient"]["deceasedBoolean"] = True
    assert post(client, body).get_json() == {"cards": []}


def test_record_text_in_orders_is_never_repeated(client):
    body = high()
    order = draft(body)
    order["medicationCodeableConcept"]["text"] = "sirolimus <img src=x onerror=alert(1)> SECRET"
    order["dosageInstruction"][0]["text"] = "SECRET"
    answer = post(client, with_drafts(body, order))
    for card in answer.get_json()["cards"]:
        assert "SECRET" not in card["detail"] + card["summary"]
        for suggestion in card["suggestions"]:
            assert "SECRET" not in suggestion["label"]
