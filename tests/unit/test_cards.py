"""Cards: escaping, length, order, and the placeholders of their texts."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from cds_service.content.templates import parse, stray_dollar
from cds_service.domain.outcomes import Line, Recommended
from cds_service.domain.snapshot import DataGap, PatientSnapshot
from cds_service.errors import ContentError
from cds_service.hooks.cards import CardWriter, as_code, in_order_of_urgency
from cds_service.hooks.suggestions import Called
from tests.support import counted_uuids

GFM = MarkdownIt("gfm-like", {"html": True, "linkify": False})


@pytest.fixture
def writer(content):
    return CardWriter(content, "http://127.0.0.1/icon.png", counted_uuids())


@pytest.mark.conformance("C097")
@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "`</code><script>`",
        "``` \n# heading",
        "www.example.org",
        "a\u0000b\nc",
        "|table|",
        "",
    ],
)
def test_text_of_the_record_stays_inert(text):
    html = GFM.render(f"- {as_code(text)}")
    inside = html.removeprefix("<ul>\n<li><code>").removesuffix("</code></li>\n</ul>\n")
    assert "<" not in inside
    assert html.count("<code>") == 1


def test_long_text_is_cut_and_says_so():
    assert as_code("x" * 100) == f"`{'x' * 60}...`"


@pytest.mark.conformance("C095")
def test_a_summary_that_is_too_long_is_never_sent(writer, thresholds):
    outcome = Recommended("start-mtor-inhibitor", Line("low-fev1", {"percent": "9" * 60}), ())
    with pytest.raises(ContentError, match="too long"):
        writer.write(outcome, thresholds, PatientSnapshot(), frozenset())


ASKED = Called("synthetic", asked=frozenset({"chest_ct"}))


def test_gaps_of_other_facts_are_not_told(writer, thresholds):
    outcome = Recommended("refer-to-lam-centre", Line("minor"), (), (Line("minor"),))
    gap = DataGap("saturation", "Observation/1", "no-unit")
    patient = PatientSnapshot(gaps=(gap,), unavailable=frozenset({"chest_ct"}))
    card = writer.write(outcome, thresholds, patient, frozenset({"lam"}))
    assert "Not known" not in card["detail"]
    card = writer.write(outcome, thresholds, patient, frozenset({"saturation", "chest_ct"}), ASKED)
    assert "oxygen saturation, `Observation/1`: it has no unit" in card["detail"]
    assert "Not sent, so not judged: chest CT." in card["detail"]


def test_most_urgent_first_and_else_as_they_came():
    cards = [
        {"indicator": i, "n": n} for n, i in enumerate(["info", "warning", "critical", "info"])
    ]
    assert [card["n"] for card in in_order_of_urgency(cards)] == [2, 1, 0, 3]


def test_placeholders_are_filled_in_two_steps():
    sentence = parse("FEV1 ${percent} %, ${limit}").fill_known({"limit": "below 70 %"})
    assert sentence.placeholders == {"percent"}
    assert sentence.fill({"percent": "62"}) == "FEV1 62 %, below 70 %"
    with pytest.raises(KeyError):
        sentence.fill({})


@pytest.mark.parametrize(
    ("text", "stray"), [("costs $5", True), ("${Bad}", True), ("${good}", False), ("none", False)]
)
def test_a_dollar_without_placeholder_is_found(text, stray):
    assert stray_dollar(text) is stray
