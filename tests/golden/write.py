"""Writes fixtures/**/expected.json and fixtures/README.md anew; the diff is then reviewed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.golden.cases import Answers, all_cases, index
from tests.support import FIXTURES


def main() -> None:
    answers = Answers()
    for case in all_cases():
        text = json.dumps(answers.answer(case), indent=2, ensure_ascii=False)
        (case.folder / "expected.json").write_text(text + "\n", encoding="utf-8")
    (FIXTURES / "README.md").write_text(index(all_cases()), encoding="utf-8")


if __name__ == "__main__":
    main()
