"""Whatever arrives: a 2xx with cards that obey the schema, or a 4xx with an OperationOutcome."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds_service.app import create_app
from tests import support
from tests.contract.test_calls import strip
from tests.golden.cases import all_cases
from tests.support import AS_OF, assert_valid, case_request, post

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "120"))
CASES = [case.request for case in all_cases()]
CLIENT = create_app(support.settings(), today=lambda: AS_OF).test_client()
with pytest.MonkeyPatch.context() as patched:
    patched.setattr("cds_service.pipeline.is_sound", lambda _: False)
    SLOW = create_app(support.settings(), today=lambda: AS_OF).test_client()

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["Patient/synthetic", "2026-09-14", "http://loinc.org", "20152-5", "final",
                       "active", "%", "L", "Bundle", "Observation", "", "\u0000", "\U0001f600"])
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["resourceType", "id", "code", "coding", "system", "value", "entry",
                         "resource", "status", "subject", "x"]) | st.text(max_size=4),
        inner, max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip

PROFILE = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    derandomize=True,
    database=None,
)


def assert_sound(answer):
    assert answer.status_code in (200, 400, 412), answer.get_data(as_text=True)
    name = "response" if answer.status_code == 200 else "operation-outcome"
    assert_valid(name, answer.get_json())


def places(value, path=()):
    """The path of every member of a JSON value."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(
        value if isinstance(value, list) else ()
    )  # fmt: skip
    for key, child in children:
        yield from places(child, (*path, key))


def assert_same_both_ways(body):
    """Decoded in one pass or value by value, a call gets the same answer."""
    fast, slow = post(CLIENT, body), post(SLOW, body)
    assert fast.status_code == slow.status_code
    assert strip(fast.get_json()) == strip(slow.get_json())
    return fast


@pytest.mark.parametrize("body", CASES, ids=lambda body: body["hookInstance"])
def test_each_case_is_answered_the_same_both_ways(body):
    assert_same_both_ways(body)


@PROFILE
@given(st.data())
def test_a_chart_with_one_thing_changed(data):
    body = json.loads(json.dumps(data.draw(st.sampled_from(CASES))))
    path = data.draw(st.sampled_from(list(places(body))[1:]))
    place = body
    for part in path[:-1]:
        place = place[part]
    if data.draw(st.booleans()):
        place[path[-1]] = data.draw(values)
    else:
        del place[path[-1]]
    assert_sound(assert_same_both_ways(body))


@PROFILE
@given(st.dictionaries(st.sampled_from(list(CASES[0]["prefetch"])), values))
def test_any_prefetch(prefetch):
    assert_sound(post(CLIENT, case_request() | {"prefetch": prefetch}))


@PROFILE
@given(st.dictionaries(st.sampled_from(list(CASES[0])), values) | values)
def test_any_json(body):
    assert_sound(post(CLIENT, body))


@PROFILE
@given(st.binary(max_size=200))
def test_any_bytes(body):
    assert_sound(post(CLIENT, body))


@PROFILE
@given(st.integers(0, 400), st.data())
def test_cut_off_bodies(cut, data):
    body = json.dumps(data.draw(st.sampled_from(CASES))).encode()
    assert_sound(post(CLIENT, body[: len(body) - cut]))


@PROFILE
@given(
    st.one_of(
        st.sampled_from([69.9, 70, 70.1, 0, -1, 1e-9, 1e300, 5, 180, 2, 2.01]),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    st.sampled_from(["%", "1", "{%predicted}", "L", "", "x", "mm[Hg]"]),
)
def test_any_number_in_any_unit(value, unit):
    body = case_request()
    resource = body["prefetch"]["observations"]["entry"][0]["resource"]
    resource["valueQuantity"] = {"value": value, "unit": unit, "code": unit}
    answer = post(CLIENT, body)
    assert_sound(answer)
    assert answer.status_code == 200
    topics = [card["source"]["topic"]["code"] for card in answer.get_json()["cards"]]
    assert topics.count("start-mtor-inhibitor") + topics.count("review-unreadable-data") <= 1


@pytest.mark.parametrize("depth", [50, 2000, 100_000])
def test_deep_nesting_anywhere(depth):
    nested = "[" * depth + "]" * depth
    body = json.dumps(case_request())
    for text in ('"unasked": @, "patient":', '"extra": {"a": @}, "patient":'):
        assert_sound(
            post(CLIENT, body.replace('"patient":', text.replace("@", nested), 1).encode())
        )
    deep = body.replace('"status": "final"', f'"note": {nested}, "status": "final"', 1)
    assert_sound(post(CLIENT, deep.encode()))
