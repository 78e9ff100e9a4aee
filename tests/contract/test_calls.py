"""Hook calls: what is accepted, what is refused and how, and what an answer looks like."""

from __future__ import annotations

import copy
import gzip
import json
import struct
import time
from urllib.parse import urlsplit

import pytest
from markdown_it import MarkdownIt

from cds_service.recommendations import PATIENT_VIEW, start_mtor_inhibitor
from tests.golden.cases import all_cases
from tests.support import SERVICE, assert_valid, case_request, post, topics, walk, without

ANSWERS = [case.expected for case in all_cases()]


def assert_refused(answer, status, *words):
    assert answer.status_code == status
    assert answer.mimetype == "application/fhir+json"
    body = answer.get_json()
    assert_valid("operation-outcome", body)
    text = json.dumps(body)
    for word in words:
        assert word in text
    return text


@pytest.mark.conformance("C001", "C040", "C086", "C093")
@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8"])
def test_json_in_and_json_out(client, kind):
    answer = post(client, case_request(), content_type=kind)
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert_valid("response", answer.get_json())


@pytest.mark.conformance("C001", "C050", "C091", "C093")
@pytest.mark.parametrize("kind", ["text/xml", "text/plain", "", "application/fhir+json"])
def test_another_media_type_is_refused(client, kind):
    assert_refused(post(client, case_request(), content_type=kind), 415, "application/json")


@pytest.mark.conformance("C040", "C050")
def test_a_get_is_refused_with_the_methods_allowed(client):
    answer = client.get(SERVICE)
    assert_refused(answer, 405)
    assert "POST" in answer.headers["Allow"]


@pytest.mark.conformance("C050")
@pytest.mark.parametrize(
    "address", ["/cds-services/none", f"{SERVICE}/", "/nowhere", "/cds-services/none/feedback"]
)
def test_an_unknown_address_is_not_found(client, address):
    assert_refused(client.post(address, json={}), 404)


@pytest.mark.conformance("C006", "C050", "C091")
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"hook": "patient-view",}', b"{} // comment", b"NaN", b"[1]", b'"text"', b"null",
     b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b'{"context": ' * 20_000],
)  # fmt: skip
def test_what_is_not_a_json_object_is_refused(client, body):
    assert_refused(post(client, body), 400)


@pytest.mark.conformance("C041", "C042", "C047", "C051", "C090")
@pytest.mark.parametrize(
    "path", [("hook",), ("hookInstance",), ("context",), ("context", "patientId")]
)
def test_a_missing_member_is_named(client, path):
    assert_refused(post(client, without(case_request(), *path)), 400, f"{path[-1]}: missing")


@pytest.mark.conformance("C041", "C047", "C048", "C064")
@pytest.mark.parametrize(
    ("member", "value", "named"),
    [
        ("hook", "", "hook: expected"),
        ("hook", "encounter-start", "hook: expected patient-view"),
        ("hook", 7, "hook: expected"),
        ("hookInstance", " ", "hookInstance: expected"),
        ("context", [], "context: expected"),
        ("context", "patient", "context: expected"),
        ("context", {"patientId": "1?_id=2"}, "context.patientId: expected"),
        ("context", {"patientId": "../../etc"}, "context.patientId: expected"),
        ("context", {"patientId": "a\n"}, "context.patientId: expected"),
        ("context", {"patientId": None}, "context.patientId: expected"),
        ("context", {"patientId": "a", "userId": 5}, "context.userId: expected"),
        ("prefetch", [], "prefetch: expected an object"),
        ("prefetch", "x", "prefetch: expected an object"),
        ("fhirServer", 5, "fhirServer: expected"),
    ],
)
def test_a_member_of_the_wrong_form_is_named_and_not_repeated(client, member, value, named):
    text = assert_refused(post(client, case_request() | {member: value}), 400, named)
    assert "../" not in text
    assert "_id=2" not in text


@pytest.mark.conformance("C044")
def test_authorization_without_a_server_is_refused(client):
    body = without(case_request(), "fhirServer")
    body["fhirAuthorization"] = {"access_token": "secret-token", "token_type": "Bearer"}
    text = assert_refused(post(client, body), 400, "fhirServer: missing")
    assert "secret-token" not in text
    assert_refused(post(client, body | {"fhirServer": ""}), 400, "fhirServer: expected")


@pytest.mark.conformance("C046")
def test_full_prefetch_needs_no_token(client):
    assert topics(post(client, case_request())) == ["start-mtor-inhibitor"]


