"""Imports keep the layers, libraries keep to their places, and the package list is whole."""

from __future__ import annotations

import ast
import configparser
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

PACKAGE = ROOT / "cds_service"
MODULES = sorted(PACKAGE.rglob("*.py"))

# what each part may import of ours; itself is always allowed
LAYERS = {
    "errors": set(),
    "domain": {"errors"},
    "recommendations": {"domain"},
    "content": {"domain", "errors"},
    "fhir": {"domain", "content", "errors"},
    "hooks": {"domain", "content", "errors"},
    "trust": {"errors"},
    "feedback": {"errors"},
    "composition": {"domain", "content", "errors", "hooks", "recommendations"},
    "pipeline": {
        "domain",
        "content",
        "errors",
        "fhir",
        "hooks",
        "trust",
        "recommendations",
        "composition",
    },
    "settings": {"hooks"},
    "environment": {"errors", "settings"},
}
ENTRANCES = {"app", "cli", "course", "explain", "manual", "onboarding", "server", "web"}
LIBRARIES = {
    "jsonschema": {"content", "hooks", "trust"},
    "fhir.resources": {"fhir"},
    "requests": {"cli", "trust"},
    "requests_hardened": {"trust"},
    "joserfc": {"trust"},
    "redis": {"trust", "web"},
    "limits": {"settings", "web"},
    "tenacity": {"fhir"},
    "sqlalchemy": {"feedback", "app"},
    "alembic": {"feedback"},
    "cryptography": {"feedback", "settings"},
    "prometheus_client": {"web"},
    "opentelemetry": {"web"},
    "flask": {"web", "app"},
    "pint": {"fhir"},
    "ucumvert": {"fhir"},
    "granian": {"server"},
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def ours(path: Path) -> set[str]:
    names = [name.split(".") for name in imports(path) if name.startswith("cds_service.")]
    return {name[1] for name in names}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_module_keeps_its_layer(path):
    where = part(path)
    allowed = LAYERS.get(where)
    if allowed is not None:
        assert ours(path) <= allowed | {where}
    for library, places in LIBRARIES.items():
        used = any(name == library or name.startswith(f"{library}.") for name in imports(path))
        assert not used or where in places, f"{library} is not used here"


def test_rules_do_not_know_one_another():
    for path in (PACKAGE / "recommendations").glob("[a-z]*.py"):
        assert not any(name.startswith("cds_service.recommendations") for name in imports(path))


def test_the_domain_needs_only_the_standard_library():
    import sys

    for path in (PACKAGE / "domain").glob("*.py"):
        for name in imports(path):
            root = name.split(".")[0]
            assert root in sys.stdlib_module_names or root in ("cds_service", "__future__"), path


def test_every_part_has_a_layer():
    assert {part(path) for path in MODULES} == set(LAYERS) | ENTRANCES | {"__init__"}


def test_only_one_module_reads_the_environment():
    for path in MODULES:
        reads = {"os", "dotenv"} & set(imports(path))
        assert not reads or path.name == "environment.py", path


def test_no_rule_knows_the_clock():
    for folder in ("domain", "recommendations"):
        for path in (PACKAGE / folder).glob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "date.today(" not in text
            assert "datetime.now(" not in text


def test_setup_cfg_lists_every_package():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = set(config["options"]["packages"].split())
    folders = {path.parent for path in MODULES if path.name == "__init__.py"}
    expected = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert listed == expected | {"cds_service.cards", "cds_service.fixtures"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_modules_and_functions_are_read_in_one_sitting(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            lines = (
                node.end_lineno - node.lineno - len((ast.get_docstring(node) or "").splitlines())
            )
            assert lines <= 50, f"{node.name} has {lines} lines"


def test_no_machine_path_and_no_leftover_in_any_file():
    words = ("TO" + "DO", "FIX" + "ME", "/wo" + "rk/", "../sha" + "red")
    for path in (*MODULES, *ROOT.glob("*.md"), *(ROOT / "tests").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert not any(word in text for word in words), path
