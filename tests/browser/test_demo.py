"""A real browser shows what a clinician should see."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from cds_service.app import create_app
from tests.support import ROOT, settings

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="Chromium is missing; get it with: apt-get install chromium"
    ),
    # Playwright's own process pipes are closed by the interpreter, not by the test.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def address():
    server = make_server("127.0.0.1", 0, create_app(settings()), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}/"
    server.shutdown()
    thread.join()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


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
    page.locator("#messages").wait_for(state="visible")


def test_a_click_on_a_patient_shows_the_card(page):
    choose(page, "start-mtor-inhibitor/fev1-62-percent")
    assert page.locator("#state").inner_text() == "1 card, judged as of 2026-11-02."
    card = page.locator("article")
    assert card.locator("h3").inner_text().startswith("LAM with FEV1 62 % predicted, below 70 %")
    assert card.locator(".kind").inner_text().lower() == "warning"
    assert "sirolimus 2 mg by mouth once daily" in card.locator(".detail").inner_text()
    assert card.locator(".detail strong").count() > 3
    assert "awaits clinical review" in card.inner_text()
    assert '"hook": "patient-view"' in page.locator("#request").inner_text()
    assert '"indicator": "warning"' in page.locator("#response").inner_text()
    if os.environ.get("WRITE_SCREENSHOTS"):
        target = ROOT / "docs" / "images"
        target.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(target) / "card.png"))


def test_an_order_shows_what_the_ehr_can_take_over(page):
    choose(page, "verify-mtor-inhibitor-dose/sirolimus-10-mg", hook="order-sign")
    card = page.locator("article")
    assert card.locator(".kind").inner_text().lower() == "critical"
    offers = card.locator(".offers li")
    assert offers.count() == 2
    assert offers.nth(0).inner_text().startswith("Change the order to sirolimus 2 mg once daily")
    assert '"draftOrders"' in page.locator("#request").inner_text()


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
    page.keyboard.press("Enter")
    page.locator("#messages").wait_for(state="visible")
    assert page.locator("article").count() >= 1


def test_it_fits_a_narrow_window(page):
    page.set_viewport_size({"width": 400, "height": 800})
    choose(page, "assess-home-oxygen/rest-88-twice-21-days-apart")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 400
