"""What was not sent is read from the FHIR server, and every way that a server may fail is borne."""

from __future__ import annotations

import json
import threading
import time

import pytest

from cds_service.hooks.catalogue import services
from tests import servers
from tests.contract.test_calls import assert_refused, strip
from tests.servers import bundle, chart, serving
from tests.support import case_request, post, topics

CASE = "start-mtor-inhibitor/fev1-62-percent"
TOKEN = "t0ken-c4nary"


@pytest.fixture(scope="module")
def templates(content):
    return {service.hook: dict(service.prefetch) for service in services(content)}


@pytest.fixture
def make_reading(make_client, tmp_path):
    """A client of a service that may read one server."""

    def make(base, settings=None, **server):
        path = tmp_path / "trust.json"
        listed = [{"url": base, "private": True, **server}]
        path.write_text(json.dumps({"issuers": [], "anonymous": {"fhir_servers": listed}}))
        return make_client(trust_file=path, **({"deadline_ms": 5000} | (settings or {})))

    return make


def call(base, keep=(), token=TOKEN, **changed):
    """A call that brings only the prefetch keys to keep."""
    body = case_request(CASE)
    body["prefetch"] = {key: body["prefetch"].get(key) for key in keep}
    granted = {"access_token": token, "token_type": "Bearer", "expires_in": 300, "scope": "x",
               "subject": "lam-cds"}  # fmt: skip
    return body | {"fhirServer": base, "fhirAuthorization": granted | changed}


@pytest.mark.conformance("C065", "C077", "C078", "C083")
def test_a_call_without_prefetch_is_answered_from_the_server(make_reading, templates):
    sent = case_request(CASE)["prefetch"]
    with serving(chart(sent, templates["patient-view"])) as (base, asked):
        client = make_reading(base)
        answer = post(client, call(base))
        assert strip(answer.get_json()) == strip(post(client, case_request(CASE)).get_json())
    assert len(asked.paths) == len(templates["patient-view"])
    for method, path, headers, _ in asked:
        assert method == "GET"
        assert headers["Accept"] == "application/fhir+json"
        wanted = None if path.endswith("/metadata") else f"Bearer {TOKEN}"
        assert headers.get("Authorization") == wanted


@pytest.mark.conformance("C065")
@pytest.mark.parametrize("key", ["patient", "conditions", "observations", "laboratory"])
def test_exactly_what_is_missing_is_read(make_reading, templates, key):
    sent = case_request(CASE)["prefetch"]
    with serving(chart(sent, templates["patient-view"])) as (base, asked):
        body = call(base, keep=set(templates["patient-view"]) - {key})
        assert topics(post(make_reading(base), body)) == ["start-mtor-inhibitor"]
    assert len(asked.paths) == 1


@pytest.mark.conformance("C067", "C070")
def test_an_answer_of_nothing_or_of_failure_is_not_asked_again(make_reading, templates):
    with serving(chart({}, templates["patient-view"])) as (base, asked):
        body = call(base)
        body["prefetch"] = dict.fromkeys(templates["patient-view"])
        body["prefetch"] |= {key: case_request(CASE)["prefetch"][key]
                             for key in ("patient", "conditions", "observations")}  # fmt: skip
        body["prefetch"]["laboratory"] = {"resourceType": "OperationOutcome"}
        assert topics(post(make_reading(base), body)) == ["start-mtor-inhibitor"]
    assert asked == []


@pytest.mark.conformance("C082")
@pytest.mark.parametrize("scope", ["patient/*.read", "user/*.rs", "A B C", 5, None])
def test_scopes_are_left_to_the_server(make_reading, templates, scope):
    sent = case_request(CASE)["prefetch"]
    with serving(chart(sent, templates["patient-view"])) as (base, _):
        body = call(base, scope=scope)
        assert topics(post(make_reading(base), body)) == ["start-mtor-inhibitor"]


@pytest.mark.conformance("C078", "C079", "C066")
@pytest.mark.parametrize(
    "changed",
    [{"access_token": ""}, {"access_token": None}, {"access_token": "a\r\nX-Evil: 1"},
     {"access_token": 5}, {"token_type": "mac"}, {"patient": "another"}],
)  # fmt: skip
def test_a_token_that_is_none_is_not_used(make_reading, changed):
    with serving(servers.status(500)) as (base, asked):
        answer = post(make_reading(base), call(base) | {
            "fhirAuthorization": call(base)["fhirAuthorization"] | changed})  # fmt: skip
    assert_refused(answer, 412, "prefetch key:")
    assert asked == []


