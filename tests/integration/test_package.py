"""The wheel built from the sdist works outside the checkout, cards and fixtures included."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest

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


def test_the_wheel_holds_everything_it_needs(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in ("cards/sources.json", "cards/reference_values/gli-global-2022-fev1.csv",
                 "cards/schema/card.schema.json", "hooks/schemas/request.schema.json",
                 "web/pages/built/demo.js", "web/pages/built/app.js", "web/pages/launch.html", "web/pages/feedback.html", "web/pages/icon.png", "trust/schemas/trust.schema.json", "feedback/migrations/env.py", "feedback/migrations/versions/r0001_shown_and_feedback.py", "fixtures/README.md"):  # fmt: skip
        assert f"cds_service/{name}" in names
    assert not any(name.startswith(("tests/", "cards/", "fixtures/")) for name in names)


def test_the_wheel_works_outside_the_checkout(wheel, tmp_path):
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target",
         tmp_path / "site", wheel],
        check=True, timeout=120,
    )  # fmt: skip
    script = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "import cds_service; assert 'site' in cds_service.__file__, cds_service.__file__\n"
        "from cds_service.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "site", "evaluate", CASE,
         "--as-of", "2026-11-02"],
        cwd=tmp_path, check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "LAM with FEV1 62 % predicted" in done.stdout
