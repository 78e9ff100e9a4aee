"""Snapshots of many kinds of patients, drawn at random and the same every time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from cds_service.domain.dates import on_day
from cds_service.domain.medication import DailyDose, MedicationUse, Reason, Stage
from cds_service.domain.snapshot import (
    Activity,
    DataGap,
    Finding,
    FlowRatio,
    FunctionalClass,
    InspiredAir,
    Measurement,
    Moment,
    Oxygenation,
    PatientSnapshot,
    PercentPredicted,
    PercentSource,
    RatioSource,
    Sex,
    TestKind,
)

RECENT = on_day(date(2026, 9, 14))
OLDER = on_day(date(2026, 2, 14))  # recent enough to decide, old enough to be repeated
SMALL = date(2014, 4, 12)
GROWN = date(1985, 4, 12)


def finding(label="x", **more):
    return (Finding(label, RECENT, "Condition/1", **more),)


def measured(value, unit="%"):
    return Measurement(Decimal(str(value)), unit, RECENT, "Observation/1")


def percent(value, on=RECENT):
    found = replace(measured(value), on=on)
    return PercentPredicted(found, PercentSource.REPORTED, TestKind.UNSPECIFIED)


def saturation(value, activity=Activity.REST):
    return (Oxygenation(measured(value), activity, InspiredAir.ROOM_AIR),)


def use(drug, stage=Stage.CURRENT, reference="MedicationRequest/1", **more):
    return (MedicationUse(drug, stage, RECENT, reference, **more),)


def drafted(drug, number=1, **more):
    return use(drug, Stage.DRAFTED, f"MedicationRequest/draft-{number}", **more)


# fact -> what it may be; the first is the commonest
CHART = {
    "sex": [Sex.FEMALE, Sex.FEMALE, Sex.MALE],
    "birth": [on_day(GROWN), on_day(GROWN), on_day(GROWN), on_day(SMALL)],
    "lam": [finding(), finding(), finding(), ()],
    "possible_lam": [(), (), finding()],
    "tsc": [(), finding()],
    "angiomyolipoma": [(), finding()],
    "angiomyolipoma_size": [None, measured(5, "cm")],
    "chylous_effusion": [(), (), finding()],
    "pneumothorax": [(), finding()],
    "pleurodesis": [(), (), finding()],
    "pulmonary_hypertension": [(), (), (), finding()],
    "smoker": [(), finding()],
    "pregnancy": [(), (), finding()],
    "contraception": [(), finding()],
    "home_oxygen": [(), (), (), finding()],
    "lung_transplant": [(), (), (), (), finding()],
    "transplant_listing": [(), (), (), finding()],
    "transplant_referral": [(), (), (), finding()],
    "rehabilitation": [(), (), finding()],
    "chest_ct": [(), finding()],
    "mtor_inhibitor": [(), use("sirolimus"), use("everolimus"), use("sirolimus", Stage.PAST)],
    "mtor_allergy": [(), (), finding("sirolimus")],
    "cyp3a4_inhibitor": [(), (), use("strong-cyp3a4-pgp-inhibitor", name="clarithromycin")],
    "ace_inhibitor": [(), (), use("ace-inhibitor", name="lisinopril")],
    "estrogen": [(), (), use("estrogen", name="estradiol")],
    "hormone": [(), (), use("serm", name="tamoxifen", reasons=frozenset({Reason.LAM}))],
    "bronchodilator": [(), (), use("bronchodilator")],
    "functional_class": [None, FunctionalClass(3, RECENT, "Observation/1"),
                         FunctionalClass(1, RECENT, "Observation/1")],
    "fev1_percent": [percent(85), percent(62), percent(25), None, percent(62, OLDER)],
    "flow_ratio": [None, FlowRatio(measured(60), RatioSource.REPORTED, TestKind.UNSPECIFIED)],
    "saturation": [(), saturation(97), saturation(88), saturation(89),
                   saturation(86, Activity.EXERTION)],
    "pao2": [(), (), (Oxygenation(measured(55, "mm[Hg]"), Activity.REST, InspiredAir.ROOM_AIR),)],
    "sirolimus_level": [None, measured(20, "ng/mL")],
    "gaps": [(), (), (DataGap("fev1_percent", "Observation/9", "no-unit"),
                      DataGap("chest_ct", "DiagnosticReport/9", "no-date")),
             (DataGap("saturation", "Observation/9", "no-unit"),)],
}  # fmt: skip
HIGH = DailyDose(Fraction(10), Fraction(10))
ORDERS = {
    "drafts": [("MedicationRequest/draft-1",)],
    "drafted_referral": [(), (), finding()],
    "live_vaccine": [(), drafted("live-vaccine", 2)],
    "mtor_inhibitor": [(), use("sirolimus"), drafted("sirolimus", 3, dose=HIGH),
                       drafted("everolimus", 3, dose=HIGH)],
    "cyp3a4_inhibitor": [(), use("strong-cyp3a4-pgp-inhibitor"),
                         drafted("strong-cyp3a4-pgp-inhibitor", 4)],
    "estrogen": [(), drafted("estrogen", 5)],
    "hormone": [(), drafted("serm", 6, reasons=frozenset({Reason.LAM}))],
    "gaps": [(), (), (DataGap("drafts", "MedicationRequest/9", "malformed-draft"),)],
}  # fmt: skip


def charts(count: int, seed: int = 1) -> Iterator[PatientSnapshot]:
    draw = random.Random(seed)
    for _ in range(count):
        yield PatientSnapshot(**{name: draw.choice(known) for name, known in CHART.items()})


def orders(count: int, seed: int = 1) -> Iterator[PatientSnapshot]:
    draw = random.Random(seed)
    for _ in range(count):
        facts = {name: draw.choice(known) for name, known in (CHART | ORDERS).items()}
        yield PatientSnapshot(**facts, moment=draw.choice([Moment.SELECT, Moment.SIGN]))
