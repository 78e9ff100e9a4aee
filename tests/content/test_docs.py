"""The pages for those who connect and run the service are current; its deployment files sound."""

from __future__ import annotations

import re

import pytest
import yaml

from cds_service.environment import PREFIX
from cds_service.hooks.catalogue import services
from cds_service.onboarding import as_html, sheet
from cds_service.settings import Settings
from cds_service.trust.file import load_trust
from tests.support import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "deploy" / "README.md"]
KNOWN = {PREFIX + name.upper() for name in Settings.model_fields}


def test_the_onboarding_sheet_is_current(content):
    page = (ROOT / "docs" / "onboarding-sheet.md").read_text(encoding="utf-8")
    assert page == sheet(services(content), "https://cds.example.org"), "run make manual"


@pytest.mark.conformance("C022")
def test_the_sheet_holds_all_of_discovery(client, content):
    page = sheet(services(content), "https://x")
    for service in client.get("/cds-services").get_json()["services"]:
        assert f"`https://x/cds-services/{service['id']}/feedback`" in page
        for key, template in service["prefetch"].items():
            assert f"| `{key}` |" in page
            assert f"`{template}`" in page
            assert f"`user/{re.split('[?/]', template)[0]}.rs`" in page


def test_the_sheet_prints_as_a_page_that_needs_nothing_else(content):
    page = as_html(sheet(services(content), "https://x"))
    assert page.startswith("<!doctype html>")
    assert "<table>" in page
    assert not re.search(r"(src|href)=", page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_settings_exist(page):
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
        assert (page.parent / path).exists(), path
    for name in re.findall(r"\bCDS_[A-Z_]+\b", text):
        assert name in KNOWN, name
    for path in re.findall(r"`((?:tests|deploy|docs|cards|cds_service)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize(
    "path", [ROOT / "deploy" / "compose.yaml", *sorted(ROOT.glob("deploy/kubernetes/*.yaml"))],
    ids=lambda path: path.name,
)  # fmt: skip
def test_deployment_files_are_sound_and_name_settings_that_exist(path):
    text = path.read_text(encoding="utf-8")
    documents = list(yaml.safe_load_all(text))
    assert all(isinstance(document, dict) for document in documents)
    assert set(re.findall(r"\bCDS_[A-Z_]+\b", text)) <= KNOWN


def test_the_deployment_asks_for_what_production_needs():
    text = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    service = yaml.safe_load(text)["services"]["cds"]
    for name in ("CDS_PUBLIC_URL", "CDS_TRUST_FILE", "CDS_REDIS_URL", "CDS_DATABASE_URL"):
        assert name in service["environment"]
    assert "CDS_CLIENT_AUTH" not in service["environment"]  # signed callers are the default


def test_the_example_of_a_trust_file_is_one():
    trust = load_trust(ROOT / "deploy" / "trust.example.json")
    assert list(trust.issuers) == ["https://ehr.example.org/fhir/r4"]


def test_the_example_in_the_onboarding_page_is_the_one_that_is_shipped():
    page = (ROOT / "docs" / "onboarding-an-ehr.md").read_text(encoding="utf-8")
    shipped = (ROOT / "deploy" / "trust.example.json").read_text(encoding="utf-8")
    assert shipped in page


def test_each_word_for_a_refused_caller_is_explained():
    page = (ROOT / "docs" / "onboarding-an-ehr.md").read_text(encoding="utf-8")
    code = "".join(
        (ROOT / "cds_service" / "trust" / name).read_text(encoding="utf-8")
        for name in ("client_jwt.py", "key_sets.py")
    )
    for reason in set(re.findall(r'Untrusted\("([a-z-]+)"', code)):
        assert f"`{reason}`" in page, reason
