"""The pages of the SMART app over HTTP, the evaluation they ask for, and the link on the cards."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from math import isclose

import pytest

from cds_service.domain.trend import confidence_band, fit_trend
from tests.contract.test_calls import assert_refused
from tests.support import assert_valid, case_request, post

EHR = "https://ehr.example.org/fhir"
NINE_YEARS = "monitor-mtor-inhibitor/nine-years-with-treatment"


@pytest.fixture
def make_smart(make_client, tmp_path):
    def make(**changed):
        smart = {"client_id": "lam-app", "origins": ["https://login.example.org"],
                 "framed_by": ["https://ehr.example.org"]}  # fmt: skip
        path = tmp_path / "trust.json"
        servers = [{"url": EHR, "smart": smart}, {"url": "https://other.example.org/fhir"}]
        path.write_text(json.dumps({"issuers": [], "anonymous": {"fhir_servers": servers}}))
        return make_client(trust_file=path, **changed)

    return make


@pytest.fixture
def evaluated(client):
    answer = client.post("/smart/evaluation", json=case_request(NINE_YEARS))
    assert answer.status_code == 200
    return answer.get_json()


@pytest.mark.parametrize("path", ["/smart/", "/smart/launch.html"])
def test_pages_reach_only_the_ehrs_that_are_configured(make_smart, path):
    policy = make_smart().get(path).headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "connect-src 'self' https://ehr.example.org https://login.example.org;" in policy
    assert policy.endswith("frame-ancestors https://ehr.example.org")


def test_without_an_ehr_nothing_else_is_reached_or_may_frame_it(client):
    policy = client.get("/smart/").headers["Content-Security-Policy"]
    assert "connect-src 'self';" in policy
    assert policy.endswith("frame-ancestors 'none'")
    assert client.get("/smart/configuration").get_json()["servers"] == []


def test_where_the_app_is_not_registered_it_is_not_there(make_client):
    client = make_client(public_url="https://cds.example.org")
    for path in ("/smart/", "/smart/launch.html", "/smart/configuration"):
        assert client.get(path).status_code == 404
    assert client.post("/smart/evaluation", json=case_request()).status_code == 404


def test_the_evaluation_is_on_record_without_the_patient(make_client, tmp_path):
    path = tmp_path / "audit.jsonl"
    client = make_client(audit_file=path)
    client.post("/smart/evaluation", json=case_request())
    client.get("/smart/configuration")
    client.application.extensions["parts"].audit.close()
    (line,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert (line["route"], line["status"]) == ("/smart/evaluation", 200)
    assert "synthetic" not in json.dumps(line)


def test_the_app_learns_what_to_read_from_discovery(make_smart):
    client = make_smart()
    known = client.get("/smart/configuration").get_json()
    assert known["servers"] == [{"url": EHR, "clientId": "lam-app"}]
    (service, *_) = client.get("/cds-services").get_json()["services"]
    assert known["prefetch"] == service["prefetch"]
    assert known["required"] == ["conditions", "observations", "patient"]
    assert "Medication" in known["resourceTypes"]


@pytest.mark.parametrize("name", ["app.js", "launch.js", "pages.css", "uplot.css"])
def test_its_files_are_in_the_package(client, name):
    answer = client.get(f"/smart/{name}")
    assert answer.status_code == 200
    assert len(answer.data) > 1000
    assert client.get(f"/smart/{name}x").status_code == 404


def test_the_series_are_whole_and_those_of_the_rules(evaluated):
    tests = evaluated["fev1"]
    assert len(tests) == 20
    assert tests[0] == {
        "on": "2017-05-10", "day": "2017-05-10", "reference": "Observation/observation-101",
        "litres": 2.62, "kind": "bronchodilator not stated", "percent": 83.2,
        "percentSource": "computed", "note": "GLI Global 2022, height 166 cm of 2017-05-10",
        "z": tests[0]["z"],
    }  # fmt: skip
    assert -2 < tests[0]["z"] < -1
    assert [level["value"] for level in evaluated["levels"]][-1] == 16.4
    assert {reading["activity"] for reading in evaluated["saturation"]} == {"rest", "exertion"}
    (use,) = evaluated["medications"]
    assert (use["drug"], use["from"], use["current"]) == ("sirolimus", "2021-06-14", True)
    (event,) = evaluated["events"]
    assert (event["kind"], event["day"]) == ("pneumothorax", "2019-08-19")
    assert any("implausible" in line for line in evaluated["leftOut"])
    assert evaluated["thresholds"]["fev1-for-mtor-inhibitor"]["low"] == 70


def test_the_trend_is_that_of_the_rules(evaluated):
    (trend,) = evaluated["trends"]
    assert trend["established"]
    assert trend["line"][0]["day"] == trend["first"]
    assert trend["line"][-1]["day"] == trend["last"]
    rise = trend["line"][-1]["litres"] - trend["line"][0]["litres"]
    years = (date.fromisoformat(trend["last"]) - date.fromisoformat(trend["first"])).days / 365.25
    assert isclose(1000 * rise / years, trend["millilitresPerYear"], abs_tol=0.2)
    for point, edge in zip(trend["line"], trend["band"], strict=True):
        assert edge["low"] < point["litres"] < edge["high"]


def test_cards_and_recommendations_are_those_of_the_hook(client, evaluated):
    hooked = post(client, case_request(NINE_YEARS)).get_json()["cards"]
    for card, other in zip(evaluated["cards"], hooked, strict=True):
        assert card["summary"] == other["summary"]
        assert "<p>" in card["html"]
    outcomes = {one["id"]: one["outcome"] for one in evaluated["recommendations"]}
    assert outcomes["monitor-mtor-inhibitor"] == "recommended"
    assert outcomes["refer-lung-transplant"] == "not indicated"
    assert outcomes["refer-angiomyolipoma"] == "undetermined"


def test_nothing_of_a_record_becomes_html(client):
    body = case_request()
    resource = body["prefetch"]["observations"]["entry"][0]["resource"]
    resource["valueQuantity"] = {"value": 62, "unit": "<img src=x onerror=alert(1)>"}
    answer = client.post("/smart/evaluation", json=body).get_json()
    assert "<img" not in json.dumps([card["html"] for card in answer["cards"]])


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_may_not_use_the_evaluation(client, site):
    answer = client.post("/smart/evaluation", json=case_request(), headers={"Sec-Fetch-Site": site})
    assert_refused(answer, 403, "pages of this service")


def test_what_is_wrong_with_a_chart_is_told(client):
    body = case_request()
    del body["prefetch"]["observations"]
    assert_refused(client.post("/smart/evaluation", json=body), 412, "prefetch key: observations")
    assert_refused(client.post("/smart/evaluation", data=b"{", content_type="application/json"),
                   400, "not JSON")  # fmt: skip


def test_the_service_must_be_offered(make_client):
    client = make_client(services="lam-tsc-order-sign")
    assert client.post("/smart/evaluation", json=case_request()).status_code == 404
    assert client.get("/smart/configuration").get_json()["prefetch"] == {}


@pytest.mark.conformance("C121", "C122", "C123")
def test_cards_link_to_the_app_where_the_ehr_can_launch_it(make_smart):
    answer = post(make_smart(), case_request() | {"fhirServer": EHR})
    assert_valid("response", answer.get_json())
    (link,) = answer.get_json()["cards"][0]["links"]
    assert link == {
        "label": "Show the course of lung function",
        "url": "http://127.0.0.1:8080/smart/launch.html",
        "type": "smart",
        "appContext": '{"recommendation": "start-mtor-inhibitor"}',
    }


@pytest.mark.parametrize(
    ("changed", "server"),
    [({"client_profile": "sandbox"}, EHR), ({}, "https://other.example.org/fhir"),
     ({}, "https://unknown.example.org"), ({}, None)],
)  # fmt: skip
def test_no_link_where_it_would_lead_nowhere(make_smart, changed, server):
    body = case_request() | {"fhirServer": server}
    body = {name: value for name, value in body.items() if value is not None}
    answer = post(make_smart(**changed), body)
    assert "links" not in answer.get_json()["cards"][0]


def test_two_tests_make_a_line_without_a_band():
    points = [(date(2020, 1, 1), Decimal("2.5")), (date(2021, 1, 1), Decimal("2.4"))]
    band = confidence_band(points)
    assert (band[0].value, band[-1].value) == (pytest.approx(2.5), pytest.approx(2.4))
    assert all(point.low is None and point.high is None for point in band)
    assert confidence_band(points[:1]) == ()


def test_the_band_is_narrowest_in_the_middle():
    """Checked by hand: slope 0.05 a day, residual variance 0.025, t(3) = 3.1824."""
    values = ("2", "2.2", "1.9", "2.1", "2.3")
    points = [(date(2020, 1, 1 + n), Decimal(value)) for n, value in enumerate(values)]
    band = confidence_band(points, steps=4)
    assert [round(point.value, 9) for point in band] == [2.0, 2.05, 2.1, 2.15, 2.2]
    assert isclose((band[1].value - band[0].value) * 365.25, float(fit_trend(points).per_year))
    widths = [point.high - point.value for point in band]
    assert isclose(widths[2], 3.1824 * (0.025 / 5) ** 0.5)
    assert isclose(widths[0], 3.1824 * (0.025 * (1 / 5 + 4 / 10)) ** 0.5)
    assert widths == sorted(widths[:3], reverse=True) + sorted(widths[3:])
