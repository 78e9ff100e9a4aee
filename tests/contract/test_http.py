"""CORS, correlation ids, logs, health and pages."""

from __future__ import annotations

import io
import json
import logging

import pytest

from cds_service.web import logs
from tests.support import AS_OF, SANDBOX, SERVICE, case_request, post

CANARY = "CanarySecret"


@pytest.mark.conformance("C152")
@pytest.mark.parametrize("address", ["/cds-services", SERVICE])
def test_preflight_answers_without_auth(client, address):
    answer = client.options(
        address,
        headers={
            "Origin": SANDBOX,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == SANDBOX
    assert {"GET", "POST", "OPTIONS"} <= set(
        answer.headers["Access-Control-Allow-Methods"].split(", ")
    )
    allowed = answer.headers["Access-Control-Allow-Headers"].lower()
    assert "authorization" in allowed
    assert "content-type" in allowed
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.conformance("C152")
@pytest.mark.parametrize("origin", ["https://evil.example.org", "null", f"{SANDBOX}.evil.org"])
def test_an_unlisted_origin_gets_no_header(client, origin):
    answer = post(client, case_request(), headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.conformance("C152")
def test_without_listed_origins_there_is_no_cors(make_client):
    client = make_client(allowed_origins="")
    answer = post(client, case_request(), headers={"Origin": SANDBOX})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.conformance("C153")
@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b'{"prefetch": {}}', 400), (None, 412)],
)
def test_errors_can_be_read_by_a_browser(client, body, status):
    body = body or case_request() | {"prefetch": {}}
    answer = post(client, body, headers={"Origin": SANDBOX})
    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == SANDBOX
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.conformance("C153")
def test_addresses_and_faults_too(client, monkeypatch):
    def fail(*_):
        raise ValueError(CANARY)

    headers = {"Origin": SANDBOX}
    for answer in (client.get("/nowhere", headers=headers), client.get(SERVICE, headers=headers)):
        assert answer.headers["Access-Control-Allow-Origin"] == SANDBOX
    monkeypatch.setattr("cds_service.fhir.extraction.read_fev1", fail)
    answer = post(client, case_request(), headers=headers)
    assert answer.status_code == 500
    assert answer.headers["Access-Control-Allow-Origin"] == SANDBOX


@pytest.fixture
def lines(client):
    """The lines that the log has written since it was switched on."""
    stream = io.StringIO()
    logs.configure("info", stream)

    def written():
        found = [json.loads(line) for line in stream.getvalue().splitlines()]
        return [line for line in found if line["event"] != "retention"]

    yield written
    logger = logging.getLogger("cds_service")
    logger.handlers.clear()
    logger.propagate = True


@pytest.mark.conformance("C092")
def test_each_call_is_one_line_with_the_id_of_the_answer(client, lines):
    answer = post(client, case_request())
    (line,) = lines()
    assert line["correlationId"] == answer.headers["X-Correlation-Id"]
    assert line["hookInstance"] == case_request()["hookInstance"]
    assert line["recommended"] == ["start-mtor-inhibitor"]
    assert (line["status"], line["route"]) == (200, "/cds-services/<service_id>")


@pytest.mark.conformance("C042", "C075", "C080")
def test_nothing_of_the_patient_is_logged(client, lines, monkeypatch):
    body = case_request()
    body["hookInstance"] = f"{CANARY} Mary"
    body["fhirServer"] = f"https://{CANARY}.example.org"
    body["fhirAuthorization"] = {"access_token": CANARY, "token_type": "Bearer"}
    body["prefetch"]["patient"]["name"] = [{"text": CANARY}]
    body["prefetch"][CANARY] = {"resourceType": "Patient"}
    observation = body["prefetch"]["observations"]["entry"][0]["resource"]
    observation["note"] = [{"text": CANARY}]
    post(client, body, headers={"Authorization": f"Bearer {CANARY}"})
    client.get(f"/{CANARY}?name={CANARY}")
    post(client, {"hook": CANARY, "context": {"patientId": f"{CANARY}?"}})
    post(client, body | {"context": {"patientId": CANARY}})

    def fail(*_):
        raise ValueError(CANARY)

    for place in ("read_fev1", "check_patient"):
        target = "cds_service.fhir.extraction" if place == "read_fev1" else "cds_service.pipeline"
        with monkeypatch.context() as patch:
            patch.setattr(f"{target}.{place}", fail)
            assert post(client, body).status_code == 500
    written = lines()
    assert len(written) == 8
    assert CANARY not in json.dumps(written)
    assert any(line["event"] == "unexpected error" and line["error"] == "ValueError"
               for line in written)  # fmt: skip


def test_a_rule_that_fails_is_logged_by_kind_and_place(client, lines, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError(CANARY)

    monkeypatch.setattr("cds_service.recommendations.start_mtor_inhibitor.recommend", fail)
    post(client, case_request())
    failure, call = lines()
    assert failure["rule"] == "start-mtor-inhibitor"
    assert failure["error"] == "ZeroDivisionError"
    assert failure["at"].startswith("test_http.py:")
    assert call["failed"] == ["start-mtor-inhibitor"]


def test_health_lists_what_awaits_review(client, make_client):
    health = client.get("/health").get_json()
    assert health["status"] == "ok"
    assert "start-mtor-inhibitor" in health["awaitingReview"]
    assert health["reviewOverdue"] == []
    late = make_client(today=AS_OF.replace(year=2028)).get("/health").get_json()
    assert "start-mtor-inhibitor" in late["reviewOverdue"]


def test_the_page_is_served_with_a_strict_policy(client):
    answer = client.get("/")
    assert "Choose a patient" in answer.get_data(as_text=True)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name, kind in (("demo.js", "text/javascript"), ("pages.css", "text/css")):
        assert client.get(f"/demo/{name}").mimetype == kind


def test_the_page_answers_for_its_patients(client):
    cases = client.get("/demo/cases").get_json()
    assert len(cases) > 100
    answer = client.get(f"/demo/cases/{cases[0]['id']}").get_json()
    assert {"service", "asOf", "request", "response", "view"} == set(answer)
    assert len(answer["view"]["cards"]) == len(answer["response"]["cards"])
    other = client.get(f"/demo/cases/{cases[0]['id']}?as_of=2024-02-29").get_json()
    assert other["asOf"] == "2024-02-29"
    assert client.get(f"/demo/cases/{cases[0]['id']}?as_of=spring").status_code == 400
    for address in ("/demo/cases/patient-view/none/none", "/demo/other.js"):
        assert client.get(address).status_code == 404


def test_the_page_answers_a_request_of_ones_own(client):
    answer = client.post("/demo/ask?as_of=2026-11-02", json=case_request())
    assert answer.get_json()["service"] == "lam-tsc-patient-view"
    assert client.post("/demo/ask", json={"hook": "order-sign"}).status_code == 400
    assert client.post("/demo/ask", json=[]).status_code == 400


def test_the_page_can_be_switched_off(make_client):
    for changed in ({"demo": "off"}, {"host": "0.0.0.0"}):
        client = make_client(**changed)
        assert client.get("/").status_code == 404
        assert client.get("/cds-services").status_code == 200
    assert make_client(host="0.0.0.0", demo="on").get("/").status_code == 200


def test_the_page_has_nothing_to_show_without_its_service(make_client):
    client = make_client(services="none")
    name = client.get("/demo/cases").get_json()[0]["id"]
    assert client.get(f"/demo/cases/{name}").status_code == 404
