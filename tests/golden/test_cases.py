"""Each case, sent over HTTP, gives exactly its expected answer."""

from __future__ import annotations

import json
from collections import Counter
from importlib import import_module

import pytest

from cds_service.recommendations import RULES
from tests.golden.cases import Answers, all_cases, index
from tests.support import FIXTURES, assert_valid

CASES = all_cases()


@pytest.fixture(scope="module")
def answers():
    made = Answers()
    yield made
    made.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_gives_its_expected_answer(case, answers):
    answer = answers.answer(case)
    assert_valid("response", answer)
    assert answer == case.expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_expected_cards_are_those_the_story_asks_for(case):
    shown = [card["source"]["topic"]["code"] for card in case.expected["cards"]]
    assert sorted(shown) == sorted(case.about["expect"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_resource_of_a_case_is_valid_fhir(case):
    for value in case.request["prefetch"].values():
        for resource in _resources(value):
            _model(resource["resourceType"]).model_validate(resource)


@pytest.mark.conformance("C002", "C114", "C115")
@pytest.mark.parametrize(
    "case", [c for c in CASES if "actions" in json.dumps(c.expected)], ids=lambda case: case.name
)
def test_every_suggested_resource_is_valid_fhir(case):
    patient = case.request["context"]["patientId"]
    for card in case.expected["cards"]:
        for suggestion in card.get("suggestions", ()):
            for action in suggestion["actions"]:
                if action["type"] != "delete":
                    resource = action["resource"]
                    _model(resource["resourceType"]).model_validate(resource)
                    assert resource["status"] == "draft"
                    assert resource["subject"] == {"reference": f"Patient/{patient}"}


def _resources(value):
    if value["resourceType"] != "Bundle":
        return [value]
    return [value, *(entry["resource"] for entry in value.get("entry", ()))]


def _model(resource_type):
    module = import_module(f"fhir.resources.R4B.{resource_type.lower()}")
    return getattr(module, resource_type)


OFFERED = [(moment.value, rule.CARD) for moment, rules in RULES.items() for rule in rules]


@pytest.mark.parametrize(("hook", "card"), [*OFFERED, ("patient-view", "review-unreadable-data")])
def test_each_recommendation_has_three_cases_and_both_answers(hook, card):
    own = [case for case in CASES if (case.hook, case.card) == (hook, card)]
    assert len(own) >= 3
    fired = Counter(card in case.about["expect"] for case in own)
    assert fired[True] >= 1
    assert fired[False] >= 1


def test_index_is_current():
    assert (FIXTURES / "README.md").read_text(encoding="utf-8") == index(CASES), "run make golden"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_tells_its_story(case):
    assert set(case.about) == {"title", "story", "as_of", "expect", "why"}
    assert case.about["story"].endswith(".")
    assert json.dumps(case.request).count("synthetic") > 0
