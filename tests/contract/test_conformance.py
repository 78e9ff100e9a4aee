"""Each requirement that applies is named in a test that shows it."""

from __future__ import annotations

import ast
import json
from pathlib import Path

TESTS = Path(__file__).parents[1]
LIST = json.loads((TESTS / "contract" / "conformance.json").read_text(encoding="utf-8"))


def marked():
    """The ids in `@pytest.mark.conformance(...)` of every test."""
    found = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.conformance"):
                found |= {ast.literal_eval(argument) for argument in node.args}
    return found


def test_what_is_said_to_be_shown_is_shown():
    assert marked() == set(LIST["shown"])


def test_every_requirement_is_accounted_for_once():
    later = [name for names in LIST["later"].values() for name in names]
    everything = sorted([*LIST["shown"], *later])
    assert everything == [f"C{number:03}" for number in range(1, 158)]
