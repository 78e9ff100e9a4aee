"""Each rule: one fact changed at a time, and the lines that tell how sure we are."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from cds_service.domain.dates import month_of, on_day, year_of
from cds_service.domain.indications import transplant_signs, treatment_signs
from cds_service.domain.medication import MedicationUse, Stage
from cds_service.domain.outcomes import Indicator, NotIndicated, Recommended, Undetermined
from cds_service.domain.snapshot import (
    Activity,
    Finding,
    FunctionalClass,
    InspiredAir,
    Measurement,
    Oxygenation,
    PatientSnapshot,
    PercentPredicted,
    PercentSource,
    Sex,
    Spirometry,
    TestKind,
)
from cds_service.recommendations import (
    assess_home_oxygen,
    confirm_lam_diagnosis,
    monitor_mtor_inhibitor,
    offer_pulmonary_rehabilitation,
    plan_mtor_inhibitor_before_transplant,
    plan_pregnancy,
    refer_lung_transplant,
    refer_to_lam_centre,
    repeat_pulmonary_function,
    screen_for_lam,
    start_mtor_inhibitor,
)
from tests.support import AS_OF

RECENT = on_day(date(2026, 9, 14))


def finding(label="x", on=RECENT, **more):
    return (Finding(label, on, "Condition/1", **more),)


def percent(value, source=PercentSource.REPORTED, on=RECENT):
    measured = Measurement(Decimal(str(value)), "%", on, "Observation/1")
    return PercentPredicted(measured, source, TestKind.UNSPECIFIED)


def spirometries(*points, kind=TestKind.UNSPECIFIED):
    return tuple(
        Spirometry(Measurement(Decimal(v), "L", on_day(day), "Observation/1"), kind)
        for day, v in sorted(points, reverse=True)
    )


def saturation(value, activity=Activity.REST, air=InspiredAir.ROOM_AIR, on=RECENT):
    measured = Measurement(Decimal(value), "%", on, "Observation/1")
    return Oxygenation(measured, activity, air)


TAKES_IT = (
    MedicationUse("sirolimus", Stage.CURRENT, on_day(date(2024, 1, 10)), "MedicationRequest/1"),
)
BIRTH = on_day(date(1985, 4, 12))
WOMAN = PatientSnapshot(sex=Sex.FEMALE, birth=BIRTH, lam=finding(), fev1_percent=percent(85))
TREAT = replace(WOMAN, fev1_percent=percent(62))
LISTS_NOT_SENT = frozenset({"mtor_inhibitor", "contraception"})


@pytest.fixture
def judge(thresholds):
    return lambda rule, patient: rule.recommend(patient, thresholds, AS_OF)


def lines(outcome):
    assert isinstance(outcome, Recommended)
    return {line.id for line in outcome.lines}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Recommended),
        ({"lam": ()}, NotIndicated),
        ({"birth": None}, Undetermined),
        ({"birth": year_of(date(2008, 1, 1))}, Undetermined),
        ({"mtor_inhibitor": TAKES_IT}, NotIndicated),
        ({"pregnancy": finding()}, NotIndicated),
        ({"lung_transplant": finding()}, NotIndicated),
        ({"transplant_listing": finding()}, NotIndicated),
        ({"transplant_referral": finding()}, NotIndicated),
        ({"fev1_percent": None}, Undetermined),
        ({"fev1_percent": percent(70)}, NotIndicated),
        ({"fev1_percent": percent("69.9")}, Recommended),
        ({"fev1_percent": percent(62, on=month_of(date(2025, 11, 1)))}, Undetermined),
        ({"fev1_percent": None, "chylous_effusion": finding()}, Recommended),
        ({"sex": Sex.MALE}, Recommended),
    ],
)
def test_start_changes_with_each_fact(judge, changed, expected):
    assert type(judge(start_mtor_inhibitor, replace(TREAT, **changed))) is expected


def test_a_date_too_vague_to_be_called_recent_is_a_gap(judge):
    vague = replace(TREAT, fev1_percent=percent(62, on=month_of(date(2025, 11, 1))))
    outcome = judge(start_mtor_inhibitor, vague)
    assert [gap.reason for gap in outcome.gaps] == ["recency-unclear"]
    assert judge(start_mtor_inhibitor, replace(TREAT, fev1_percent=None)).gaps == ()


def test_start_tells_how_sure_it_is(judge):
    fall = spirometries((date(2026, 3, 1), "2.60"), (date(2026, 9, 1), "2.40"))
    chyle = replace(WOMAN, chylous_effusion=finding(), fev1=fall)
    assert {"provisional", "chylous-effusion"} <= lines(judge(start_mtor_inhibitor, chyle))
    border = replace(chyle, fev1_percent=percent(70))
    assert "borderline" in lines(judge(start_mtor_inhibitor, border))
    for value, told in ((65, True), ("64.9", False)):
        computed = replace(TREAT, fev1_percent=percent(value, PercentSource.COMPUTED))
        assert ("reference-set-matters" in lines(judge(start_mtor_inhibitor, computed))) is told


def test_start_names_what_history_adds(judge):
    past = MedicationUse("everolimus", Stage.PAST, on_day(date(2023, 1, 1)), "MedicationRequest/1")
    patient = replace(TREAT, mtor_inhibitor=(past,), mtor_use_code=finding())
    outcome = judge(start_mtor_inhibitor, patient)
    fills = {line.id: line.fills for line in outcome.lines}
    assert fills["stopped"]["when"] == "ordered 2023-01-01, date of stopping not recorded"
    assert "use-code" in fills
    undated = replace(patient, mtor_inhibitor=(replace(past, on=None),))
    fills = {line.id: line.fills for line in judge(start_mtor_inhibitor, undated).lines}
    assert fills["stopped"]["when"] == "date of stopping not recorded"


def test_start_names_no_dose_after_an_allergy_and_no_pregnancy_test_for_a_man(judge):
    said = lines(judge(start_mtor_inhibitor, replace(TREAT, mtor_allergy=finding())))
    assert "allergy" in said
    assert "dose" not in said
    said = lines(judge(start_mtor_inhibitor, replace(TREAT, sex=Sex.MALE)))
    assert "pregnancy-test" not in said
    assert "pregnancy-test" in lines(judge(start_mtor_inhibitor, replace(TREAT, sex=None)))


def test_kinds_of_tests_are_not_mixed(thresholds):
    pre = spirometries((date(2024, 6, 1), "3.0"), (date(2026, 6, 1), "2.9"), kind=TestKind.PRE)
    post = spirometries((date(2025, 6, 1), "2.5"), (date(2026, 9, 1), "2.4"), kind=TestKind.POST)
    signs = treatment_signs(replace(WOMAN, fev1=pre + post), thresholds, AS_OF)
    assert signs.trend is None
    vague = Spirometry(Measurement(Decimal(9), "L", month_of(AS_OF), "Observation/1"), TestKind.PRE)
    signs = treatment_signs(replace(WOMAN, fev1=(vague,)), thresholds, AS_OF)
    assert signs.provisional is None


def test_a_fall_that_ended_long_ago_does_not_count(thresholds):
    old = spirometries(
        (date(2024, 1, 1), "3.0"), (date(2024, 9, 1), "2.8"), (date(2025, 9, 1), "2.5")
    )
    assert treatment_signs(replace(WOMAN, fev1=old), thresholds, AS_OF).fast_decline is None


@pytest.mark.parametrize(
    ("changed", "count"),
    [
        ({}, 0),
        ({"fev1_percent": percent("29.9")}, 1),
        ({"fev1_percent": percent(30)}, 0),
        ({"functional_class": FunctionalClass(3, RECENT, "Observation/1")}, 1),
        ({"functional_class": FunctionalClass(2, RECENT, "Observation/1")}, 0),
        ({"functional_class": FunctionalClass(4, on_day(date(2025, 11, 1)), "Observation/1")}, 0),
        ({"pulmonary_hypertension": finding()}, 1),
        ({"pneumothorax": finding(refractory=True)}, 1),
        ({"pneumothorax": finding(side="left")}, 0),
        ({"pneumothorax": finding(side="left") + finding(side="left")}, 0),
        ({"pneumothorax": finding(side="left", on=None) + finding(side="left", on=None)}, 0),
        ({"pneumothorax": finding(side="left")
          + finding(side="left", on=on_day(date(2020, 1, 1)))}, 1),
        ({"saturation": (saturation(86), saturation(86, on=on_day(date(2026, 7, 1))))}, 1),
        ({"mtor_inhibitor": (MedicationUse("sirolimus", Stage.CURRENT, None, "M/1"),)}, 0),
    ],
)  # fmt: skip
def test_signs_of_advanced_disease(thresholds, changed, count):
    assert transplant_signs(replace(WOMAN, **changed), thresholds, AS_OF).count == count


def test_referral_is_a_warning_for_low_fev1_or_two_signs(judge):
    one = replace(WOMAN, pulmonary_hypertension=finding())
    assert judge(refer_lung_transplant, one).indicator is None
    two = replace(one, functional_class=FunctionalClass(3, RECENT, "Observation/1"))
    assert judge(refer_lung_transplant, two).indicator is Indicator.WARNING
    low = replace(WOMAN, fev1_percent=percent(25), pleurodesis=finding())
    assert judge(refer_lung_transplant, low).indicator is Indicator.WARNING
    assert "pleurodesis" in lines(judge(refer_lung_transplant, low))
    near = replace(WOMAN, fev1_percent=percent(28, PercentSource.COMPUTED))
    assert "reference-set-matters" in lines(judge(refer_lung_transplant, near))


def test_referral_stays_open_without_fev1(judge):
    unmeasured = replace(WOMAN, fev1_percent=None)
    assert isinstance(judge(refer_lung_transplant, unmeasured), Undetermined)
    fast = spirometries(
        (date(2024, 2, 1), "2.20"), (date(2025, 5, 3), "2.05"), (date(2026, 9, 2), "1.90")
    )
    falling = replace(WOMAN, mtor_inhibitor=TAKES_IT, fev1=fast)
    assert judge(refer_lung_transplant, falling).summary.id == "decline-on-treatment"


@pytest.mark.parametrize(
    ("changed", "indicator"),
    [
        ({"transplant_listing": finding()}, Indicator.CRITICAL),
        ({"transplant_referral": finding()}, None),
        ({"fev1_percent": percent(25)}, None),
    ],
)
def test_plan_before_transplant(judge, changed, indicator):
    patient = replace(WOMAN, mtor_inhibitor=TAKES_IT, **changed)
    outcome = judge(plan_mtor_inhibitor_before_transplant, patient)
    assert outcome.indicator is indicator


@pytest.mark.parametrize(
    "rule", [plan_mtor_inhibitor_before_transplant, monitor_mtor_inhibitor, plan_pregnancy]
)
def test_a_medication_list_that_was_not_sent_leaves_it_open(judge, rule):
    unknown = replace(WOMAN, unavailable=LISTS_NOT_SENT)
    assert isinstance(judge(rule, unknown), Undetermined)
    assert isinstance(judge(rule, WOMAN), NotIndicated)


def test_monitoring_claims_nothing_about_results_that_were_not_sent(judge):
    fields = {"sirolimus_level", "lipids", "blood_count", "creatinine", "urine_protein"}
    patient = replace(WOMAN, mtor_inhibitor=TAKES_IT, unavailable=frozenset(fields))
    assert isinstance(judge(monitor_mtor_inhibitor, patient), Undetermined)


def test_monitoring_everolimus_says_that_its_target_is_borrowed(judge):
    use = MedicationUse("everolimus", Stage.CURRENT, RECENT, "MedicationRequest/1")
    patient = replace(WOMAN, mtor_inhibitor=(use,))
    assert {"everolimus", "trough-missing"} <= lines(judge(monitor_mtor_inhibitor, patient))


def test_pregnancy_planning_needs_the_sex(judge):
    patient = replace(WOMAN, sex=None, mtor_inhibitor=TAKES_IT)
    assert isinstance(judge(plan_pregnancy, patient), Undetermined)
    assert isinstance(judge(plan_pregnancy, replace(patient, sex=Sex.MALE)), NotIndicated)
    unknown = replace(WOMAN, mtor_inhibitor=TAKES_IT, unavailable=frozenset({"contraception"}))
    assert isinstance(judge(plan_pregnancy, unknown), Undetermined)
    assert isinstance(judge(plan_pregnancy, replace(unknown, lam=())), NotIndicated)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Recommended),
        ({"lam": finding()}, NotIndicated),
        ({"possible_lam": finding()}, NotIndicated),
        ({"tsc": ()}, NotIndicated),
        ({"sex": None}, Undetermined),
        ({"chest_ct": finding(on=year_of(date(2019, 1, 1)))}, NotIndicated),
        ({"chest_ct": finding(on=year_of(date(2018, 1, 1)))}, Recommended),
        ({"chest_ct": finding(on=None)}, Undetermined),
        ({"unavailable": frozenset({"chest_ct"})}, Undetermined),
    ],
)
def test_screening(judge, changed, expected):
    woman = PatientSnapshot(sex=Sex.FEMALE, birth=BIRTH, tsc=finding())
    assert type(judge(screen_for_lam, replace(woman, **changed))) is expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Undetermined),
        ({"functional_class": FunctionalClass(1, RECENT, "Observation/1")}, NotIndicated),
        ({"functional_class": FunctionalClass(2, RECENT, "Observation/1")}, Recommended),
        ({"home_oxygen": finding()}, Recommended),
        ({"ambulatory_oxygen": finding()}, Recommended),
        ({"saturation": (saturation(85, Activity.EXERTION),)}, Recommended),
        ({"saturation": (saturation(85, Activity.EXERTION),), "ambulatory_oxygen": finding(),
          "rehabilitation": finding(on=None)}, NotIndicated),
        ({"lam": ()}, NotIndicated),
    ],
)  # fmt: skip
def test_rehabilitation(judge, changed, expected):
    assert type(judge(offer_pulmonary_rehabilitation, replace(WOMAN, **changed))) is expected


def test_rehabilitation_says_when_procedures_were_not_sent(judge):
    patient = replace(WOMAN, home_oxygen=finding(), unavailable=frozenset({"rehabilitation"}))
    assert "rehabilitation-not-seen" in lines(judge(offer_pulmonary_rehabilitation, patient))


def test_confirmation_says_when_evidence_was_not_sent(judge):
    patient = replace(TREAT, unavailable=frozenset({"vegf_d"}))
    assert "evidence-not-seen" in lines(judge(confirm_lam_diagnosis, patient))
    nobody = PatientSnapshot(birth=BIRTH, tsc=finding())
    assert isinstance(judge(confirm_lam_diagnosis, nobody), NotIndicated)


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        (saturation(87, air=InspiredAir.UNKNOWN), "room-air-not-stated"),
        (saturation(87, Activity.UNKNOWN), "rest-not-stated"),
        (saturation(87, Activity.UNKNOWN, InspiredAir.UNKNOWN), "context-missing"),
        (saturation(87), None),
    ],
)
def test_oxygen_names_the_context_that_is_missing(judge, reading, said):
    found = lines(judge(assess_home_oxygen, replace(WOMAN, saturation=(reading,))))
    missing = found & {"room-air-not-stated", "rest-not-stated", "context-missing"}
    assert missing == ({said} if said else set())


def test_oxygen_shows_a_contradiction_and_what_was_set_aside(judge):
    gas = Oxygenation(
        Measurement(Decimal(50), "mm[Hg]", on_day(date(2026, 8, 1)), "Observation/2"),
        Activity.UNKNOWN, InspiredAir.UNKNOWN,
    )  # fmt: skip
    readings = (saturation(97), saturation(90, air=InspiredAir.OXYGEN))
    outcome = judge(assess_home_oxygen, replace(WOMAN, saturation=readings, pao2=(gas,)))
    assert outcome.summary.fills == {"reading": "PaO2 50 mmHg"}
    assert {"later-reading-disagrees", "not-counted"} <= lines(outcome)


def test_ambulatory_oxygen_on_record_answers_a_low_walk_only(judge):
    walk = saturation(80, Activity.EXERTION, InspiredAir.UNKNOWN)
    patient = replace(WOMAN, saturation=(walk, saturation(96)))
    assert {"ambulatory", "ambulatory-air-not-stated"} == lines(judge(assess_home_oxygen, patient))
    has_it = replace(patient, ambulatory_oxygen=finding())
    assert isinstance(judge(assess_home_oxygen, has_it), NotIndicated)
    low = replace(has_it, saturation=(walk, saturation(87)))
    assert judge(assess_home_oxygen, low).summary.id == "confirm-low"


def test_oxygen_is_for_adults_with_lam_or_tsc(judge):
    low = replace(WOMAN, saturation=(saturation(87),))
    assert isinstance(judge(assess_home_oxygen, replace(low, lam=())), NotIndicated)
    assert isinstance(judge(assess_home_oxygen, replace(low, lam=(), tsc=finding())), Recommended)
    child = replace(low, birth=on_day(date(2010, 1, 1)))
    assert isinstance(judge(assess_home_oxygen, child), NotIndicated)


def test_markers_are_told(judge):
    blood = Measurement(Decimal(56), "%", RECENT, "Observation/3")
    patient = replace(
        WOMAN, saturation=(saturation(89),), oedema=finding(), p_pulmonale=finding(),
        haematocrit=blood,
    )  # fmt: skip
    outcome = judge(assess_home_oxygen, patient)
    assert outcome.summary.id == "qualifies-with-marker"
    assert {"oedema", "p_pulmonale", "haematocrit"} <= {b.label for b in outcome.because}


def test_lung_function_is_due_after_the_interval_in_use(judge):
    old = replace(WOMAN, fev1_percent=percent(85, on=on_day(date(2026, 5, 1))))
    assert judge(repeat_pulmonary_function, old).summary.id == "old"
    assert isinstance(judge(repeat_pulmonary_function, WOMAN), NotIndicated)
    nothing = replace(WOMAN, fev1_percent=None)
    assert judge(repeat_pulmonary_function, nothing).summary.id == "never"
    unknown = replace(nothing, partial=frozenset({"fev1"}))
    assert isinstance(judge(repeat_pulmonary_function, unknown), Undetermined)


def test_a_minor_is_referred_and_an_adult_is_not(judge):
    child = replace(WOMAN, birth=on_day(date(2010, 1, 1)))
    assert isinstance(judge(refer_to_lam_centre, child), Recommended)
    assert isinstance(judge(refer_to_lam_centre, WOMAN), NotIndicated)
    assert isinstance(judge(refer_to_lam_centre, replace(WOMAN, birth=None)), Undetermined)
    assert isinstance(judge(refer_to_lam_centre, replace(child, lam=())), NotIndicated)


def test_a_snapshot_works_things_out_once_and_a_copy_begins_anew():
    calls = []
    patient = PatientSnapshot()
    assert [patient.once("key", lambda: calls.append(1) or 5) for _ in range(2)] == [5, 5]
    assert replace(patient, deceased=True).once("key", lambda: 6) == 6
    assert len(calls) == 1
