"""Prefetch as it really arrives: absent, null, empty, failed, paged, bare, malformed, foreign."""

from __future__ import annotations

import time

import pytest

from tests.contract.test_calls import assert_refused, strip
from tests.support import case_request, post, topics, without

FAILED = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "timeout", "diagnostics": "secret detail"}],
}
REQUIRED = ("patient", "conditions", "observations")
OPTIONAL = (
    "laboratory", "medicationRequests", "medicationStatements", "allergies", "procedures",
    "serviceRequests", "imaging",
)  # fmt: skip


def ask(client, key, value, case="start-mtor-inhibitor/fev1-62-percent"):
    body = case_request(case)
    body["prefetch"][key] = value
    return post(client, body)


def details(answer):
    return "\n".join(card["detail"] for card in answer.get_json()["cards"])


@pytest.mark.conformance("C048", "C065", "C066", "C069", "C089", "C091", "C074")
@pytest.mark.parametrize("key", REQUIRED)
def test_a_required_key_that_is_absent_is_a_412_that_names_it(client, key):
    answer = post(client, without(case_request(), "prefetch", key))
    assert_refused(answer, 412, f"prefetch key: {key}", '"required"')


@pytest.mark.conformance("C048")
@pytest.mark.parametrize("value", [None, {}])
def test_no_prefetch_at_all_is_a_412(client, value):
    assert_refused(post(client, case_request() | {"prefetch": value}), 412, "prefetch key:")
    assert_refused(post(client, without(case_request(), "prefetch")), 412, "prefetch key:")


@pytest.mark.conformance("C070", "C091")
@pytest.mark.parametrize("key", REQUIRED)
def test_a_required_search_that_failed_is_a_412(client, key):
    text = assert_refused(ask(client, key, FAILED), 412, f"prefetch key: {key}")
    assert "secret" not in text


@pytest.mark.conformance("C070", "C076")
@pytest.mark.parametrize("key", OPTIONAL)
def test_an_optional_search_that_failed_is_told(client, key):
    answer = ask(client, key, FAILED)
    assert topics(answer)[0] == "start-mtor-inhibitor"
    assert "secret" not in answer.get_data(as_text=True)
    if key == "allergies":
        assert "could not read it" in details(answer)


@pytest.mark.conformance("C067", "C068", "C071", "C069")
@pytest.mark.parametrize("key", [k for k in (*REQUIRED, *OPTIONAL) if k != "patient"])
def test_every_way_of_saying_nothing_there_is_the_same(client, key):
    hint = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning"}]}
    outcome = {"resource": hint, "search": {"mode": "outcome"}}
    empty = {"resourceType": "Bundle", "type": "searchset", "total": 0}
    answers = [
        ask(client, key, value)
        for value in (None, empty, empty | {"entry": []}, empty | {"entry": [outcome]})
    ]
    assert all(answer.status_code == 200 for answer in answers)
    assert len({str(strip(answer.get_json())) for answer in answers}) == 1


@pytest.mark.conformance("C070", "C071")
@pytest.mark.parametrize("severity", ["error", "fatal"])
def test_a_search_that_says_that_it_failed_is_not_empty(client, severity):
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": severity}]}
    failed = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": outcome}]}
    assert_refused(ask(client, "observations", failed), 412, "prefetch key: observations")
    answer = ask(client, "allergies", failed)
    assert "`search allergies`" in answer.get_data(as_text=True)
    body = case_request()
    body["prefetch"]["observations"]["entry"].append({"resource": outcome})
    answer = post(client, body)
    assert topics(answer) == ["start-mtor-inhibitor"]
    assert "Only a first page was sent" in details(answer)


@pytest.mark.conformance("C067", "C076")
def test_null_and_absent_are_told_apart(client):
    null = ask(client, "medicationRequests", None)
    assert "medication list" not in details(null)
    body = case_request()
    for key in ("medicationRequests", "medicationStatements"):
        del body["prefetch"][key]
    absent = post(client, body)
    assert topics(absent) == ["start-mtor-inhibitor"]
    assert "**The medication list was not sent.**" in details(absent)


@pytest.mark.conformance("C076", "C065")
@pytest.mark.parametrize(
    ("case", "key"),
    [("monitor-mtor-inhibitor/nothing-on-record", "laboratory"),
     ("screen-for-lam/never-scanned", "imaging"),
     ("repeat-pulmonary-function/no-fev1", "observations")],
)  # fmt: skip
def test_a_first_page_allows_no_claim_of_absence(client, case, key):
    page = {
        "resourceType": "Bundle", "type": "searchset",
        "link": [{"relation": "next", "url": "https://ehr.example.org/next"}],
    }  # fmt: skip
    assert topics(ask(client, key, None, case)) == [case.split("/")[0]]
    assert topics(ask(client, key, page, case)) == []