@pytest.mark.conformance("C078", "C079")
@pytest.mark.parametrize("changed", [{"token_type": "bearer"}, {"patient": "synthetic"}])
def test_small_differences_are_borne(make_reading, templates, changed):
    sent = case_request(CASE)["prefetch"]
    with serving(chart(sent, templates["patient-view"])) as (base, _):
        assert topics(post(make_reading(base), call(base, **changed))) == ["start-mtor-inhibitor"]


@pytest.mark.conformance("C085")
@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/", "http://localhost/fhir", "https://evil.example.org/fhir",
     "file:///etc/passwd", "{base}/../admin", "{base}@evil.example.org", "{base}x"],
)  # fmt: skip
def test_a_server_that_is_not_listed_is_not_contacted(make_reading, url, monkeypatch):
    with serving(servers.status(500)) as (base, asked):
        client = make_reading(base)
        monkeypatch.setattr("requests.Session.request", lambda *_, **__: pytest.fail("contacted"))
        assert_refused(post(client, call(url.format(base=base))), 412, "prefetch key:")
    assert asked == []


@pytest.mark.conformance("C085", "C045")
def test_a_private_address_must_be_listed_as_such(make_reading):
    with serving(servers.status(500)) as (base, asked):
        client = make_reading(base.replace("http:", "https:"), private=False)
        answer = post(client, call(base.replace("http:", "https:")))
        assert_refused(answer, 412, "address-refused")
    assert asked == []


@pytest.mark.conformance("C072")
def test_pages_are_followed(make_reading, templates):
    sent = case_request(CASE)["prefetch"]
    first, *rest = sent["observations"]["entry"]
    whole = chart(sent, templates["patient-view"])

    def answer(reply, path):
        base = f"http://{reply.headers['Host']}/fhir"
        if path.startswith("/fhir/Observation?") and "page=2" not in path:
            link = [{"relation": "next", "url": f"{base}/Observation?page=2"}]
            reply.send(body=bundle(link=link) | {"entry": rest})
        elif path == "/fhir/Observation?page=2":
            reply.send(body=bundle() | {"entry": [first]})
        else:
            whole(reply, path)

    with serving(answer) as (base, asked):
        client = make_reading(base)
        assert topics(post(client, call(base))) == ["start-mtor-inhibitor"]
        body = call(base, keep=templates["patient-view"])
        body["prefetch"]["observations"] = bundle(
            link=[{"relation": "next", "url": f"{base}/Observation?page=2"}]
        )
        asked.clear()
        answer = post(client, body)
        assert topics(answer) == ["start-mtor-inhibitor"]
        assert "first page" not in answer.get_data(as_text=True)
    assert asked.paths == ["/fhir/Observation?page=2"]


def test_searches_by_post_where_the_server_wants_it(make_reading, templates):
    sent = case_request(CASE)["prefetch"]
    whole = chart(sent, templates["patient-view"])

    def answer(reply, path):
        form = reply.server.asked[-1][3].decode()
        whole(reply, path.replace("/_search", f"?{form}"))

    with serving(answer) as (base, asked):
        client = make_reading(base, search="post")
        assert topics(post(client, call(base))) == ["start-mtor-inhibitor"]
    searches = [path for method, path, _, _ in asked if method == "POST"]
    assert len(searches) == len(templates["patient-view"]) - 1
    assert all(path.endswith("/_search") for path in searches)


@pytest.mark.conformance("C084")
def test_a_busy_server_is_asked_again(make_reading, templates):
    whole, busy = chart(case_request(CASE)["prefetch"], templates["patient-view"]), set()

    def answer(reply, path):
        if path in busy or path.endswith("/metadata"):
            whole(reply, path)
        else:
            busy.add(path)
            after = "0.02" if len(busy) % 2 else "Thu, 01 Jan 2026 00:00:00 GMT"
            reply.send(429 if len(busy) % 2 else 503, b"", Retry_After=after)

    with serving(answer) as (base, asked):
        assert topics(post(make_reading(base), call(base))) == ["start-mtor-inhibitor"]
    assert len(asked.paths) == 2 * len(busy)


@pytest.mark.conformance("C084")
def test_a_server_that_is_busy_for_longer_than_we_have_is_not_waited_for(make_reading):
    with serving(servers.status(429, Retry_After="30")) as (base, asked):
        client = make_reading(base, {"deadline_ms": 3000})
        started = time.monotonic()
        answer = post(client, call(base))
        assert time.monotonic() - started < 2
    assert_refused(answer, 412, "FHIR server: busy")
    assert len(asked.paths) == len(set(asked.paths))


