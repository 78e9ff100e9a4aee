"""Discovery, and the prefetch templates it publishes."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from cds_service.errors import SettingError
from cds_service.fhir.prefetch import KEYS
from cds_service.hooks.catalogue import services
from tests.support import LOINC, SERVICE, assert_valid, case_request, post

ALLOWED = {
    "Patient": set(),
    "Condition": {"patient"},
    "Observation": {"patient", "code", "_sort", "_count"},
    "DiagnosticReport": {"patient", "code", "_sort", "_count"},
    "MedicationRequest": {"patient", "status"},
    "MedicationStatement": {"patient", "status"},
    "AllergyIntolerance": {"patient"},
    "Procedure": {"patient"},
    "ServiceRequest": {"patient", "status"},
}


@pytest.fixture
def offered(client: FlaskClient):
    return client.get("/cds-services").get_json()["services"]


@pytest.fixture(params=["patient-view", "order-select", "order-sign"])
def templates(request, offered):
    return next(s["prefetch"] for s in offered if s["hook"] == request.param)


@pytest.mark.conformance("C008", "C009", "C011", "C012", "C013", "C014", "C015", "C016", "C020")
def test_discovery_obeys_its_schema(client):
    answer = client.get("/cds-services")
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert_valid("discovery", answer.get_json())


@pytest.mark.conformance("C008")
def test_discovery_is_read_only_and_has_one_address(client):
    refused = client.post("/cds-services")
    assert refused.status_code == 405
    assert "GET" in refused.headers["Allow"]
    assert client.get("/cds-services/").status_code == 404


@pytest.mark.conformance("C012")
def test_service_ids_are_stable_and_answer(client, offered):
    assert [service["id"] for service in offered] == [
        "lam-tsc-patient-view",
        "lam-tsc-order-select",
        "lam-tsc-order-sign",
    ]
    for service in offered:
        answer = client.post(f"/cds-services/{service['id']}", json={})
        assert answer.status_code == 400


@pytest.mark.conformance("C019", "C018")
def test_id_and_hook_are_unique_and_no_hook_version_is_claimed(offered):
    assert len({(s["id"], s["hook"]) for s in offered}) == len(offered)
    assert all("hookVersion" not in service for service in offered)


@pytest.mark.conformance("C010")
def test_with_nothing_to_offer_the_list_is_empty(make_client):
    client = make_client(services="none")
    assert client.get("/cds-services").get_json() == {"services": []}
    assert post(client, case_request()).status_code == 404


def test_a_chosen_service_is_offered_and_an_unknown_one_stops_the_start(make_client):
    client = make_client(services="lam-tsc-patient-view")
    assert len(client.get("/cds-services").get_json()["services"]) == 1
    with pytest.raises(SettingError, match="CDS_SERVICES: no service 'x'"):
        make_client(services="x")


@pytest.mark.conformance("C017")
def test_the_version_is_told_only_when_asked_for(make_client, offered):
    assert "version" not in offered[0]
    client = make_client(advertise_version=True)
    document = client.get("/cds-services").get_json()
    assert document["services"][0]["version"] == "2.0.1"
    assert_valid("discovery", document)


@pytest.mark.conformance("C016", "C022")
def test_usage_requirements_name_every_key(content, offered):
    for service, entry in zip(services(content), offered, strict=True):
        text = entry["usageRequirements"]
        assert "R4" in text
        assert all(key in text for key in service.prefetch)
        assert set(service.prefetch) >= service.required


@pytest.mark.conformance(
    "C023", "C024", "C025", "C026", "C027", "C028", "C029", "C030", "C031", "C032", "C033", "C034",
    "C035", "C036", "C037", "C038",
)  # fmt: skip
def test_templates_keep_to_the_portable_subset(templates):
    for template in templates.values():
        assert re.findall(r"\{\{(.*?)\}\}", template) == ["context.patientId"]
        resource_type, _, query = template.partition("?")
        parameters = {part.split("=")[0] for part in query.split("&") if part}
        assert parameters <= ALLOWED[resource_type.split("/")[0]]
        assert "sort" not in template or "_sort=-date" in template


@pytest.mark.conformance("C039")
def test_keys_are_short_and_are_those_that_are_read(templates, offered):
    assert set(KEYS) == {key for service in offered for key in service["prefetch"]}
    assert all(re.fullmatch(r"[a-z][A-Za-z0-9]*", key) for key in templates)


def test_a_key_means_the_same_in_every_service(offered):
    meanings = {(key, t) for service in offered for key, t in service["prefetch"].items()}
    assert len(meanings) == len({key for key, _ in meanings})


def test_observations_ask_for_every_loinc_code_that_is_read(content, offered):
    templates = offered[0]["prefetch"]
    asked = set(re.search(r"code=([^&]+)", templates["observations"])[1].split(","))
    for name in ("fev1", "fev1-percent", "saturation", "saturation-exertion", "body-height"):
        codes = {code for system, code in content.concepts[name].codes if system == LOINC}
        assert codes <= asked
    assert "2019-8" not in asked


@pytest.mark.conformance("C007")
@pytest.mark.parametrize("prefix", ["/v1/lam", ""])
def test_routes_hang_below_the_path_of_the_public_url(make_client, prefix):
    client = make_client(public_url="https://cds.example.org/v1/lam/")
    assert client.get(f"{prefix}/cds-services").status_code == 200
    answer = post(client, case_request())
    icon = answer.get_json()["cards"][0]["source"]["icon"]
    assert icon == "https://cds.example.org/v1/lam/icon.png"
    assert client.post(f"{prefix}{SERVICE}", json=case_request()).status_code == 200
