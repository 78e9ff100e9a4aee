"""What a rule may know of a patient: measured values, findings, and what could not be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from cds_service.domain.dates import PartialDate
from cds_service.domain.medication import MedicationUse

T = TypeVar("T")


class Sex(StrEnum):
    """The two sexes for which spirometry reference values exist."""

    FEMALE = "female"
    MALE = "male"


class TestKind(StrEnum):
    """When a spirometry was done, in relation to a bronchodilator."""

    __test__ = False  # the name begins with Test; it is no test case

    PRE = "pre-bronchodilator"
    POST = "post-bronchodilator"
    UNSPECIFIED = "bronchodilator not stated"


class Activity(StrEnum):
    """What the patient was doing when the oxygen saturation was read."""

    REST = "rest"
    EXERTION = "exertion"
    AFTER_EXERCISE = "after exercise"
    SLEEP = "sleep"
    UNKNOWN = "activity not recorded"


class InspiredAir(StrEnum):
    """What the patient was breathing when the oxygen saturation was read."""

    ROOM_AIR = "room air"
    OXYGEN = "supplemental oxygen"
    UNKNOWN = "inspired air not recorded"


@dataclass(frozen=True, slots=True)
class Measurement:
    """
    A measured value, in the one UCUM unit that extraction brings its quantity to.

    `note` says how the sent value was read when that was not literal ("sent as 0.65").
    """

    value: Decimal
    unit: str
    on: PartialDate
    reference: str  # the FHIR resource it was read from: "Observation/fev1-2026-03"
    issued: datetime | None = None
    at: datetime | None = None  # the moment, when the record gives a time
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Spirometry:
    """A spirometric volume (L) or percentage of the predicted value (%), with the kind of test."""

    measured: Measurement
    kind: TestKind


class PercentSource(StrEnum):
    """Where an FEV1 in percent predicted comes from, most trusted first."""

    REPORTED = "reported"
    LAB_PREDICTED = "from-lab-predicted"
    COMPUTED = "computed"


@dataclass(frozen=True, slots=True)
class PercentPredicted:
    """
    FEV1 in percent of the predicted value.

    A value that is not `REPORTED` is rounded to one decimal *before* it is compared, so that the
    number shown is the number judged. `litres` is the volume it was computed from.
    """

    measured: Measurement
    source: PercentSource
    kind: TestKind
    litres: Measurement | None = None


@dataclass(frozen=True, slots=True)
class Oxygenation:
    """A saturation (%) or arterial tension (mm[Hg]) of oxygen with the context it was read in."""

    measured: Measurement
    activity: Activity
    air: InspiredAir


@dataclass(frozen=True, slots=True)
class Finding:
    """A diagnosis, status or event on record."""

    label: str
    on: PartialDate | None
    reference: str
    side: str | None = None  # "left", "right", or None when not recorded
    refractory: bool = False
    size_cm: Decimal | None = None  # of a tumour, as the text of its diagnosis gives it


class Moment(StrEnum):
    """When the rules are asked: a chart is opened, orders are chosen, orders are signed."""

    CHART = "patient-view"
    SELECT = "order-select"
    SIGN = "order-sign"


class RatioSource(StrEnum):
    """Where an FEV1/FVC comes from."""

    REPORTED = "reported"
    COMPUTED = "computed-ratio"


@dataclass(frozen=True, slots=True)
class FlowRatio:
    """
    FEV1/FVC in percent, rounded to one decimal when computed.

    `lower_limit` is the lower limit of normal (%) of the reference set, None when sex, age or
    height do not allow it.
    """

    measured: Measurement
    source: RatioSource
    kind: TestKind
    lower_limit: Decimal | None = None


@dataclass(frozen=True, slots=True)
class FunctionalClass:
    """A New York Heart Association class, 1 to 4."""

    value: int
    on: PartialDate
    reference: str


@dataclass(frozen=True, slots=True)
class DataGap:
    """
    A value on record that could not be used, and so may hide a fact.

    `reason` is a key of the phrases in `cards/phrases.json`; `shown` is record text that helps to
    find it (a unit, a label), to be shown inert.
    """

    fact: str
    reference: str
    reason: str
    on: PartialDate | None = None
    shown: str | None = None


@dataclass(frozen=True, slots=True)
class PatientSnapshot:
    """
    All that the rules may know; a series is newest first, a single value the newest usable one.

    Nothing there (an empty tuple, None) means *nothing on record*, unless the field is named in
    `unavailable` (its search was not answered) or `partial` (only a first page came): then it
    means *not known*.
    """

    sex: Sex | None = None
    birth: PartialDate | None = None
    deceased: bool = False
    lam: tuple[Finding, ...] = ()
    possible_lam: tuple[Finding, ...] = ()
    tsc: tuple[Finding, ...] = ()
    angiomyolipoma: tuple[Finding, ...] = ()
    chylous_effusion: tuple[Finding, ...] = ()
    pneumothorax: tuple[Finding, ...] = ()
    pulmonary_hypertension: tuple[Finding, ...] = ()
    oedema: tuple[Finding, ...] = ()
    p_pulmonale: tuple[Finding, ...] = ()
    lung_histology: tuple[Finding, ...] = ()
    smoker: tuple[Finding, ...] = ()
    pregnancy: tuple[Finding, ...] = ()
    contraception: tuple[Finding, ...] = ()
    home_oxygen: tuple[Finding, ...] = ()
    ambulatory_oxygen: tuple[Finding, ...] = ()
    lung_transplant: tuple[Finding, ...] = ()
    transplant_listing: tuple[Finding, ...] = ()
    transplant_referral: tuple[Finding, ...] = ()
    pleurodesis: tuple[Finding, ...] = ()
    rehabilitation: tuple[Finding, ...] = ()
    chest_ct: tuple[Finding, ...] = ()
    subependymal_astrocytoma: tuple[Finding, ...] = ()
    cancer: tuple[Finding, ...] = ()
    organ_transplant: tuple[Finding, ...] = ()
    angiomyolipoma_size: Measurement | None = None
    mtor_inhibitor: tuple[MedicationUse, ...] = ()
    cyp3a4_inhibitor: tuple[MedicationUse, ...] = ()
    cyp3a4_inducer: tuple[MedicationUse, ...] = ()
    cannabidiol: tuple[MedicationUse, ...] = ()
    ace_inhibitor: tuple[MedicationUse, ...] = ()
    estrogen: tuple[MedicationUse, ...] = ()
    hormone: tuple[MedicationUse, ...] = ()
    doxycycline: tuple[MedicationUse, ...] = ()
    bronchodilator: tuple[MedicationUse, ...] = ()
    live_vaccine: tuple[MedicationUse, ...] = ()
    perhaps_live_vaccine: tuple[MedicationUse, ...] = ()
    mtor_use_code: tuple[Finding, ...] = ()
    mtor_allergy: tuple[Finding, ...] = ()
    functional_class: FunctionalClass | None = None
    fev1: tuple[Spirometry, ...] = ()
    fev1_percent: PercentPredicted | None = None
    flow_ratio: FlowRatio | None = None
    bronchodilator_test: Finding | None = None
    saturation: tuple[Oxygenation, ...] = ()
    pao2: tuple[Oxygenation, ...] = ()
    haematocrit: Measurement | None = None
    vegf_d: tuple[Measurement, ...] = ()
    sirolimus_level: Measurement | None = None
    everolimus_level: Measurement | None = None
    lipids: Finding | None = None
    blood_count: Finding | None = None
    creatinine: Finding | None = None
    urine_protein: Finding | None = None
    moment: Moment = Moment.CHART
    drafts: tuple[str, ...] = ()  # the orders that are judged
    drafted_referral: tuple[Finding, ...] = ()
    requested: Mapping[str, str] = field(default_factory=dict)  # act -> the request on record
    gaps: tuple[DataGap, ...] = ()
    unavailable: frozenset[str] = field(default_factory=frozenset)
    partial: frozenset[str] = field(default_factory=frozenset)
    _memo: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def absence_is_known(self, *facts: str) -> bool:
        """Whether "nothing on record" may be said of all `facts`."""
        return self.unavailable.isdisjoint(facts) and self.partial.isdisjoint(facts)

    def once(self, key: object, work: Callable[[], T]) -> T:
        """
        Work something out once for this snapshot: several rules ask the same of it.

        The result lives and dies with the snapshot; a changed copy begins anew.
        """
        if key not in self._memo:
            self._memo[key] = work()
        found: T = self._memo[key]
        return found

    def is_absent(self, fact: str) -> bool:
        """Whether nothing at all is on record of `fact`, not even something unreadable."""
        hidden = any(gap.fact == fact for gap in self.gaps)
        return not getattr(self, fact) and not hidden and self.absence_is_known(fact)