FAULTS = {
    "slow": (servers.drip, "timeout"),
    "hanging": (servers.hang, "timeout"),
    "cut off in the body": (servers.cut_off, "cut-off"),
    "HTML": (servers.html, "not-fhir"),
    "no JSON": (servers.not_json, "not-fhir"),
    "deep JSON": (servers.deep, "not-fhir"),
    "no text": (servers.random_bytes, "not-fhir"),
    "a page of 100 MB": (servers.huge, "too-large"),
    "a gzip bomb": (servers.gzip_bomb, "too-large"),
    "redirect": (servers.redirect, "redirect"),
    "401": (servers.status(401), "not-allowed"),
    "403": (servers.status(403), "not-allowed"),
    "404": (servers.status(404), "not-found"),
    "500": (servers.status(500), "server-error"),
    "502": (servers.status(502), "server-error"),
    "503 without end": (servers.status(503), "busy"),
    "an OperationOutcome with 200": (servers.status(200), "not-fhir"),
}


@pytest.mark.conformance("C084", "C089")
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_needed_data_is_a_412_within_the_deadline(make_reading, name):
    fault, problem = FAULTS[name]
    with serving(fault) as (base, _):
        deadline = {"deadline_ms": 450 if problem == "timeout" else 3000}
        client = make_reading(base, deadline, version="R4")
        started = time.monotonic()
        answer = post(client, call(base, keep=["patient", "observations"]))
        took = time.monotonic() - started
    text = assert_refused(answer, 412, f"prefetch key: conditions; FHIR server: {problem}")
    assert "s3cret" not in text
    assert took < (1.5 if problem == "timeout" else 3.5)  # a hung server would take three seconds


@pytest.mark.conformance("C084", "C076")
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_other_data_is_a_gap_that_the_cards_name(make_reading, name):
    fault, problem = FAULTS[name]
    with serving(fault) as (base, _):
        deadline = {"deadline_ms": 450 if problem == "timeout" else 3000}
        client = make_reading(base, deadline, version="R4")
        keys = case_request(CASE)["prefetch"].keys() - {"allergies"}
        answer = post(client, call(base, keep=keys))
    assert topics(answer)[0] == "start-mtor-inhibitor"
    text = answer.get_data(as_text=True)
    assert "`search allergies`" in text
    assert "s3cret" not in text


@pytest.mark.conformance("C072", "C076")
@pytest.mark.parametrize("fault", [servers.endless_pages, servers.next_elsewhere])
def test_pages_that_lead_nowhere_leave_a_beginning(make_reading, fault):
    with serving(fault) as (base, asked):
        client = make_reading(base, {"deadline_ms": 5000}, version="R4")
        keys = case_request(CASE)["prefetch"].keys() - {"allergies"}
        answer = post(client, call(base, keep=keys))
        assert topics(answer)[0] == "start-mtor-inhibitor"
        assert "Only a first page" in answer.get_data(as_text=True)
    assert len(asked.paths) == (20 if fault is servers.endless_pages else 1)


@pytest.mark.parametrize(
    ("version", "name"), [("1.0.2", "DSTU2"), ("3.0.2", "STU3"), ("0.0.82", "DSTU1")]
)
def test_an_older_server_is_a_412_that_names_its_version(make_reading, templates, version, name):
    with serving(chart({}, templates["patient-view"], version)) as (base, _):
        client = make_reading(base)
        for _ in range(2):  # at the latest when the server has told its version
            answer = post(client, call(base))
            time.sleep(0.1)
    assert_refused(answer, 412, f"FHIR {name} ({version})", "R4, R4B and R5", "fhirServer")


@pytest.mark.parametrize("version", ["4.0.1", "4.3.0", "5.0.0"])
def test_r4_r4b_and_r5_are_read(make_reading, templates, version):
    sent = case_request(CASE)["prefetch"]
    with serving(chart(sent, templates["patient-view"], version)) as (base, asked):
        client = make_reading(base)
        for _ in range(2):
            assert topics(post(client, call(base))) == ["start-mtor-inhibitor"]
            time.sleep(0.1)
    assert sum(path.endswith("/metadata") for _, path, _, _ in asked) == 1


@pytest.mark.parametrize("old", [servers.status(404), servers.html, servers.hang])
def test_a_server_that_says_nothing_of_its_version_is_read(make_reading, templates, old):
    whole = chart(case_request(CASE)["prefetch"], templates["patient-view"])

    def answer(reply, path):
        (old if path.endswith("/metadata") else whole)(reply, path)

    with serving(answer) as (base, _):
        client = make_reading(base, {"deadline_ms": 2900})
        started = time.monotonic()
        assert topics(post(client, call(base))) == ["start-mtor-inhibitor"]
        assert time.monotonic() - started < 2


def medication(drug_id="m1", text="sirolimus 1 mg tablet"):
    return {"resourceType": "Medication", "id": drug_id, "code": {"text": text}}


