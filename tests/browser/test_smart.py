"""The SMART app: launched by an EHR or alone, it reads the chart with the user's own token."""

from __future__ import annotations

import json
import logging
import re

import pytest
from markdown_it import MarkdownIt

from cds_service.hooks.catalogue import services
from tests.browser.conftest import MARKS, served
from tests.browser.smart_server import smart
from tests.browser.test_demo import NINE_YEARS, assert_accessible, pictured, weight_and_paint
from tests.support import case_request, post

pytestmark = MARKS


@pytest.fixture(scope="module")
def templates(content):
    return dict(services(content)[0].prefetch)


@pytest.fixture
def opened(browser, templates, tmp_path):
    """Opens a page of the app against a SMART server; faults of scripts fail the test."""
    stack, faults = [], []

    def open_app(path="launch.html?iss={base}&launch=xyz", listed=True, expected=(), **options):
        prefetch = case_request(NINE_YEARS)["prefetch"] | options.pop("prefetch", {})
        server, base = enter(smart(prefetch, templates, **options))
        trust = tmp_path / "trust.json"
        entry = {"url": base, "private": True, "smart": {"client_id": "lam-app", "framed_by": [
            "https://ehr.example.org"]}}  # fmt: skip
        fhir_servers = [entry] if listed else []
        trust.write_text(json.dumps({"issuers": [], "anonymous": {"fhir_servers": fhir_servers}}))
        address = enter(served(trust_file=trust))
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(8000)
        stack.append(page.close)
        page.on("pageerror", lambda error: faults.append(str(error)))

        def note(line):
            if line.type == "error" and not any(word in line.text for word in expected):
                faults.append(line.text)

        page.on("console", note)
        page.goto(f"{address}smart/{path.format(base=base)}")
        return page, server, base

    def enter(manager):
        value = manager.__enter__()
        stack.append(lambda: manager.__exit__(None, None, None))
        return value

    yield open_app
    while stack:
        stack.pop()()
    assert faults == []


def shown(page):
    page.locator("html[data-done]").wait_for()
    assert page.locator("html").get_attribute("data-done") == "shown", page.inner_text("#state")
    return page


def told(page, *words):
    """The page says what is wrong, and what to do."""
    page.locator(".fault").wait_for()
    text = page.inner_text("#state")
    for word in words:
        assert word in text, text
    return text


def test_an_ehr_launch_shows_the_course(opened, client):
    page, server, _ = opened()
    shown(page)
    (asked,) = server.requests
    assert asked["launch"] == "xyz"
    assert asked["aud"].endswith("/fhir")
    assert asked["client_id"] == "lam-app"
    assert asked["code_challenge_method"] == "S256"
    scopes = asked["scope"].split()
    assert {"launch", "openid", "fhirUser", "patient/Observation.rs"} <= set(scopes)
    assert all(re.fullmatch(r"launch|openid|fhirUser|patient/[A-Z]\w+\.rs", s) for s in scopes)
    assert "patient/*.rs" not in scopes
    topics = page.locator("article").evaluate_all("all => all.map(a => a.dataset.recommendation)")
    expected = post(client, case_request(NINE_YEARS)).get_json()["cards"]
    assert topics == [card["source"]["topic"]["code"] for card in expected]
    first = MarkdownIt().render(expected[0]["detail"])
    assert page.locator("article .detail").first.locator("p").count() == first.count("<p>")
    assert page.locator("#course [role=img]").count() == 3
    assert "implausible" in page.locator("#left-out").inner_text()


def test_a_launch_alone_asks_for_the_patient(opened):
    page, server, base = opened("launch.html")
    page.get_by_role("button", name=base).click()
    shown(page)
    (asked,) = server.requests
    assert "launch/patient" in asked["scope"].split()
    assert "launch" not in asked


def test_the_service_never_sees_the_token(opened):
    page, server, _ = opened()
    sent = []
    page.on("request", lambda request: sent.append(request))
    page.reload()
    page.locator("html[data-done]").wait_for()
    ours = [r for r in sent if "/smart/" in r.url]
    assert any(r.url.endswith("/smart/evaluation") for r in ours)
    for request in ours:
        text = json.dumps(request.headers) + (request.post_data or "") + request.url
        assert not any(token in text for token in server.tokens)


