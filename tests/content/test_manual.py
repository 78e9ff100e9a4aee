"""The clinical manual is current, whole, and says what it rests on."""

from __future__ import annotations

import re

import pytest

from cds_service.manual import Manual
from cds_service.recommendations import SAYS
from tests.support import ROOT

PAGE = ROOT / "docs" / "clinical-manual.md"


@pytest.fixture(scope="module")
def text():
    return PAGE.read_text(encoding="utf-8")


def test_the_manual_is_current(content, text):
    assert text == str(Manual(content)), "run make manual"


@pytest.mark.parametrize("card", SAYS)
def test_each_recommendation_can_be_signed_off_from_the_page(content, text, card):
    part = text.split(f'<a id="{card}"></a>')[1].split("<a id=")[0]
    for heading in ("Question", "Criteria", "Not covered", "Summaries", "Lines", "Evidence",
                    "Cases", "Example"):  # fmt: skip
        assert f"**{heading}.**" in part, heading
    assert "Awaits clinical review, due " in part
    own = content.cards[card]
    assert own.question
    assert own.criteria
    assert own.not_covered
    for grade in own.grades:
        assert content.sources[grade.source].url in part


def test_every_number_code_and_source_is_on_the_page(content, text):
    for history in content.thresholds.values():
        assert history.label in text
    for concept in content.concepts.values():
        assert all(code in text for _, code in concept.codes)
    for source in content.sources.values():
        assert source.citation in text


def test_its_links_lead_to_files(text):
    for path in set(re.findall(r"\]\(\.\./([^)#]+)\)", text)):
        assert (ROOT / path).is_file(), path
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert f'<a id="{anchor}"></a>' in text
