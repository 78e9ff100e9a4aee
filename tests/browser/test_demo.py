"""A real browser shows what a clinician should see."""

from __future__ import annotations

import json
import logging
import os
from urllib.request import urlopen

import pytest

from tests.browser.conftest import MARKS, served
from tests.support import ROOT, case_request

pytestmark = MARKS
NINE_YEARS = "monitor-mtor-inhibitor/nine-years-with-treatment"
AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def address():
    with served() as base:
        yield base


@pytest.fixture
def page(browser, address):
    """The page, opened; errors of its scripts and refused requests fail the test."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    foreign: list[str] = []
    opened.on("request", lambda sent: foreign.append(sent.url)
              if not sent.url.startswith(address) else None)  # fmt: skip
    opened.goto(address)
    yield opened
    opened.close()
    assert faults == []
    assert foreign == []


def choose(page, case, hook="patient-view"):
    page.locator(f'button[data-case="{hook}/{case}"]').click()
    page.locator("#more").wait_for(state="visible")


def pictured(page, name):
    """Keeps a picture for the README when it is asked to."""
    if os.environ.get("WRITE_SCREENSHOTS"):
        page.screenshot(path=str(ROOT / "docs" / "images" / f"{name}.png"))


def weight_and_paint(page):
    """Bytes of all that a page loads, and the milliseconds until something is seen."""
    painted = "performance.getEntriesByName('first-contentful-paint')[0]"
    for _ in range(50):
        if page.evaluate(f"Boolean({painted})"):
            break
        page.wait_for_timeout(50)
    weight = page.evaluate(
        "performance.getEntriesByType('resource').reduce((sum, e) => sum + e.decodedBodySize, 0)"
    )
    return weight, page.evaluate(f"{painted}.startTime")


def assert_accessible(page):
    """No serious finding of axe-core."""
    if not AXE.is_file():
        pytest.skip("needs axe-core: make app")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then(result => result.violations)")
    serious = [f"{v['id']}: {v['nodes'][0]['html']}" for v in found
               if v["impact"] in ("serious", "critical")]  # fmt: skip
    assert serious == []


def test_a_click_on_a_patient_shows_the_card(page):
    choose(page, "start-mtor-inhibitor/fev1-62-percent")
    assert page.locator("#state").inner_text() == "1 card, judged as of 2026-11-02."
    card = page.locator("article")
    assert card.locator("h3").inner_text().startswith("LAM with FEV1 62 % predicted, below 70 %")
    assert card.locator(".kind").inner_text().lower() == "warning"
    assert "sirolimus 2 mg by mouth once daily" in card.locator(".detail").inner_text()
    assert card.locator(".detail strong").count() > 3
    assert "awaits clinical review" in card.inner_text()
    assert '"hook": "patient-view"' in page.locator("#request").text_content()
    assert '"indicator": "warning"' in page.locator("#response").text_content()
    pictured(page, "card")


def test_an_order_shows_what_the_ehr_can_take_over(page):
    choose(page, "verify-mtor-inhibitor-dose/sirolimus-10-mg", hook="order-sign")
    card = page.locator("article")
    assert card.locator(".kind").inner_text().lower() == "critical"
    offers = card.locator(".offers li")
    assert offers.count() == 2
    assert offers.nth(0).inner_text().startswith("Change the order to sirolimus 2 mg once daily")
    assert '"draftOrders"' in page.locator("#request").text_content()


def test_a_patient_without_cards_says_so(page):
    choose(page, "start-mtor-inhibitor/fev1-70-1-percent")
    assert page.locator("#state").inner_text().startswith("No cards")
    assert page.locator("article").count() == 0


def test_the_search_narrows_the_list_and_the_keyboard_reaches_a_patient(page):
    page.locator("button[data-case]").first.wait_for()
    before = page.locator("button[data-case]").count()
    page.locator("#filter").fill("kpa")
    assert 0 < page.locator("button[data-case]").count() < before
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#more").wait_for(state="visible")
    assert page.locator("article").count() >= 1


def test_it_fits_a_narrow_window(page):
    page.set_viewport_size({"width": 400, "height": 800})
    choose(page, "assess-home-oxygen/rest-88-twice-21-days-apart")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 400


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_the_course_is_drawn_and_can_be_read_without_eyes(page, width, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    choose(page, NINE_YEARS)
    charts = page.locator("#course [role=img]")
    assert charts.count() == 3
    assert "83.2 % predicted on 2017-05-10" in charts.nth(0).get_attribute("aria-label")
    assert charts.nth(0).locator("canvas").bounding_box()["width"] > 250
    page.locator("#course details summary").first.click()
    rows = page.locator("#course details table").first.locator("tbody tr")
    assert rows.count() == 20
    assert "implausible" in page.locator("#left-out").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert_accessible(page)
    page.locator("#course details summary").first.click()
    page.locator("#course").evaluate("place => place.scrollIntoView()")
    pictured(page, f"course-{width}-{scheme}")


def test_the_numbers_of_the_chart_are_those_of_the_service(page, address):
    choose(page, NINE_YEARS)
    with urlopen(f"{address}demo/cases/patient-view/{NINE_YEARS}", timeout=10) as answer:
        view = json.load(answer)["view"]
    cells = (
        page.locator("#course details")
        .first.locator("tbody tr")
        .evaluate_all("rows => rows.map(row => [...row.cells].map(cell => cell.textContent))")
    )
    assert [row[0] for row in cells] == [test["on"] for test in view["fev1"]]
    assert [float(row[1]) for row in cells] == [test["litres"] for test in view["fev1"]]
    assert [float(row[2]) for row in cells] == [test["percent"] for test in view["fev1"]]
    assert [float(row[4]) for row in cells] == [test["z"] for test in view["fev1"]]
    page.locator("input[value=litres]").check()
    trend = view["trends"][0]
    told = page.locator("#course .told").first.inner_text()
    low, high = trend["interval"]
    assert f"Slope {trend['millilitresPerYear']:g} mL a year (95 % CI {low:g} to {high:g})" in told
    page.locator("input[value=z]").check()
    assert "z-score" in page.locator("#course .told").first.inner_text()


def test_accept_and_override_give_real_feedback(page, address):
    choose(page, "start-mtor-inhibitor/fev1-62-percent")
    card = page.locator("article")
    card.locator(".offers button").click()
    card.locator(".said").filter(has_text="Kept: accepted").wait_for()
    card.locator("select").select_option("already-done")
    card.locator(".override button").click()
    card.locator(".said").filter(has_text="Kept: overridden").wait_for()
    report = f"{address}reports/feedback?format=json&since=2020-01-01"
    for _ in range(50):  # what was shown is noted a moment later
        with urlopen(report, timeout=10) as answer:
            rows = {row["recommendation"]: row for row in json.load(answer)}
        found = rows.get("start-mtor-inhibitor", {"reasons": {}})
        if found["reasons"]:
            break
        page.wait_for_timeout(100)
    assert found["reasons"] == {"already-done": 1}


def test_another_day_gives_another_answer(page):
    choose(page, "start-mtor-inhibitor/fev1-62-percent")
    page.locator("#as-of").fill("2031-01-01")
    page.locator("#state").filter(has_text="as of 2031-01-01").wait_for()
    assert page.locator("article[data-recommendation=start-mtor-inhibitor]").count() == 0
    assert page.locator("article[data-recommendation=repeat-pulmonary-function]").count() == 1


def test_a_request_of_ones_own_is_answered_or_refused_exactly(browser, address):
    page = browser.new_page()
    page.goto(address)
    page.locator("nav summary").click()
    page.locator("#own").fill(json.dumps(case_request()))
    page.locator("#own-form button").click()
    page.locator("article[data-recommendation=start-mtor-inhibitor]").wait_for()
    body = case_request()
    del body["prefetch"]["conditions"]
    for sent, words in ((json.dumps(body), "prefetch key: conditions"), ("{", "not JSON")):
        page.locator("#own").fill(sent)
        page.locator("#own-form button").click()
        page.locator(".refusal").filter(has_text=words).wait_for()
        assert "OperationOutcome" in page.locator(".refusal").inner_text()
    page.close()


def test_the_report_is_accessible(browser, address):
    page = browser.new_page()
    page.goto(f"{address}reports/feedback")
    assert_accessible(page)
    page.close()


def test_the_demonstration_is_light(page):
    weight, paint = weight_and_paint(page)
    logging.getLogger(__name__).info("demonstration: %d bytes, %.0f ms", weight, paint)
    assert weight < 400_000
    assert paint < 2000
