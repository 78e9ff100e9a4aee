"""The command line: what it shows, its exit codes, and its errors."""

from __future__ import annotations

import json

import pytest
import requests
from click.testing import CliRunner

from cds_service import cli
from cds_service.errors import ContentError
from tests.support import FIXTURES, case_request

CASE = FIXTURES / "patient-view" / "start-mtor-inhibitor" / "fev1-62-percent" / "request.json"


def run(*arguments, **environment):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments], env=environment)


def test_evaluate_shows_cards_that_can_be_read():
    shown = run("evaluate", CASE, "--as-of", "2026-11-02")
    assert shown.exit_code == 0
    assert shown.output.startswith("WARNING  LAM with FEV1 62 % predicted, below 70 %")
    assert "**" not in shown.output
    assert "ATS/JRS LAM guideline 2016 (https://doi.org/" in shown.output
    assert "Every recommendation" not in shown.output


def test_evaluate_explains_also_what_did_not_fire():
    shown = run("evaluate", CASE, "--as-of", "2026-11-02", "--explain").output
    assert "- start-mtor-inhibitor: recommended" in shown
    assert "- monitor-mtor-inhibitor: not indicated\n    No mTOR inhibitor on record" in shown
    assert "- assess-home-oxygen: undetermined\n    missing: oxygen saturation" in shown


def test_evaluate_explains_gaps_and_failures(monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("cds_service.recommendations.plan_pregnancy.recommend", fail)
    case = FIXTURES / "patient-view" / "review-unreadable-data" / "fev1-without-unit"
    shown = run("evaluate", case / "request.json", "--as-of", "2026-11-02", "--explain").output
    assert "- plan-pregnancy: failed" in shown
    assert "it has no unit: add the unit" in shown


def test_evaluate_without_cards_says_so(tmp_path):
    case = FIXTURES / "patient-view" / "start-mtor-inhibitor" / "fev1-70-1-percent"
    shown = run("evaluate", case / "request.json", "--as-of", "2026-11-02")
    assert (shown.exit_code, shown.output) == (0, "No cards.\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        (json.dumps(case_request() | {"hook": "encounter-start"}), "hook: expected patient-view"),
        (json.dumps(case_request() | {"prefetch": {}}), "prefetch key: conditions"),
    ],
)
def test_evaluate_refuses_with_exit_code_1(tmp_path, text, words):
    path = tmp_path / "request.json"
    path.write_text(text, encoding="utf-8")
    shown = run("evaluate", path)
    assert shown.exit_code == 1
    assert words in shown.stderr
    assert "Traceback" not in shown.output


@pytest.mark.parametrize("arguments", [("none.json",), (CASE, "--as-of", "spring"), ()])
def test_wrong_usage_has_exit_code_2(arguments):
    assert run("evaluate", *arguments).exit_code == 2


def test_check_content_counts_what_it_checked():
    shown = run("check-content")
    assert shown.exit_code == 0
    assert "no fault" in shown.output
    assert "21 cards await clinical review" in shown.output


def test_check_content_prints_a_line_per_fault(monkeypatch):
    def broken():
        raise ContentError(["cards/a.json: one", "cards/b.json: two"])

    monkeypatch.setattr(cli, "load_clinical_content", broken)
    monkeypatch.setattr("cds_service.app.load_clinical_content", broken)
    shown = run("check-content")
    assert shown.exit_code == 1
    assert shown.stderr == "cards/a.json: one\ncards/b.json: two\n"
    assert run("serve", CDS_CLIENT_AUTH="off").stderr == "cards/a.json: one\ncards/b.json: two\n"


def test_serve_stops_on_a_wrong_setting_with_one_line():
    shown = run("serve", CDS_PORT="many")
    assert shown.exit_code == 1
    assert shown.stderr.count("\n") == 1
    assert "CDS_PORT" in shown.stderr


def test_serve_starts_the_server_with_the_settings(monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr("cds_service.server.serve", started.append)
    database = f"sqlite:///{tmp_path}/feedback.db"
    shown = run("serve", CDS_PORT="8099", CDS_CLIENT_AUTH="off", CDS_DATABASE_URL=database)
    assert shown.exit_code == 0
    assert started[0].port == 8099


def test_health_asks_the_running_service(monkeypatch):
    class Answer:
        def raise_for_status(self):
            return None

        def json(self):
            return {"status": "ok"}

    asked = []
    monkeypatch.setattr(requests, "get", lambda url, timeout: asked.append(url) or Answer())
    shown = run("health", "--url", "http://127.0.0.1:1/x/")
    assert (shown.exit_code, shown.output) == (0, "ok\n")
    assert asked == ["http://127.0.0.1:1/x/health"]


def test_health_fails_when_nobody_answers():
    shown = run("health", CDS_PORT="1")
    assert shown.exit_code == 1
    assert "http://127.0.0.1:1/health" in shown.stderr


def test_the_onboarding_sheet_is_printed_for_ones_own_address():
    shown = run("onboarding-sheet", "--url", "https://lungs.example.org/")
    assert shown.exit_code == 0
    assert "`https://lungs.example.org/cds-services/lam-tsc-patient-view`" in shown.output
    page = run("onboarding-sheet", "--format", "html", CDS_PUBLIC_URL="https://x.example.org")
    assert page.output.startswith("<!doctype html>")
    assert "https://x.example.org/cds-services" in page.output


@pytest.mark.parametrize(
    ("form", "words"), [("table", "recommendation"), ("csv", "recommendation,"), ("json", "[]")]
)
def test_the_feedback_report_is_printed(tmp_path, form, words):
    database = f"sqlite:///{tmp_path}/feedback.db"
    shown = run("feedback", "report", "--since", "2026-01-31", "--format", form,
                CDS_DATABASE_URL=database)  # fmt: skip
    assert shown.exit_code == 0
    assert shown.output.startswith(words)


@pytest.mark.parametrize(
    ("database", "words"),
    [("nonsense", "setting CDS_DATABASE_URL"),
     ("postgresql+psycopg://x:s3cret@127.0.0.1:1/x", "cannot be reached")],
)  # fmt: skip
def test_a_report_without_a_database_says_why(database, words):
    shown = run("feedback", "report", CDS_DATABASE_URL=database)
    assert shown.exit_code == 1
    assert words in shown.stderr
    assert "s3cret" not in shown.output
