"""A real browser, and the service that it opens."""

from __future__ import annotations

import shutil
import threading
from contextlib import contextmanager

import pytest
from werkzeug.serving import make_server

from cds_service.app import close_app, create_app
from tests.support import AS_OF, settings

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="Chromium is missing; get it with: apt-get install chromium"
    ),
    # Playwright's own process pipes are closed by the interpreter, not by the test.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@contextmanager
def served(**changed):
    """The service with other settings, on a port of loopback."""
    server = make_server("127.0.0.1", 0, None, threaded=True)
    base = f"http://127.0.0.1:{server.port}"
    server.app = create_app(settings(public_url=base, **changed), today=lambda: AS_OF)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"{base}/"
    server.shutdown()
    thread.join()
    server.server_close()
    close_app(server.app)


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()
