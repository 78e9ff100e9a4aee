"""Feedback: tolerant of what really comes, kept once, and added up."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from cds_service.app import open_store
from cds_service.errors import SettingError
from cds_service.feedback.comments import UNREADABLE, CommentBox
from cds_service.feedback.model import Fact, Shown
from cds_service.feedback.recorder import Recorder
from cds_service.feedback.report import as_csv, as_json, as_table, report
from cds_service.feedback.store import Store
from tests.contract.test_calls import assert_refused
from tests.rows import facts
from tests.support import SERVICE, case_request, post, settings

URL = f"{SERVICE}/feedback"
CARD = "0b2d4b0e-7f57-4b0e-9a54-2f1f6ce0a001"
WHEN = "2026-10-01T09:30:00Z"
LONG_AGO = datetime(2000, 1, 1)


@pytest.fixture
def database(tmp_path):
    return f"sqlite:///{tmp_path}/feedback.db"


@pytest.fixture
def kept(database):
    """What is in the database now."""
    store = Store(database, CommentBox([]))
    store.check()
    store.close()
    return lambda: facts(database)


@pytest.fixture
def client(make_client, database):
    return make_client(database_url=database)


def item(**changed):
    usual = {"card": CARD, "outcome": "overridden", "outcomeTimestamp": WHEN}
    return {name: value for name, value in (usual | changed).items() if value is not None}


def send(client, *items, **options):
    return client.post(URL, json={"feedback": list(items)}, **options)


@pytest.mark.conformance("C126", "C130", "C133")
@pytest.mark.parametrize(
    ("reason", "code", "comment"),
    [
        (None, None, None),
        ({"reason": {"code": "already-done", "system": "urn:x"}}, "already-done", None),
        ({"reason": {"code": "already-done"}}, "already-done", None),
        ({"userComment": "seen at the centre"}, None, "seen at the centre"),
        ({"reason": {"code": "x" * 300}, "userComment": 5}, None, None),
        ({"extension": {"com.example": 1}}, None, None),
        ({"reason": "already-done"}, None, None),
        ({}, None, None),
    ],
)
@pytest.mark.parametrize("name", ["overrideReason", "overrideReasons"])
def test_an_override_is_kept_however_it_is_told(client, kept, reason, code, comment, name):
    answer = send(client, item(**{name: reason}))
    assert (answer.status_code, answer.data) == (204, b"")
    (fact,) = kept()
    assert (fact["card"], fact["outcome"], fact["service"]) == (
        CARD, "overridden", "lam-tsc-patient-view",
    )  # fmt: skip
    assert (fact["reason_code"], fact["comment"]) == (code, comment)
    assert fact["happened_at"] == datetime(2026, 10, 1, 9, 30)


def test_reasons_in_a_list_are_read(client, kept):
    send(client, item(overrideReasons=[5, {"reason": {"code": "data-wrong"}}]))
    assert kept()[0]["reason_code"] == "data-wrong"


@pytest.mark.conformance("C129")
def test_an_acceptance_names_what_was_accepted(client, kept):
    accepted = {"outcome": "accepted", "acceptedSuggestions": [{"id": "s2"}, {"id": "s1"}]}
    assert send(client, item(**accepted)).status_code == 204
    assert kept()[0]["suggestions"] == "s2 s1"
    for missing in (None, []):
        answer = send(client, item(outcome="accepted", acceptedSuggestions=missing))
        assert_refused(answer, 400, "feedback.0.acceptedSuggestions")


@pytest.mark.conformance("C127", "C128")
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "the whole body: expected an object"),
        ({}, "feedback: missing"),
        ({"feedback": {}}, "feedback: expected an array"),
        ({"feedback": [5]}, "feedback.0: expected an object"),
        ({"feedback": [item(), item(card=None)]}, "feedback.1.card: missing"),
        ({"feedback": [item(card=" ")]}, "feedback.0.card: expected the uuid of a card"),
        ({"feedback": [item(card="x" * 300)]}, "feedback.0.card"),
        ({"feedback": [item(outcome=None)]}, "feedback.0.outcome: missing"),
        ({"feedback": [item(outcome="ignored")]}, "expected accepted or overridden"),
        ({"feedback": [item(outcomeTimestamp="yesterday")]}, "feedback.0.outcomeTimestamp"),
        ({"feedback": [item(outcomeTimestamp=5)]}, "expected a time with a zone"),
        ({"feedback": [item()] * 1001}, "at most 1000 items"),
    ],
)
def test_what_is_no_feedback_is_refused_whole(client, kept, body, words):
    assert_refused(client.post(URL, json=body), 400, words)
    assert kept() == []


def test_what_is_no_json_is_refused(client):
    for body in (b"", b"{", b"[" * 5000, b"\xff"):
        answer = client.post(URL, data=body, content_type="application/json")
        assert_refused(answer, 400, "not JSON")
    assert client.post(URL, data=b"{}", content_type="text/plain").status_code == 415


@pytest.mark.conformance("C128")
def test_without_a_time_the_arrival_counts(client, kept):
    assert send(client, item(outcomeTimestamp=None)).status_code == 204
    (fact,) = kept()
    assert fact["happened_at"] == fact["received_at"]


@pytest.mark.conformance("C128")
@pytest.mark.parametrize(
    "when", ["2026-10-01T09:30:00Z", "2026-10-01T11:30:00+02:00", "2026-10-01T09:30:00",
             "2026-10-01t09:30:00z"],
)  # fmt: skip
def test_times_are_kept_in_utc(client, kept, when):
    assert send(client, item(outcomeTimestamp=when)).status_code == 204
    assert kept()[0]["happened_at"] == datetime(2026, 10, 1, 9, 30)


@pytest.mark.conformance("C131")
@pytest.mark.parametrize("changed", [{}, {"outcomeTimestamp": None}])
def test_a_repeat_is_one_fact(client, kept, changed):
    for _ in range(3):
        assert send(client, item(**changed), item(**changed)).status_code == 204
    assert len(kept()) == 1
    send(client, item(**changed, overrideReason={"userComment": "another word"}))
    assert len(kept()) == 2


@pytest.mark.conformance("C131", "C126")
def test_batches_about_any_cards_and_unknown_services(client, kept):
    many = [item(card=f"card-{number}") for number in range(1000)]
    assert send(client, *many).status_code == 204
    assert len(kept()) == 1000
    assert client.post("/cds-services/none/feedback", json={"feedback": []}).status_code == 404
    assert send(client).status_code == 204


def test_no_comment_is_ever_logged(client, make_client, database, caplog, tmp_path):
    caplog.set_level("DEBUG")
    audit = tmp_path / "audit.jsonl"
    client = make_client(database_url=database, audit_file=audit)
    send(client, item(overrideReason={"userComment": "Mary c4nary"}))
    send(client, item(outcome="c4nary", overrideReason={"userComment": "Mary c4nary"}))
    assert "c4nary" not in caplog.text + audit.read_text()
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    assert lines[0]["feedback"] == {"items": 1, "new": {"overridden": 1}}
    assert [line["status"] for line in lines] == [204, 400]
    client.application.extensions["parts"].audit.close()


def test_comments_are_encrypted_when_there_is_a_key(make_client, database, tmp_path):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    comment = item(overrideReason={"userComment": "Mary c4nary"})
    send(make_client(database_url=database, comment_keys=old), comment)
    on_disk = b"".join(path.read_bytes() for path in tmp_path.glob("feedback.db*"))
    assert b"c4nary" not in on_disk
    for keys, shown in (([old], "Mary c4nary"), ([new, old], "Mary c4nary"), ([new], UNREADABLE),
                        ([], UNREADABLE)):  # fmt: skip
        assert facts(database, *keys)[0]["comment"] == shown
    send(make_client(database_url=database, comment_keys=f"{new},{old}"), comment)
    assert len(facts(database)) == 1


@pytest.mark.conformance("C094", "C132")
def test_the_report_adds_up_what_was_shown_and_what_became_of_it(client, database):
    cards = []
    for _ in range(3):
        cards += [c["uuid"] for c in post(client, case_request()).get_json()["cards"]]
    client.application.extensions["parts"].recorder.flush()
    send(client, item(card=cards[0], overrideReason={"reason": {"code": "already-done"}}))
    accepted = {"outcome": "accepted", "acceptedSuggestions": [{"id": "s"}]}
    later = {"outcomeTimestamp": "2026-10-02T00:00:00Z"}
    send(client, item(card=cards[0], **accepted, **later), item(card=cards[1]))
    send(client, item(card="of another service", overrideReason={"userComment": "=1+1"}))
    store = open_store(settings(database_url=database))
    unknown, known = report(store, LONG_AGO)
    version = client.get("/health").get_json()["contentVersion"]
    assert (known.recommendation, known.content_version) == ("start-mtor-inhibitor", version)
    assert (known.shown, known.accepted, known.overridden, known.silent) == (3, 1, 1, 1)
    assert known.reasons == {"no reason given": 1}
    assert (unknown.recommendation, unknown.shown, unknown.overridden) == (
        "(card not known)", 0, 1,
    )  # fmt: skip
    assert "start-mtor-inhibitor" in as_table([known])
    assert "1 (33 %)" in as_table([known])
    assert json.loads(as_json([known]))[0]["noFeedback"] == 1
    assert as_csv([unknown]).splitlines()[1].endswith(",'=1+1")
    assert report(store, datetime(2200, 1, 1)) == []
    store.close()


def test_the_report_as_a_page_and_as_data(client):
    assert "No card was shown" in client.get("/reports/feedback").get_data(as_text=True)
    post(client, case_request())
    client.application.extensions["parts"].recorder.flush()
    send(client, item(overrideReason={"userComment": "<script>alert(1)</script>"}))
    page = client.get("/reports/feedback?since=2020-01-01")
    text = page.get_data(as_text=True)
    assert "start-mtor-inhibitor" in text
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert client.get("/reports/pages.css").mimetype == "text/css"
    for form, kind in (("csv", "text/csv"), ("json", "application/json")):
        answer = client.get(f"/reports/feedback?since=2020-01-01&format={form}")
        assert answer.mimetype == kind
        assert "start-mtor-inhibitor" in answer.get_data(as_text=True)
    assert_refused(client.get("/reports/feedback?since=spring"), 400, "since: expected a date")


@pytest.mark.parametrize("path", ["/reports/feedback", "/reports/pages.css", "/metrics"])
def test_reports_are_closed_unless_on_loopback_or_with_the_password(make_client, path):
    assert make_client(host="0.0.0.0").get(path).status_code == 401
    client = make_client(host="0.0.0.0", reports_password="s3cret")
    assert client.get(path).status_code == 401
    assert client.get(path, auth=("x", "wrong")).status_code == 401
    assert client.get(path, auth=("x", "s3cret")).status_code == 200
    assert make_client(reports_password="s3cret").get(path).status_code == 401
    behind_a_proxy = make_client(public_url="https://cds.example.org")
    assert behind_a_proxy.get(path).status_code == 401


def shown(card, when):
    return Shown(card, "start-mtor-inhibitor", "warning", "v1", "s", "i", when)


def fact(card, when):
    return Fact(card, "s", "i", "overridden", (), None, None, None, when, when)


def test_what_is_old_is_forgotten(database):
    store = Store(database, CommentBox([]))
    now = datetime(2026, 11, 2)
    store.note_shown([shown("old", now - timedelta(days=800)), shown("new", now)])
    store.keep([fact("old", now - timedelta(days=800)), fact("new", now)])
    lost = []
    recorder = Recorder(store, 730, lost.append)
    recorder.note([shown("newest", datetime.now())])
    recorder.flush()
    assert [row["card"] for row in facts(database)] == ["new"]
    (counted,) = store.shown_since(LONG_AGO)
    assert (counted["shown"], lost) == (2, [])
    store.close()


def test_a_database_that_is_down_costs_feedback_and_no_cards(make_client, caplog):
    client = make_client(database_url="postgresql+psycopg://nobody:s3cret@127.0.0.1:1/none")
    assert post(client, case_request()).status_code == 200
    answer = send(client, item())
    assert_refused(answer, 503, "transient")
    assert answer.headers["Retry-After"]
    assert client.get("/reports/feedback").status_code == 503
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.get_json()["status"]) == (200, "degraded")
    assert ready.get_json()["checks"]["database"] == "unavailable"
    client.application.extensions["parts"].recorder.flush()
    assert "cds_shown_lost_total 1.0" in client.get("/metrics").get_data(as_text=True)
    assert "s3cret" not in caplog.text


def test_a_full_disk_is_told_and_nothing_is_acknowledged(client, database, kept):
    assert send(client, item()).status_code == 204
    store = client.application.extensions["parts"].store
    with store._engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        pages = raw.execute("PRAGMA page_count").fetchone()[0]

    def no_room(connection, _):
        connection.execute(f"PRAGMA max_page_count={pages}")

    store.close()
    sa.event.listen(store._engine, "connect", no_room)
    many = [item(card=f"card-{n}", overrideReason={"userComment": "x" * 5000}) for n in range(50)]
    assert_refused(send(client, *many), 503, "transient")
    sa.event.remove(store._engine, "connect", no_room)
    store.close()
    assert len(kept()) == 1
    assert send(client, *many).status_code == 204
    assert len(kept()) == 51


def test_writers_of_several_processes_wait_for_one_another(client, database, kept):
    send(client, item())
    path = database.removeprefix("sqlite:///")
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, lambda: other.execute("COMMIT")).start()
    assert send(client, item(card="waits")).status_code == 204
    assert len(kept()) == 2
    other.close()


def test_a_report_waits_for_no_writer(client, database):
    send(client, item())
    other = sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    assert client.get("/reports/feedback?format=json").status_code == 200
    assert client.get("/health/ready").get_json()["checks"]["database"] == "ok"
    assert time.monotonic() - started < 1
    other.execute("COMMIT")
    other.close()


def test_a_wrong_address_of_the_database_stops_the_start(make_client):
    for url in ("nonsense", "mysql://x/y", ""):
        with pytest.raises(SettingError, match="CDS_DATABASE_URL: expected sqlite"):
            make_client(database_url=url)
