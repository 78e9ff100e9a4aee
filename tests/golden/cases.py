"""The cases in fixtures/, and the answer each gets over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from cds_service.app import close_app, create_app
from tests.support import FIXTURES, counted_uuids, settings


@dataclass(frozen=True)
class Case:
    """One folder of fixtures/."""

    folder: Path
    about: dict[str, Any]

    @property
    def name(self) -> str:
        return self.folder.relative_to(FIXTURES).as_posix()

    @property
    def hook(self) -> str:
        return self.name.split("/")[0]

    @property
    def card(self) -> str:
        return self.name.split("/")[1]

    @property
    def request(self) -> dict[str, Any]:
        return json.loads((self.folder / "request.json").read_text(encoding="utf-8"))

    @property
    def expected(self) -> dict[str, Any]:
        return json.loads((self.folder / "expected.json").read_text(encoding="utf-8"))


def all_cases() -> list[Case]:
    """Every case, sorted by name."""
    return sorted(_read(), key=lambda case: case.name)


def _read() -> Iterator[Case]:
    for path in FIXTURES.glob("*/*/*/case.json"):
        yield Case(path.parent, json.loads(path.read_text(encoding="utf-8")))


class Answers:
    """Answers cases over HTTP, each on its own date, with UUIDs that count from one."""

    def __init__(self) -> None:
        self._as_of = date.min
        self._uuids = counted_uuids()
        app = create_app(settings(), today=lambda: self._as_of, new_uuid=lambda: self._uuids())
        self._client = app.test_client()
        self.close = partial(close_app, app)

    def answer(self, case: Case) -> Any:
        self._as_of = date.fromisoformat(case.about["as_of"])
        self._uuids = counted_uuids()
        body = (case.folder / "request.json").read_bytes()
        address = f"/cds-services/lam-tsc-{case.hook}"
        answer = self._client.post(address, data=body, content_type="application/json")
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer.get_json()


_ABOUT = """\
{} synthetic patients, none of them real. Each folder holds `case.json` (who the patient is, the day
of the call, the cards expected and why), `request.json` (what the EHR sends) and `expected.json`
(the whole answer)."""


def index(cases: list[Case]) -> str:
    """The text of fixtures/README.md."""
    lines = [
        "# Synthetic cases",
        "",
        "<!-- Written by `make golden` from the case.json files; do not edit. -->",
        "",
        _ABOUT.format(len(cases)),
    ]
    group = ("", "")
    for case in sorted(cases, key=lambda case: (case.hook != "patient-view", case.name)):
        if (case.hook, case.card) != group:
            group = case.hook, case.card
            lines += ["", f"## {case.hook}: {case.card}", ""]
            lines += ["| Case | Story | Cards expected | Why |", "|---|---|---|---|"]
        about = case.about
        expect = ", ".join(f"`{name}`" for name in about["expect"]) or "none"
        link = f"[{about['title']}]({case.name}/case.json)"
        lines.append(f"| {link} | {about['story']} | {expect} | {about['why']} |")
    return "\n".join(lines) + "\n"
