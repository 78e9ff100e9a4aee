"""What the person on call sees: health, metrics, traces, audit; and what nobody ever sees."""

from __future__ import annotations

import io
import json
import logging
import time

import pytest
from cryptography.fernet import Fernet
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from cds_service.app import close_app, create_app
from cds_service.errors import SettingError
from cds_service.web import logs, traces
from tests import servers
from tests.callers import ES384, STRANGER, bearer, claims, key_set, token, trust_file
from tests.golden.cases import all_cases
from tests.servers import serving
from tests.support import AS_OF, ROOT, SERVICE, case_request, post, settings


def metric(client, name):
    lines = client.get("/metrics").get_data(as_text=True).splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), None)


def test_health_tells_each_part_in_a_word(client):
    assert client.get("/health/live").get_json() == {"status": "ok"}
    ready = client.get("/health/ready")
    assert ready.status_code == 200
    assert ready.get_json()["checks"] == {
        "content": "ok", "database": "ok", "replayMemory": "not used", "keySets": {},
        "reviewsOverdue": 0,
    }  # fmt: skip
    whole = client.get("/health").get_json()
    assert len(whole["contentVersion"]) == 12
    assert "start-mtor-inhibitor" in whole["awaitingReview"]


def test_overdue_reviews_are_told(make_client):
    late = make_client(today=AS_OF.replace(year=2028))
    assert late.get("/health/ready").get_json()["checks"]["reviewsOverdue"] > 20


def test_key_sets_that_cannot_be_had_are_told(make_client, tmp_path):
    with serving(servers.status(500)) as (base, asked):
        path = trust_file(tmp_path, keys={"url": base, "private": True})
        client = make_client(client_auth="required", trust_file=path)
        assert client.get("/health/ready").get_json()["checks"]["keySets"] == {
            "example": "not asked yet"
        }
        for _ in range(3):
            assert post(client, case_request(), headers=bearer()).status_code == 401
        assert len(asked) == 1
        ready = client.get("/health/ready")
    assert (ready.status_code, ready.get_json()["status"]) == (200, "degraded")
    assert ready.get_json()["checks"]["keySets"] == {"example": "empty"}


@pytest.mark.conformance("C144", "C148")
def test_keys_by_address_with_the_jku_of_the_token(make_client, tmp_path):
    def answer(reply, _):
        reply.send(body=json.loads(key_set(ES384)))

    with serving(answer) as (base, asked):
        path = trust_file(tmp_path, keys={"url": base, "private": True})
        client = make_client(client_auth="required", trust_file=path)
        codes = [
            post(client, case_request(), headers=bearer(jku=jku)).status_code
            for jku in (base, None, f"{base}?x", "https://evil.example.org/jwks.json")
        ]
    assert codes == [200, 200, 401, 401]
    assert [path for _, path, _, _ in asked] == ["/fhir"]


@pytest.mark.parametrize("content", ["", "{}", '{"keys": []}', "<html>"])
def test_a_broken_key_file_stops_the_start(make_client, tmp_path, content):
    path = trust_file(tmp_path)
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(SettingError, match=r"keys\.file of example holds no usable key"):
        make_client(client_auth="required", trust_file=path)


def test_metrics_count_calls_outcomes_and_refusals(make_client, tmp_path):
    client = make_client(client_auth="optional", trust_file=trust_file(tmp_path))
    post(client, case_request())
    post(client, case_request(), headers=bearer())
    post(client, case_request(), headers=bearer(key=STRANGER))
    post(client, {"hook": "patient-view"})
    labels = 'service="lam-tsc-patient-view",status="200"'
    assert metric(client, f'cds_calls_total{{issuer="anonymous",{labels}}}') == 1
    assert metric(client, f'cds_calls_total{{issuer="example",{labels}}}') == 1
    assert metric(client, 'cds_refused_callers_total{reason="signature"}') == 1
    recommended = 'outcome="recommended",recommendation="start-mtor-inhibitor"'
    assert metric(client, f"cds_outcomes_total{{{recommended}}}") == 2
    assert metric(client, 'cds_call_seconds_count{service="lam-tsc-patient-view"}') == 3