@pytest.mark.conformance("C072")
def test_a_first_page_is_used_and_the_card_says_so(client):
    body = case_request()
    body["prefetch"]["observations"]["link"] = [{"relation": "next", "url": "https://x/next"}]
    answer = post(client, body)
    assert topics(answer) == ["start-mtor-inhibitor"]
    assert "Only a first page was sent" in details(answer)


@pytest.mark.conformance("C073")
def test_a_patient_in_a_bundle_and_a_bare_search_result_are_read(client):
    patient = case_request()["prefetch"]["patient"]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": patient}]}
    assert topics(ask(client, "patient", bundle)) == ["start-mtor-inhibitor"]
    fev1 = case_request()["prefetch"]["observations"]["entry"][0]["resource"]
    assert topics(ask(client, "observations", fev1)) == ["start-mtor-inhibitor"]


@pytest.mark.conformance("C074")
@pytest.mark.parametrize(
    "value", ["123", 5, True, [], ["x"], "<html>", {}, {"resourceType": "Practitioner"},
              {"resourceType": "Patient"}, {"resourceType": "Bundle", "entry": "x"}],
)  # fmt: skip
def test_a_value_of_the_wrong_type_is_no_answer(client, value):
    assert ask(client, "patient", value).status_code == 412
    assert ask(client, "laboratory", value).status_code == 200


@pytest.mark.conformance("C063")
def test_another_patient_is_never_judged(client):
    other = case_request()["prefetch"]["patient"] | {"id": "somebody-else"}
    assert_refused(ask(client, "patient", other), 412, "prefetch key: patient")


@pytest.mark.conformance("C063")
@pytest.mark.parametrize(
    "reference",
    ["Patient/synthetic", "https://ehr.example.org/fhir/Patient/synthetic",
     "https://ehr.example.org/fhir/Patient/synthetic/_history/3"],
)  # fmt: skip
def test_the_patient_may_be_named_in_full(client, reference):
    body = case_request()
    for key in ("conditions", "observations"):
        for entry in body["prefetch"][key]["entry"]:
            entry["resource"]["subject"] = {"reference": reference}
    assert topics(post(client, body)) == ["start-mtor-inhibitor"]


@pytest.mark.conformance("C063")
@pytest.mark.parametrize("reference", ["Patient/other", "Group/synthetic", "xPatient/synthetic"])
def test_resources_about_others_are_gaps(client, reference):
    body = case_request()
    body["prefetch"]["observations"]["entry"][0]["resource"]["subject"] = {"reference": reference}
    answer = post(client, body)
    assert topics(answer) == ["review-unreadable-data"]
    assert "names another patient" in details(answer)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": 5}, "not valid FHIR"),
        ({"status": 5}, "not valid FHIR"),
        ({"code": {"coding": [{"system": "http://loinc.org", "code": "20152-5"}], "text": 1}},
         "not valid FHIR"),
        ({"valueQuantity": {"value": "62", "unit": "%"}}, "not valid FHIR"),
        ({"valueQuantity": {"value": 62, "unit": "%", "system": 5}}, "not valid FHIR"),
        ({"valueQuantity": None, "valueString": "62 %"}, "no numeric value"),
        ({"valueQuantity": {"value": 62, "unit": "%", "comparator": "<"}}, "only as a limit"),
        ({"valueQuantity": {"value": 62}}, "no unit"),
        ({"valueQuantity": {"value": 62, "unit": "<b>furlong</b>"}}, "unit is not known"),
        ({"valueQuantity": {"value": 181, "unit": "%"}}, "implausible"),
        ({"valueQuantity": {"value": 1e300, "unit": "%"}}, "implausible"),
        ({"effectiveDateTime": None}, "no date"),
        ({"effectiveDateTime": "2026-09-14T10:00:00"}, "date cannot be read"),
        ({"effectiveDateTime": "2026-11-04"}, "in the future"),
        ({"effectiveDateTime": None, "effectivePeriod": {"end": "2026-01-01"}}, "cannot be read"),
    ],
)  # fmt: skip
def test_one_bad_resource_is_a_gap_that_a_card_names(client, change, reason):
    body = case_request()
    resource = body["prefetch"]["observations"]["entry"][0]["resource"]
    resource |= change
    body["prefetch"]["observations"]["entry"][0]["resource"] = {
        name: value for name, value in resource.items() if value is not None
    }
    answer = post(client, body)
    assert topics(answer) == ["review-unreadable-data"]
    assert reason in details(answer)
    assert "<b>" not in details(answer).replace("`<b>furlong</b>`", "")


@pytest.mark.parametrize("resource", [5, "text", [], {}, {"resourceType": 7}, {"code": "x"}])
def test_an_entry_that_is_no_resource_does_no_harm(client, resource):
    body = case_request()
    body["prefetch"]["observations"]["entry"].append({"resource": resource})
    assert topics(post(client, body))[0] == "start-mtor-inhibitor"