@pytest.mark.conformance("C042", "C051")
@pytest.mark.parametrize(
    "changes",
    [
        {"hookInstance": "7f3c6c1e-6d0e-11ee-8d37-3a7f6f0f7f10"},
        {"hookInstance": "not a uuid"},
        {"context": {"patientId": "synthetic"}},
        {"context": {"patientId": "synthetic", "userId": "PractitionerRole/1"}},
        {"context": {"patientId": "synthetic", "userId": "Practitioner/1", "encounterId": None}},
        {"context": {"patientId": "synthetic", "userId": "Practitioner/1", "encounterId": "e1"}},
    ],
)
def test_what_may_vary_varies_without_effect(client, changes):
    assert topics(post(client, case_request() | changes)) == ["start-mtor-inhibitor"]


@pytest.mark.conformance("C052", "C051")
@pytest.mark.parametrize("user", ["Patient/synthetic", "RelatedPerson/1"])
def test_patients_and_proxies_get_no_cards_worded_for_clinicians(client, user):
    body = case_request() | {"context": {"patientId": "synthetic", "userId": user}}
    answer = post(client, body)
    assert (answer.status_code, answer.get_json()) == (200, {"cards": []})


@pytest.mark.conformance("C049", "C155", "C075")
def test_unknown_members_are_ignored(client):
    body = case_request()
    plain = strip(post(client, body).get_json())
    body |= {"foo": 1, "extension": {"com.example.trigger": [1, {"a": None}]}}
    body["context"]["foo"] = {"a": [1]}
    body["prefetch"]["unasked"] = {"resourceType": "Patient", "name": [{"text": "SECRET"}]}
    for entry in body["prefetch"]["conditions"]["entry"]:
        entry["resource"]["foo"] = 1
    answer = post(client, body)
    assert strip(answer.get_json()) == plain
    assert b"SECRET" not in answer.get_data()


@pytest.mark.conformance("C043", "C157")
def test_each_call_stands_alone(client):
    low = case_request()
    normal = case_request("start-mtor-inhibitor/fev1-70-1-percent")
    normal["hookInstance"] = low["hookInstance"]
    assert topics(post(client, low)) == ["start-mtor-inhibitor"]
    assert topics(post(client, normal)) == []


@pytest.mark.conformance("C050")
def test_five_megabytes_pass_and_more_than_the_limit_do_not(client, make_client):
    body = case_request()
    body["prefetch"]["unasked"] = "x" * 5_000_000
    assert post(client, body).status_code == 200
    assert_refused(post(make_client(max_body_bytes=2_000_000), body), 413, "larger")


@pytest.mark.conformance("C087")
def test_nothing_to_say_is_an_empty_list(client):
    answer = post(client, case_request("start-mtor-inhibitor/fev1-70-1-percent"))
    assert answer.get_data() == b'{"cards":[]}'


@pytest.mark.conformance("C092", "C090")
def test_our_own_fault_tells_nothing(client, monkeypatch, app):
    def fail(*_):
        raise ValueError("FEV1 of Mrs Secret")

    monkeypatch.setattr("cds_service.fhir.extraction.read_fev1", fail)
    answer = post(client, case_request())
    text = assert_refused(answer, 500, "unexpected")
    assert "Secret" not in text
    assert len(answer.headers["X-Correlation-Id"]) == 36