def test_metrics_count_reads_of_the_fhir_server(make_client, tmp_path):
    with serving(servers.hang) as (base, _):
        client = reading(make_client, tmp_path, base)
        body = case_request()
        del body["prefetch"]["allergies"]
        post(client, body | granted(base))
        body = case_request()
        body["prefetch"] = {}
        post(client, body | granted(base))
    assert metric(client, 'cds_fhir_reads_total{key="allergies",result="timeout"}') == 2
    assert metric(client, 'cds_fhir_reads_total{key="conditions",result="timeout"}') == 1
    assert metric(client, "cds_fhir_seconds_count") == 2


def reading(make_client, tmp_path, base, **changed):
    path = tmp_path / "reading.json"
    listed = [{"url": base, "private": True, "version": "R4"}]
    path.write_text(json.dumps({"issuers": [], "anonymous": {"fhir_servers": listed}}))
    return make_client(trust_file=path, **changed)


def granted(base, access_token="t"):
    authorization = {"access_token": access_token, "token_type": "Bearer"}
    return {"fhirServer": base, "fhirAuthorization": authorization}


def test_a_trace_holds_the_call_and_the_wait_and_nothing_of_the_patient(
    make_client, tmp_path, monkeypatch
):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(traces, "_provider", lambda: provider)
    with serving(servers.status(500)) as (base, _):
        client = reading(make_client, tmp_path, base, traces="otlp")
        body = case_request()
        del body["prefetch"]["allergies"]
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        answer = post(client, body | granted(base), headers={"traceparent": parent})
    wait, call = exporter.get_finished_spans()
    assert (wait.name, call.name) == ("read FHIR server", "POST /cds-services/<service_id>")
    assert wait.parent.span_id == call.context.span_id
    assert f"{call.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert call.attributes["cds.correlation_id"] == answer.headers["X-Correlation-Id"]
    assert wait.attributes["cds.problems"] == ("server-error",)
    assert call.start_time <= wait.start_time < wait.end_time <= call.end_time
    assert "synthetic" not in call.to_json() + wait.to_json()


def test_traces_are_sent_where_the_variables_say(monkeypatch):
    with serving(lambda reply, _: reply.send()) as (base, asked):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", base.removesuffix("/fhir"))
        provider = traces._provider()
        provider.get_tracer("x").start_span("y").end()
        assert provider.force_flush(5000)
        provider.shutdown()
    ((method, path, _, body),) = asked
    assert (method, path) == ("POST", "/v1/traces")
    assert b"lam-tsc-cds-service" in body


def test_traces_need_their_libraries(monkeypatch):
    monkeypatch.setattr(traces, "find_spec", lambda _: None)
    with pytest.raises(SettingError, match="CDS_TRACES='otlp': the libraries are missing"):
        create_app(settings(traces="otlp"))


def test_an_audit_file_that_cannot_be_opened_stops_the_start(make_client, tmp_path):
    with pytest.raises(SettingError, match="CDS_AUDIT_FILE="):
        make_client(audit_file=tmp_path / "none" / "audit.jsonl")


# --- nothing leaks ---

PATIENT, JWT, ACCESS, COMMENT, NAME = (
    "p-c4nary", "jti-c4nary", "access-c4nary", "comment-c4nary", "Mary C4nary",
)  # fmt: skip


def planted(request):
    """A request in which the patient has another id and a name, and a note stands everywhere."""
    text = json.dumps(request).replace("synthetic", PATIENT)
    body = json.loads(text)
    body["prefetch"]["patient"]["name"] = [{"text": NAME}]
    for value in body["prefetch"].values():
        for entry in value.get("entry", []):
            entry["resource"]["note"] = [{"text": NAME}]
    return body


