"""The same cards from prefetch and from a FHIR server that is not ours, for every case."""

from __future__ import annotations

import copy
import json
from datetime import date

import pytest

from cds_service.hooks.catalogue import services
from cds_service.pipeline import Call, Pipeline
from cds_service.trust.egress import Egress
from cds_service.trust.model import Caller
from cds_service.trust.model import FhirServer as Listed
from tests.contract.test_calls import strip
from tests.golden.cases import all_cases

CASES = all_cases()


@pytest.fixture(scope="module")
def reading(content):
    return Pipeline(content, icon="http://127.0.0.1/icon.png", max_cards=5, egress=Egress(),
                    deadline=10.0)  # fmt: skip


@pytest.fixture(scope="module")
def offered(content):
    return {service.hook: service for service in services(content)}


def resources(request):
    """Everything that the prefetch holds, each once."""
    found = {}
    for value in request["prefetch"].values():
        entries = value.get("entry", []) if value["resourceType"] == "Bundle" else [
            {"resource": value}]  # fmt: skip
        for entry in entries:
            resource = entry["resource"]
            found[resource["resourceType"], resource["id"]] = resource
    return list(found.values())


def searchable(value, patient):
    """What a search for one patient can find: nothing that is filed under another, or nobody."""
    if value is None or value["resourceType"] != "Bundle":
        return value
    mine = f"Patient/{patient}"

    def is_found(resource):
        subject = resource.get("subject") or resource.get("patient") or {}
        return resource["resourceType"] == "Medication" or subject.get("reference") == mine

    return value | {"entry": [e for e in value.get("entry", []) if is_found(e["resource"])]}


@pytest.mark.conformance("C083")
@pytest.mark.parametrize("search", ["get", "post"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_cards_by_both_roads(fhir_server, reading, offered, case, search):
    request, service = case.request, offered[case.hook]
    patient = request["context"]["patientId"]
    base = fhir_server.load("chart", resources(request))
    as_of = date.fromisoformat(case.about["as_of"])
    whole = copy.deepcopy(request)
    whole["prefetch"] = {
        key: searchable(whole["prefetch"].get(key), patient) for key in service.prefetch
    }
    bare = {name: value for name, value in request.items() if name != "prefetch"}
    bare |= {"fhirServer": base,
             "fhirAuthorization": {"access_token": "t", "token_type": "Bearer"}}  # fmt: skip
    server = Listed(base, post=search == "post", private=True)
    problems = {}
    caller = Caller("test", fhir_servers=(server,))
    call = Call(caller, told=lambda known, _: problems.update(known.problems))
    by_prefetch = reading.answer(service, json.dumps(whole).encode(), as_of)
    by_server = reading.answer(service, json.dumps(bare).encode(), as_of, call)
    assert problems == {}
    assert strip({"cards": [*by_server.cards]}) == strip({"cards": [*by_prefetch.cards]})