def test_the_card_that_opened_it_is_marked(opened):
    context = {"appContext": json.dumps({"recommendation": "offer-pleurodesis"})}
    page, _, _ = opened(context=context)
    shown(page)
    assert page.locator("article.wanted").get_attribute("data-recommendation") == (
        "offer-pleurodesis"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_it_fits_is_accessible_and_is_pictured(opened, width, scheme):
    page, _, _ = opened()
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 1000})
    shown(page)
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert_accessible(page)
    pictured(page, f"app-{width}-{scheme}")


def test_it_is_light(opened):
    page, _, _ = opened()
    shown(page)
    weight, paint = weight_and_paint(page)
    logging.getLogger(__name__).info("app: %d bytes, %.0f ms", weight, paint)
    assert weight < 600_000
    assert paint < 2000


def test_the_keyboard_reaches_the_units_and_the_tables(opened):
    page, _, _ = opened()
    shown(page)
    page.locator("input[value=percent]").focus()
    page.keyboard.press("ArrowLeft")
    page.locator("input[value=litres]:focus").wait_for()
    assert "Slope" in page.locator("#course .told").first.inner_text()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("#course details").first.get_attribute("open") is not None


def test_on_paper_everything_is_open(opened):
    page, _, _ = opened()
    shown(page)
    assert page.pdf(format="A4").count(b"/Type /Page\n") > 1
    assert page.locator("details[open]").count() == 0  # and folded again afterwards
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.emulate_media(media="print")
    assert page.locator("#course table").first.is_visible()
    assert not page.locator(".units").first.is_visible()


def test_a_chart_without_data_says_what_is_missing(opened):
    empty = dict.fromkeys(("observations", "laboratory", "medicationRequests"))
    page, _, _ = opened(prefetch=empty)
    shown(page)
    text = page.locator("#course").inner_text()
    assert "No usable FEV1 is on record" in text
    assert "No usable oxygen saturation is on record" in text
    assert "No level of sirolimus or everolimus is on record" in text


NETWORK = ("Failed to load resource", "the server responded with")


def test_the_user_says_no(opened):
    page, server, base = opened("launch.html", expected=NETWORK)
    server.denies = True
    page.get_by_role("button", name=base).click()
    told(page, "did not grant access", "Open the app again")


def test_opened_without_a_launch(opened):
    page, _, _ = opened("", expected=NETWORK)
    told(page, "not opened by a launch", "Open it from the chart")
    page.locator("#again").click()
    page.locator("#servers button").wait_for()


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "session has ended"), (403, "patient/Condition.rs"), (404, "serves FHIR R4"),
     (500, "an error of its own")],
)  # fmt: skip
def test_needed_data_that_cannot_be_read(opened, templates, status, words):
    page, server, base = opened("launch.html", expected=NETWORK)
    server.faults["Condition"] = status
    page.get_by_role("button", name=base).click()
    told(page, words)


def test_other_data_that_cannot_be_read_is_named(opened):
    page, server, base = opened("launch.html", expected=NETWORK)
    server.faults["AllergyIntolerance"] = 403
    page.get_by_role("button", name=base).click()
    shown(page)
    assert "patient/AllergyIntolerance.rs" in page.locator("#left-out").inner_text()


def test_a_server_in_another_version(opened):
    page, server, base = opened("launch.html", expected=NETWORK, version="3.0.2")
    server.faults["Condition"] = 404
    page.get_by_role("button", name=base).click()
    told(page, "FHIR 3.0.2", "register it with R4")


def test_a_chart_in_another_version(opened):
    old = case_request(NINE_YEARS)["prefetch"]["conditions"]
    for entry in old["entry"]:
        entry["resource"]["clinicalStatus"] = "active"
    page, _, base = opened("launch.html", expected=NETWORK, prefetch={"conditions": old})
    page.get_by_role("button", name=base).click()
    told(page, "FHIR STU3", "R4")


def test_an_ehr_that_is_not_configured(opened):
    page, _, _ = opened(listed=False, expected=NETWORK)
    told(page, "not set up for the EHR at", "trust file")


def test_an_ehr_that_is_down(opened):
    page, server, base = opened("launch.html", expected=(*NETWORK, "net::ERR"))
    page.route(f"{base}/**", lambda route: route.abort())
    page.get_by_role("button", name=base).click()
    told(page, "cannot be reached", "ask your EHR team")
    assert server.requests == []


def test_an_ehr_without_pkce(opened):
    page, server, _ = opened(methods=("plain",))
    told(page, "does not support PKCE")
    assert server.requests == []
