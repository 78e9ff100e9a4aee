"""The rules about drugs, tumours, airflow and smoking: one fact changed at a time."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from cds_service.domain.medication import DailyDose, Reason, Stage, UnclearDose
from cds_service.domain.outcomes import Indicator, NotIndicated, Recommended, Undetermined
from cds_service.domain.snapshot import (
    Activity,
    FlowRatio,
    Moment,
    PatientSnapshot,
    RatioSource,
    Sex,
    TestKind,
)
from cds_service.recommendations import (
    avoid_estrogen,
    avoid_live_vaccine,
    bronchodilator_response,
    offer_pleurodesis,
    refer_angiomyolipoma,
    review_mtor_inhibitor_interaction,
    review_unproven_lam_treatment,
    stop_smoking,
    verify_mtor_inhibitor_dose,
)
from tests.support import AS_OF
from tests.unit.snapshots import GROWN, drafted, finding, measured, on_day, saturation, use

WOMAN = PatientSnapshot(sex=Sex.FEMALE, birth=on_day(GROWN), lam=finding())
LISTS = frozenset({"estrogen", "hormone", "doxycycline", "bronchodilator", "mtor_inhibitor",
                   "ace_inhibitor"})  # fmt: skip


@pytest.fixture
def judge(thresholds):
    return lambda rule, patient: rule.recommend(patient, thresholds, AS_OF)


def lines(outcome):
    assert isinstance(outcome, Recommended)
    return [line.id for line in outcome.lines]


def ratio(value, limit=None):
    limit = None if limit is None else Decimal(limit)
    return FlowRatio(measured(value), RatioSource.REPORTED, TestKind.UNSPECIFIED, limit)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (ratio("69.9"), ["below-fixed", "limit-not-known", "test"]),
        (ratio("70"), None),
        (ratio("71.4", "71.5"), ["below-limit", "test"]),
        (ratio("71.5", "71.5"), None),
        (ratio("69.9", "71.5"), ["below-limit", "below-fixed", "test"]),
        (ratio("69.9", "69.9"), ["below-fixed", "above-limit", "test"]),
        (ratio("68", "63.9"), ["below-fixed", "above-limit", "test"]),
    ],
)
def test_both_limits_of_the_ratio(judge, found, expected):
    outcome = judge(bronchodilator_response, replace(WOMAN, flow_ratio=found))
    assert (lines(outcome) if expected else type(outcome)) == (expected or NotIndicated)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Recommended),
        ({"lam": ()}, NotIndicated),
        ({"flow_ratio": None}, Undetermined),
        ({"bronchodilator": use("bronchodilator")}, NotIndicated),
        ({"bronchodilator": use("bronchodilator", Stage.PAST)}, NotIndicated),
        ({"bronchodilator_test": finding()[0]}, NotIndicated),
        ({"unavailable": LISTS}, Undetermined),
    ],
)
def test_bronchodilator_test_with_each_fact(judge, changed, expected):
    patient = replace(WOMAN, flow_ratio=ratio("60"))
    assert type(judge(bronchodilator_response, replace(patient, **changed))) is expected


@pytest.mark.parametrize(
    ("changed", "indicator", "summary"),
    [
        ({}, None, "smoker"),
        ({"home_oxygen": finding()}, Indicator.WARNING, "on-oxygen"),
        ({"ambulatory_oxygen": finding()}, Indicator.WARNING, "on-oxygen"),
        ({"saturation": saturation(97)}, None, "smoker"),
        ({"saturation": saturation(88)}, None, "smoker"),  # once: to be confirmed
        ({"saturation": saturation(86, Activity.EXERTION)}, Indicator.WARNING, "needs-oxygen"),
    ],
)
def test_smoking_beside_oxygen_is_a_warning(judge, changed, indicator, summary):
    outcome = judge(stop_smoking, replace(WOMAN, smoker=finding(), **changed))
    assert (outcome.indicator, outcome.summary.id) == (indicator, summary)


def test_smoking_is_asked_of_adults_with_either_disease(judge):
    smoker = replace(WOMAN, smoker=finding())
    assert isinstance(judge(stop_smoking, replace(smoker, lam=(), tsc=finding())), Recommended)
    assert isinstance(judge(stop_smoking, replace(smoker, lam=())), NotIndicated)
    assert isinstance(judge(stop_smoking, replace(smoker, birth=None)), Undetermined)
    assert isinstance(judge(stop_smoking, WOMAN), NotIndicated)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, NotIndicated),
        ({"angiomyolipoma": finding()}, Undetermined),
        ({"angiomyolipoma_size": measured("2.9", "cm")}, NotIndicated),
        ({"angiomyolipoma_size": measured("3", "cm")}, Recommended),
        ({"angiomyolipoma_size": measured("3", "cm"), "lam": ()}, NotIndicated),
        ({"angiomyolipoma_size": measured("3", "cm"), "lam": (), "tsc": finding()}, Recommended),
    ],
)
def test_angiomyolipoma_with_each_fact(judge, changed, expected):
    assert type(judge(refer_angiomyolipoma, replace(WOMAN, **changed))) is expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Recommended),
        ({"pneumothorax": ()}, NotIndicated),
        ({"pleurodesis": finding()}, NotIndicated),
        ({"lung_transplant": finding()}, NotIndicated),
        ({"unavailable": frozenset({"pleurodesis"})}, Undetermined),
        ({"lam": ()}, NotIndicated),
    ],
)
def test_pleurodesis_with_each_fact(judge, changed, expected):
    patient = replace(WOMAN, pneumothorax=finding())
    assert type(judge(offer_pleurodesis, replace(patient, **changed))) is expected


def test_one_pneumothorax_listed_twice_is_one(judge):
    twice = replace(WOMAN, pneumothorax=finding() * 2)
    assert judge(offer_pleurodesis, twice).summary.id == "first"


@pytest.mark.parametrize(
    ("rule", "changed"),
    [
        (avoid_estrogen, {}),
        (review_unproven_lam_treatment, {}),
        (review_mtor_inhibitor_interaction, {}),
        (review_mtor_inhibitor_interaction,
         {"mtor_inhibitor": use("sirolimus"), "unavailable": LISTS - {"mtor_inhibitor"}}),
    ],
)  # fmt: skip
def test_lists_that_were_not_sent_leave_questions_open(judge, rule, changed):
    patient = replace(WOMAN, **({"unavailable": LISTS} | changed))
    assert isinstance(judge(rule, patient), Undetermined)


def test_estrogen_in_tsc_is_asked_of_women(judge):
    tsc = replace(WOMAN, lam=(), tsc=finding(), estrogen=use("estrogen"))
    assert judge(avoid_estrogen, tsc).summary.id == "tsc"
    assert isinstance(judge(avoid_estrogen, replace(tsc, sex=Sex.MALE)), NotIndicated)
    assert isinstance(judge(avoid_estrogen, replace(tsc, sex=None)), Undetermined)
    assert isinstance(judge(avoid_estrogen, replace(tsc, tsc=())), NotIndicated)
    man = replace(tsc, sex=Sex.MALE, lam=finding())
    assert isinstance(judge(avoid_estrogen, man), Recommended)


def test_a_hormone_counts_by_its_reason_and_doxycycline_by_its_length(judge):
    rule = review_unproven_lam_treatment
    for_lam = {"reasons": frozenset({Reason.LAM})}
    assert isinstance(judge(rule, replace(WOMAN, hormone=use("progestin"))), NotIndicated)
    assert isinstance(judge(rule, replace(WOMAN, hormone=use("progestin", **for_lam))), Recommended)
    for days, expected in ((Fraction(28), NotIndicated), (Fraction(29), Recommended)):
        course = replace(WOMAN, doxycycline=use("doxycycline", days=days))
        assert type(judge(rule, course)) is expected
    both = replace(WOMAN, hormone=use("serm", name="tamoxifen", **for_lam),
                   doxycycline=use("doxycycline", **for_lam))  # fmt: skip
    assert lines(judge(rule, both)) == ["hormone", "doxycycline-for-lam"]


def order(drug, dose, reference=1, **more):
    return drafted(drug, reference, dose=dose, **more)


def signing(*uses, **changed):
    return replace(
        WOMAN, moment=Moment.SIGN, mtor_inhibitor=uses, drafts=("x",), **changed
    )  # fmt: skip


def mg(high, low=None, **more):
    return DailyDose(Fraction(high if low is None else low), Fraction(high), **more)


@pytest.mark.parametrize(
    ("uses", "changed", "expected"),
    [
        (order("sirolimus", mg(4)), {}, None),
        (order("sirolimus", mg(Fraction(401, 100))), {}, "above-maximum"),
        (order("sirolimus", mg(6, 2)), {}, "above-maximum"),
        (order("sirolimus", mg(5)), {"lam": (), "tsc": finding()}, None),
        (order("sirolimus", mg(10)), {"lam": (), "tsc": finding()}, "high-dose"),
        (order("sirolimus", mg(5)), {"organ_transplant": finding()}, None),
        (order("sirolimus", mg(5)), {"lung_transplant": finding()}, None),
        (order("sirolimus", mg(5)), {"cancer": finding()}, None),
        (order("sirolimus", mg(5)), {"angiomyolipoma": finding()}, "above-maximum"),
        (order("sirolimus", mg(5), reasons=frozenset({Reason.LAM})),
         {"organ_transplant": finding()}, "above-maximum"),
        (order("sirolimus", mg(5)), {"angiomyolipoma": finding(), "cancer": finding()}, None),
        (order("everolimus", mg(Fraction(99, 10))), {"lam": (), "tsc": finding()}, None),
        (order("everolimus", mg(10)), {"lam": (), "tsc": finding()}, "high-dose"),
        (order("everolimus", mg(10)), {"subependymal_astrocytoma": finding()}, None),
        (order("everolimus", mg(10)), {}, "high-dose"),
        (order("everolimus", mg(5)), {}, "off-label"),
        (order("everolimus", mg(5)), {"angiomyolipoma": finding()}, None),
        (order("everolimus", mg(7, per_m2=True)), {"lam": (), "tsc": finding()}, "per-m2"),
        (order("sirolimus", mg(4, unit="mg/m2", per_m2=True)),
         {"angiomyolipoma": finding()}, "unclear"),
        (order("sirolimus", UnclearDose("dose-missing")), {}, "unclear"),
        (order("sirolimus", mg(2, 1, doubt="dose-lines-contradict")), {}, "unclear"),
    ],
)  # fmt: skip
def test_doses_on_both_sides_of_each_limit(judge, uses, changed, expected):
    outcome = judge(verify_mtor_inhibitor_dose, signing(*uses, **changed))
    assert (outcome.summary.id if isinstance(outcome, Recommended) else None) == expected


def test_only_a_dose_above_the_maximum_is_critical(judge):
    rule = verify_mtor_inhibitor_dose
    assert judge(rule, signing(*order("sirolimus", mg(5)))).indicator is Indicator.CRITICAL
    assert judge(rule, signing(*order("everolimus", mg(10)))).indicator is None
    missing = signing(*order("sirolimus", UnclearDose("dose-missing")))
    assert judge(rule, missing).indicator is Indicator.INFO
    assert isinstance(judge(rule, replace(missing, moment=Moment.SELECT)), NotIndicated)


def test_orders_of_one_drug_are_added_up(judge):
    two = (*order("sirolimus", mg(3)), *order("sirolimus", mg(2), 2))
    assert "several-orders" in lines(judge(verify_mtor_inhibitor_dose, signing(*two)))
    small = (*order("sirolimus", mg(2)), *order("sirolimus", mg(2), 2))
    assert isinstance(judge(verify_mtor_inhibitor_dose, signing(*small)), NotIndicated)
    other = (*order("sirolimus", mg(3)), *order("everolimus", mg(2), 2))
    assert lines(judge(verify_mtor_inhibitor_dose, signing(*other))) == ["off-label"]


def test_rules_of_orders_are_silent_in_a_chart(judge):
    chart = replace(WOMAN, mtor_inhibitor=use("sirolimus"))
    for rule in (verify_mtor_inhibitor_dose, avoid_live_vaccine):
        assert isinstance(judge(rule, chart), NotIndicated)


def test_a_vaccine_and_the_drug_may_both_be_ordered(judge):
    vaccine = drafted("live-vaccine", 2)
    both = signing(*order("sirolimus", mg(2)), live_vaccine=vaccine)
    assert isinstance(judge(avoid_live_vaccine, both), Recommended)
    waiting = use("live-vaccine", Stage.BACKGROUND)
    taken = signing(*use("sirolimus"), live_vaccine=waiting)
    assert isinstance(judge(avoid_live_vaccine, taken), NotIndicated)
    unknown = signing(live_vaccine=vaccine, unavailable=LISTS)
    assert isinstance(judge(avoid_live_vaccine, unknown), Undetermined)
    assert isinstance(judge(avoid_live_vaccine, signing(live_vaccine=vaccine)), NotIndicated)
