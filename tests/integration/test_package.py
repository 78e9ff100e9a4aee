"""The wheel built from the sdist works outside the checkout, cards and fixtures included."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import pytest
import requests

from tests.processes import free_port, wait_until_up
from tests.support import FIXTURES, ROOT

CASE = FIXTURES / "patient-view" / "start-mtor-inhibitor" / "fev1-62-percent" / "request.json"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    target = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", target, ROOT],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    (found,) = target.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """The wheel, installed in a folder of its own."""
    folder = tmp_path_factory.mktemp("outside") / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, wheel],
        check=True, timeout=120,
    )  # fmt: skip
    return folder


def test_the_wheel_holds_everything_it_needs(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    needed = (
        "cards/sources.json",
        "cards/reference_values/gli-global-2022-fev1.csv",
        "cards/schema/card.schema.json",
        "feedback/migrations/env.py",
        "feedback/migrations/versions/r0001_shown_and_feedback.py",
        "fixtures/README.md",
        "hooks/schemas/request.schema.json",
        "trust/schemas/trust.schema.json",
        "web/pages/built/app.js",
        "web/pages/built/demo.js",
        "web/pages/feedback.html",
        "web/pages/icon.png",
        "web/pages/launch.html",
    )
    for name in needed:
        assert f"cds_service/{name}" in names
    assert not any(name.startswith(("tests/", "cards/", "fixtures/")) for name in names)


def test_the_wheel_works_outside_the_checkout(site, tmp_path):
    script = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "import cds_service; assert 'site' in cds_service.__file__, cds_service.__file__\n"
        "from cds_service.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, site, "evaluate", CASE,
         "--as-of", "2026-11-02"],
        cwd=tmp_path, check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "LAM with FEV1 62 % predicted" in done.stdout


def test_the_wheel_serves_outside_the_checkout(site, tmp_path):
    """With its migrations, pages and synthetic patients."""
    script = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\nfrom cds_service.cli import main; main()"
    )
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", script, site, "serve"],
        cwd=tmp_path, env=os.environ | {"CDS_PORT": str(port), "CDS_CLIENT_AUTH": "off"},
    )  # fmt: skip
    base = f"http://127.0.0.1:{port}"
    try:
        wait_until_up(f"{base}/health/live", process)
        health = requests.get(f"{base}/health", timeout=10).json()
        assert health["checks"]["database"] == "ok"
        assert "smart" in requests.get(f"{base}/smart/", timeout=10).url
        assert len(requests.get(f"{base}/demo/cases", timeout=10).json()) > 100
    finally:
        process.terminate()
        process.wait(30)
    assert (tmp_path / "cds-service.db").is_file()