def test_a_malformed_condition_is_a_gap(client):
    body = case_request("start-mtor-inhibitor/fev1-70-1-percent")
    effusion = case_request("start-mtor-inhibitor/chylous-effusion")
    sent = effusion["prefetch"]["conditions"]["entry"][1]
    sent["resource"]["onsetDateTime"] = 2026
    body["prefetch"]["conditions"]["entry"].append(sent)
    answer = post(client, body)
    assert topics(answer) == ["review-unreadable-data"]
    assert "diagnoses" in details(answer)
    sent["resource"]["onsetDateTime"] = "in spring"
    assert topics(post(client, body)) == ["review-unreadable-data"]
    del sent["resource"]["onsetDateTime"], sent["resource"]["subject"]
    assert topics(post(client, body)) == ["review-unreadable-data"]


def test_a_resource_without_any_code_may_hide_anything(client):
    body = case_request("start-mtor-inhibitor/fev1-70-1-percent")
    broken = {"resourceType": "Observation", "id": "x", "code": "lost", "status": 5}
    body["prefetch"]["observations"]["entry"].append({"resource": broken})
    answer = post(client, body)
    assert topics(answer) == ["review-unreadable-data"]
    assert "a value of unknown kind" in details(answer)


@pytest.mark.parametrize("status", ["preliminary", "entered-in-error", "cancelled", "registered"])
def test_results_that_are_not_final_are_not_used(client, status):
    body = case_request()
    body["prefetch"]["observations"]["entry"][0]["resource"]["status"] = status
    assert topics(post(client, body)) == ["repeat-pulmonary-function"]


def test_an_absent_value_with_its_reason_is_no_gap(client):
    body = case_request()
    resource = body["prefetch"]["observations"]["entry"][0]["resource"]
    del resource["valueQuantity"]
    resource["dataAbsentReason"] = {"text": "patient could not do the test"}
    assert topics(post(client, body)) == ["repeat-pulmonary-function"]


@pytest.mark.conformance("C062")
@pytest.mark.parametrize("version", ["DSTU2", "STU3"])
def test_a_chart_in_an_older_version_is_a_412_that_names_it(client, version):
    body = case_request()
    for entry in body["prefetch"]["conditions"]["entry"]:
        resource = entry["resource"]
        resource["clinicalStatus"] = "active"
        resource["verificationStatus"] = "confirmed"
        if version == "DSTU2":
            resource["patient"] = resource.pop("subject")
    assert_refused(post(client, body), 412, f"FHIR {version};", "R4, R4B and R5", "conditions")


def test_ids_longer_than_fhir_allows_are_borne(client):
    body = case_request()
    long = "e" + "A1-." * 55
    body["prefetch"]["observations"]["entry"][0]["resource"]["id"] = long
    answer = post(client, body)
    assert topics(answer) == ["start-mtor-inhibitor"]


@pytest.mark.conformance("C045", "C085")
def test_no_server_is_contacted(client, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    body = case_request() | {
        "fhirServer": "http://169.254.169.254",
        "fhirAuthorization": {"access_token": "t", "token_type": "Bearer"},
    }
    assert topics(post(client, body)) == ["start-mtor-inhibitor"]
    del body["prefetch"]["conditions"]
    assert post(client, body).status_code == 412


def test_tomorrow_is_today_further_east(client):
    body = case_request()
    body["prefetch"]["observations"]["entry"][0]["resource"]["effectiveDateTime"] = "2026-11-03"
    assert topics(post(client, body)) == ["start-mtor-inhibitor"]


def test_thousands_of_unreadable_values_are_counted_and_answered_in_time(client):
    body = case_request("start-mtor-inhibitor/fev1-70-1-percent")
    entry = body["prefetch"]["observations"]["entry"]
    bad = {"resourceType": "Observation", "status": "final", "effectiveDateTime": "2026-09-14",
           "code": {"coding": [{"system": "http://loinc.org", "code": "20152-5"}]},
           "valueQuantity": {"value": "lost"}}  # fmt: skip
    entry += [{"resource": bad | {"id": f"bad-{number}"}} for number in range(5000)]
    started = time.perf_counter()
    answer = post(client, body)
    assert time.perf_counter() - started < 5
    assert topics(answer) == ["review-unreadable-data"]
    assert "5000 values" in answer.get_json()["cards"][0]["summary"]
    assert "and 4975 more" in details(answer)


def test_thousands_of_saturations_and_flows_are_answered_in_time(client):
    def charted(code, value, unit, number):
        when = f"2026-09-{1 + number % 28:02}T{number % 24:02}:{number % 60:02}:00Z"
        return {"resource": {
            "resourceType": "Observation", "id": f"o-{code}-{number}", "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "effectiveDateTime": when, "valueQuantity": {"value": value, "code": unit},
        }}  # fmt: skip

    body = case_request()
    body["prefetch"]["observations"]["entry"] += [
        *(charted("59408-5", 86 + n % 12, "%", n) for n in range(5000)),
        *(charted("3151-8", n % 3, "L/min", n) for n in range(5000)),
    ]
    started = time.perf_counter()
    assert topics(post(client, body))[0] == "start-mtor-inhibitor"
    assert time.perf_counter() - started < 5