def prescription(**medication_element):
    return {"resourceType": "MedicationRequest", "id": "r1", "status": "active", "intent": "order",
            "subject": {"reference": "Patient/synthetic"}, **medication_element}  # fmt: skip


@pytest.mark.parametrize(
    "pointer", ["Medication/m1", "{base}/Medication/m1", "Medication/m1/_history/2"]
)
def test_a_medication_that_is_only_referred_to_is_read(make_reading, templates, pointer):
    whole = chart(case_request(CASE)["prefetch"], templates["patient-view"])

    def answer(reply, path):
        if path == "/fhir/Medication/m1":
            reply.send(body=medication())
        else:
            whole(reply, path)

    with serving(answer) as (base, asked):
        client = make_reading(base)
        body = call(base, keep=templates["patient-view"])
        refers = {"medicationReference": {"reference": pointer.format(base=base)}}
        body["prefetch"]["medicationRequests"] = bundle(prescription(**refers))
        assert topics(post(client, body)) == ["plan-pregnancy", "monitor-mtor-inhibitor"]
    assert asked.paths == ["/fhir/Medication/m1"]


@pytest.mark.parametrize(
    "pointer",
    ["https://evil.example.org/Medication/m1", "Medication/../Patient", "Organization/m1",
     "Medication/m1?x=1", "urn:uuid:1"],
)  # fmt: skip
def test_other_references_are_not_followed_and_leave_a_gap(make_reading, templates, pointer):
    with serving(servers.status(500)) as (base, asked):
        client = make_reading(base)
        body = call(base, keep=templates["patient-view"])
        refers = {"medicationReference": {"reference": pointer}}
        body["prefetch"]["medicationRequests"] = bundle(prescription(**refers))
        answer = post(client, body)
        assert topics(answer)[0] == "start-mtor-inhibitor"
        assert "medication that was not sent" in answer.get_data(as_text=True)
        assert "suggestions" not in answer.get_json()["cards"][0]
    assert asked == []


def test_a_medication_in_the_way_of_r5_is_read(client):
    body = case_request(CASE)
    concept = {"medication": {"concept": {"text": "sirolimus 1 mg tablet"}}}
    body["prefetch"]["medicationRequests"] = bundle(prescription(**concept))
    assert topics(post(client, body)) == ["plan-pregnancy", "monitor-mtor-inhibitor"]


def test_a_draft_that_refers_to_a_medication_is_judged(make_reading, templates):
    name = "verify-mtor-inhibitor-dose/sirolimus-10-mg"
    body = case_request(name, "order-sign")
    entry = body["context"]["draftOrders"]["entry"][0]["resource"]
    drug = entry.pop("medicationCodeableConcept")
    entry["medicationReference"] = {"reference": "Medication/m1"}

    def answer(reply, path):
        reply.send(body=medication() | {"code": drug})

    with serving(answer) as (base, asked):
        granted = call(base)
        body |= {"fhirServer": base, "fhirAuthorization": granted["fhirAuthorization"]}
        body["prefetch"] = dict.fromkeys(templates["order-sign"]) | body["prefetch"]
        answered = post(make_reading(base, version="R4"), body)
        assert "verify-mtor-inhibitor-dose" in topics(answered)
    assert asked.paths == ["/fhir/Medication/m1"]


def test_a_hung_server_does_not_hold_up_calls_that_need_none(make_reading):
    with serving(servers.hang) as (base, _):
        client = make_reading(base, {"deadline_ms": 450})
        post(client, call(base))
        started = time.monotonic()
        assert topics(post(client, case_request(CASE))) == ["start-mtor-inhibitor"]
        assert time.monotonic() - started < 1


def test_a_server_that_hangs_does_not_hold_up_the_patients_of_another(
    make_client, templates, tmp_path
):
    whole = chart(case_request(CASE)["prefetch"], templates["patient-view"])
    with serving(servers.hang) as (hung, _), serving(whole) as (well, _):
        path = tmp_path / "trust.json"
        listed = [{"url": url, "private": True, "version": "R4"} for url in (hung, well)]
        path.write_text(json.dumps({"issuers": [], "anonymous": {"fhir_servers": listed}}))
        client = make_client(trust_file=path, deadline_ms=2500)
        calls = [threading.Thread(target=post, args=(client.application.test_client(), call(hung)))
                 for _ in range(12)]  # fmt: skip
        for running in calls:
            running.start()
        time.sleep(0.3)
        started = time.monotonic()
        assert topics(post(client, call(well))) == ["start-mtor-inhibitor"]
        assert time.monotonic() - started < 1.5
        for running in calls:
            running.join(10)
