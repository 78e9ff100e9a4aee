"""Which recommendations may stand together: for each pair, yes, or never and why not."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from cds_service.domain.outcomes import Recommended
from cds_service.recommendations import ORDERS, PATIENT_VIEW
from tests.support import AS_OF
from tests.unit import snapshots

UNREADABLE = "review-unreadable-data"
CHART = sorted([rule.CARD for rule in PATIENT_VIEW] + [UNREADABLE])
ORDER = sorted([rule.CARD for rule in ORDERS] + [UNREADABLE])
ALONE = "a minor with LAM gets this card alone"
NO_LAM_YET = "screening ends where LAM, or possible LAM, is on record"

# Every pair that is not listed may stand together, and the test shows that it does.
NEVER = {
    **{frozenset({"refer-to-lam-centre", card}): ALONE
       for card in CHART if card != "refer-to-lam-centre"},
    **{frozenset({"screen-for-lam", card}): NO_LAM_YET
       for card in ("confirm-lam-diagnosis", "offer-pleurodesis", "offer-pulmonary-rehabilitation",
                    "plan-pregnancy", "refer-lung-transplant", "repeat-pulmonary-function",
                    "review-unproven-lam-treatment", "start-mtor-inhibitor",
                    "test-bronchodilator-response")},
    **{frozenset({"start-mtor-inhibitor", card}): "who takes the drug is not told to start it"
       for card in ("monitor-mtor-inhibitor", "plan-mtor-inhibitor-before-transplant",
                    "review-mtor-inhibitor-interaction")},
    frozenset({"start-mtor-inhibitor", "plan-pregnancy"}):
        "in pregnancy it is not started, and otherwise it is not taken",
    frozenset({"confirm-lam-diagnosis", "plan-pregnancy"}):
        "confirmation is asked before treatment, which neither pregnancy nor treatment allow",
}  # fmt: skip


@pytest.fixture(scope="module")
def seen(pipeline, thresholds):
    """The pairs of cards that thousands of patients get, with those who get only one."""

    def run(patients):
        pairs = set()
        for patient in patients:
            judged = pipeline._judge(patient, thresholds, AS_OF)
            fired = [j.card for j in judged if isinstance(j.outcome, Recommended)]
            pairs |= {frozenset(pair) for pair in combinations(fired, 2)}
        return pairs

    return {"chart": run(snapshots.charts(25_000)), "order": run(snapshots.orders(8_000))}


@pytest.mark.parametrize("pair", list(combinations(CHART, 2)), ids=" and ".join)
def test_pairs_in_a_chart(seen, pair):
    pair = frozenset(pair)
    assert (pair in seen["chart"]) is (pair not in NEVER), NEVER.get(pair, "never seen together")


@pytest.mark.parametrize("pair", list(combinations(ORDER, 2)), ids=" and ".join)
def test_all_pairs_may_stand_together_on_orders(seen, pair):
    assert frozenset(pair) in seen["order"]


def facts(pipeline, thresholds, card, **changed):
    """The outcome of one rule for a patient to whom it applies but for what is changed."""
    rule = next(rule for rule in PATIENT_VIEW if card == rule.CARD)
    for patient in snapshots.charts(5_000, seed=2):
        if isinstance(rule.recommend(patient, thresholds, AS_OF), Recommended):
            outcome = rule.recommend(replace(patient, **changed), thresholds, AS_OF)
            yield outcome


LISTED = {"transplant_listing": snapshots.finding()}
PREGNANT = {"pregnancy": snapshots.finding()}
ALLERGIC = {"mtor_allergy": snapshots.finding("sirolimus")}


@pytest.mark.parametrize(
    ("card", "changed", "line"),
    [
        ("start-mtor-inhibitor", PREGNANT, None),
        ("start-mtor-inhibitor", LISTED, None),
        ("start-mtor-inhibitor", ALLERGIC, "allergy"),
        ("refer-lung-transplant", LISTED, None),
        ("offer-pleurodesis", LISTED, "transplant-in-sight"),
        ("refer-angiomyolipoma", LISTED, "transplant-in-sight"),
        ("refer-angiomyolipoma", PREGNANT, "pregnant"),
        ("refer-angiomyolipoma", ALLERGIC, "allergy"),
        ("screen-for-lam", PREGNANT, "pregnant"),
        ("plan-mtor-inhibitor-before-transplant", LISTED, "listed"),
        ("plan-pregnancy", PREGNANT, "pregnant"),
    ],
)
def test_one_fact_changes_what_the_others_say(pipeline, thresholds, card, changed, line):
    outcomes = list(facts(pipeline, thresholds, card, **changed))
    assert outcomes
    for outcome in outcomes:
        said = {x.id for x in outcome.lines} if isinstance(outcome, Recommended) else None
        assert said is None if line is None else line in said


def test_no_drug_is_offered_against_pregnancy_listing_or_allergy(pipeline, thresholds):
    for patient in snapshots.charts(10_000, seed=3):
        judged = pipeline._judge(patient, thresholds, AS_OF)
        acts = {s.act for j in judged if isinstance(j.outcome, Recommended)
                for s in j.outcome.suggestions}  # fmt: skip
        barred = patient.pregnancy or patient.transplant_listing or patient.mtor_allergy
        assert not (barred and "start-sirolimus" in acts)
        assert not (patient.pregnancy and "request-chest-ct" in acts)