@pytest.mark.conformance("C080", "C133", "C150")
def test_nothing_planted_in_the_traffic_of_the_whole_suite_comes_out(tmp_path, caplog, capfd):
    """Every case by both roads, every fault and every refusal: no secret in any place we write."""
    stream, audit = io.StringIO(), tmp_path / "audit.jsonl"
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    caplog.set_level("DEBUG")
    logs.configure("debug", stream)
    trust = json.loads(trust_file(tmp_path).read_text())
    errors = []
    with (
        serving(servers.status(500)) as (broken, _),
        serving(servers.next_elsewhere) as (paging, _),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(traces, "_provider", lambda: provider)
        trust["issuers"][0]["fhir_servers"] = [
            {"url": url, "private": True, "version": "R4"} for url in (broken, paging)
        ]
        (tmp_path / "trust.json").write_text(json.dumps(trust))
        app = create_app(
            settings(client_auth="required", trust_file=tmp_path / "trust.json", traces="otlp",
                     audit_file=audit, comment_keys=Fernet.generate_key().decode(),
                     database_url=f"sqlite:///{tmp_path}/feedback.db", log_level="debug",
                     rate_limit="1000000 per minute"),
            today=lambda: AS_OF,
        )  # fmt: skip
        client = app.test_client()
        for number, case in enumerate(all_cases()):
            address = f"/cds-services/lam-tsc-{case.hook}"
            body = planted(case.request)
            for server in (None, broken, paging)[: 3 if number % 20 == 0 else 1]:
                if server:
                    body["prefetch"].pop("allergies", None)
                    body["prefetch"].pop("procedures", None)
                    body |= granted(server, ACCESS)
                signed = claims(address, jti=f"{JWT}-{number}-{server}")
                errors.append(post(client, body, headers=bearer(signed)))
        assert {answer.status_code for answer in errors} == {200}
        errors.clear()
        refusals = [
            bearer(claims(jti=JWT), key=STRANGER),
            bearer(claims(jti=JWT, aud="https://x")),
            {"Authorization": f"Basic {ACCESS}"},
            {"Authorization": f"Bearer {ACCESS}"},
        ]
        errors += [post(client, planted(case_request()), headers=headers) for headers in refusals]
        broken_bodies = [
            {"hook": NAME}, planted(case_request()) | {"context": {"patientId": f"{PATIENT}?x"}},
            planted(case_request()) | {"prefetch": {}}, [NAME], NAME,
            planted(case_request()) | {"prefetch": {}} | granted(broken, ACCESS),
        ]  # fmt: skip
        for body in broken_bodies:
            errors.append(post(client, body, headers=bearer()))
        with pytest.MonkeyPatch.context() as fault:
            fault.setattr("cds_service.pipeline.check_patient", lambda *_: 1 / 0 or NAME)
            errors.append(post(client, planted(case_request()), headers=bearer()))
        feedback = {"card": "c", "outcome": "overridden", "overrideReason": {
            "userComment": COMMENT, "reason": {"code": "other"}}}  # fmt: skip
        for items in ([feedback], [feedback | {"outcome": NAME}], [feedback | {"card": None}]):
            answer = client.post(
                f"{SERVICE}/feedback", json={"feedback": items},
                headers=bearer(claims(f"{SERVICE}/feedback")),
            )  # fmt: skip
            errors.append(answer)
        errors.append(client.get(f"/{PATIENT}?name={NAME}"))
        metrics = client.get("/metrics").get_data(as_text=True)
        health = client.get("/health").get_data(as_text=True)
    close_app(app)
    ours = logging.getLogger("cds_service")
    ours.handlers.clear()
    ours.propagate = True
    out, err = capfd.readouterr()
    spans = "".join(span.to_json() for span in exporter.get_finished_spans())
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("feedback.db*")).decode("latin-1")
    bodies = "".join(answer.get_data(as_text=True) for answer in errors)
    places = {
        "log": stream.getvalue(), "records": caplog.text, "stdout": out, "stderr": err,
        "audit": audit.read_text(), "metrics": metrics, "health": health, "spans": spans,
        "database": kept, "error bodies": bodies,
    }  # fmt: skip
    assert len(places["log"]) > 100_000
    assert len(places["audit"]) > 100_000
    for place, text in places.items():
        assert "c4nary" not in text.lower(), place
        assert "eyJ" not in text, f"a JWT in {place}"


@pytest.mark.conformance("C081")
def test_onboarding_asks_for_registration_and_least_scopes():
    text = (ROOT / "docs" / "onboarding-an-ehr.md").read_text(encoding="utf-8")
    assert "client id" in text
    assert "Observation.rs" in text


def test_a_clock_that_is_wrong_is_borne_within_the_leeway(make_client, tmp_path):
    client = make_client(client_auth="required", trust_file=trust_file(tmp_path, leeway_seconds=60))
    now = int(time.time())
    for skew, status in ((-50, 200), (50, 200), (-400, 401), (400, 401)):
        sent = claims(iat=now + skew, exp=now + skew + 60 if skew > 0 else now + skew + 10)
        answer = post(client, case_request(), headers={"Authorization": f"Bearer {token(sent)}"})
        assert answer.status_code == status, skew