def test_a_rule_that_fails_costs_no_other_card(client, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(start_mtor_inhibitor, "recommend", fail)
    answer = post(client, case_request("confirm-lam-diagnosis/nothing-confirms-lam"))
    assert topics(answer) == ["confirm-lam-diagnosis", "check-not-made"]
    assert "Start an mTOR inhibitor" in answer.get_json()["cards"][1]["detail"]
    assert_valid("response", answer.get_json())


def test_if_no_rule_can_answer_it_is_a_500(client, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    for rule in PATIENT_VIEW:
        monkeypatch.setattr(rule, "recommend", fail)
    assert_refused(post(client, case_request()), 500, "No recommendation could be judged")


@pytest.mark.conformance("C106", "C098")
def test_cards_are_capped_and_the_last_names_the_rest(make_client):
    body = many_cards()
    everything = topics(post(make_client(max_cards=50), body))
    assert len(everything) > 5
    answer = post(make_client(max_cards=5), body)
    shown = answer.get_json()["cards"]
    assert [c["source"]["topic"]["code"] for c in shown] == [
        *everything[:4],
        "further-recommendations",
    ]
    order = ["critical", "warning", "info"]
    ranks = [order.index(card["indicator"]) for card in shown[:4]]
    assert ranks == sorted(ranks)
    assert f"{len(everything) - 4} further" in shown[-1]["summary"]
    assert shown[-1]["detail"].count(";") == len(everything) - 5
    assert_valid("response", answer.get_json())
    assert topics(post(make_client(max_cards=len(everything)), body)) == everything


def many_cards():
    """A woman for whom almost everything fires."""
    body = case_request("refer-lung-transplant/declining-on-sirolimus")
    low = case_request("assess-home-oxygen/rest-88-twice-21-days-apart")
    body["prefetch"]["observations"]["entry"] += low["prefetch"]["observations"]["entry"][1:]
    body["prefetch"]["observations"]["entry"] += case_request("refer-lung-transplant/nyha-iii")[
        "prefetch"
    ]["observations"]["entry"][1:]
    body["prefetch"]["laboratory"] = None
    body["prefetch"]["conditions"]["entry"].pop()
    return body


def strip(answer):
    """An answer without what is new each time."""
    answer = copy.deepcopy(answer)
    for value in walk(answer):
        if isinstance(value, dict):
            value.pop("uuid", None)
    return answer


@pytest.mark.conformance("C094")
def test_uuids_are_new_each_time(client):
    found = [post(client, case_request()).get_json()["cards"][0]["uuid"] for _ in range(2)]
    assert found[0] != found[1]


@pytest.mark.conformance("C003", "C004", "C005")
def test_no_answer_holds_an_empty_value():
    for answer in ANSWERS:
        for card in answer["cards"]:
            assert all(value not in (None, "", [], {}) for value in walk(card))


@pytest.mark.conformance(
    "C002", "C088", "C095", "C098", "C099", "C100", "C102", "C103", "C104", "C105", "C118", "C119",
    "C121", "C122", "C123", "C124", "C125", "C154",
)  # fmt: skip
def test_answers_hold_only_what_every_client_knows():
    members = {"uuid", "summary", "indicator", "detail", "source", "overrideReasons"}
    for answer in ANSWERS:
        assert_valid("response", answer)
        assert set(answer) == {"cards"}
        for card in answer["cards"]:
            assert set(card) - {"suggestions", "selectionBehavior"} == members
            assert len(card["summary"].encode("utf-16-le")) / 2 < 140
            assert not urlsplit(card["source"]["url"]).query
            assert len(card["overrideReasons"]) == 5


@pytest.mark.conformance("C096", "C097")
def test_details_are_markdown_without_html():
    gfm = MarkdownIt("gfm-like", {"html": True, "linkify": False})
    for answer in ANSWERS:
        for card in answer["cards"]:
            tokens = gfm.parse(card["detail"])
            kinds = {t.type for token in tokens for t in (token, *(token.children or ()))}
            assert not {"html_block", "html_inline"} & kinds


@pytest.mark.conformance("C101")
def test_the_icon_is_a_square_picture_without_transparency(client):
    answer = client.get("/icon.png")
    assert answer.mimetype == "image/png"
    header = struct.unpack(">8sI4sIIBBBBB", answer.get_data()[:29])
    assert header[0] == b"\x89PNG\r\n\x1a\n"
    assert header[3:5] == (100, 100)
    assert header[6] == 2  # true colour, no alpha channel


def test_override_reasons_are_the_five_that_clinicians_give(client):
    card = post(client, case_request()).get_json()["cards"][0]
    assert {reason["code"] for reason in card["overrideReasons"]} == {
        "not-applicable", "contraindicated", "patient-declined", "already-done", "data-wrong",
    }  # fmt: skip


def test_every_card_shows_what_it_rests_on():
    for answer in ANSWERS:
        for card in answer["cards"]:
            code = card["source"]["topic"]["code"]
            assert "awaits clinical review" in card["detail"]
            if code not in ("review-unreadable-data", "repeat-pulmonary-function"):
                assert "**What this rests on**" in card["detail"]
                assert "](https://" in card["detail"]


def test_wide_json_is_answered_in_time(client):
    """Many thousands of members that nobody asked for, where they hurt most."""
    body = case_request()
    wide = {f"member{number}": number for number in range(100_000)}
    body["prefetch"] |= wide
    body["context"] |= wide
    started = time.perf_counter()
    assert topics(post(client, body))[0] == "start-mtor-inhibitor"
    body["hookInstance"] = 5  # and on the slow way, which looks for the fault
    assert post(client, body).status_code == 400
    assert time.perf_counter() - started < 10


def test_a_compressed_body_is_not_unpacked(client):
    body = gzip.compress(json.dumps(case_request()).encode())
    answer = post(client, body, headers={"Content-Encoding": "gzip"})
    assert_refused(answer, 415, "without Content-Encoding")
