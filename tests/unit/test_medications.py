"""Drugs by code, product, class and name; their stage, reason and duration; vaccines; sizes."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest

from cds_service.domain.medication import MedicationUse, Reason, Stage
from cds_service.domain.snapshot import Moment
from cds_service.fhir import wire
from cds_service.fhir.extraction import Extractor
from cds_service.fhir.extraction.body import size_in
from cds_service.fhir.extraction.drafts import read_drafts
from cds_service.fhir.prefetch import KEYS, read_answers
from cds_service.fhir.vocabulary import Vocabulary
from tests.support import AS_OF

RX = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC = "http://www.whocc.no/atc"
SCT = "http://snomed.info/sct"
CVX = "http://hl7.org/fhir/sid/cvx"
CM = "http://hl7.org/fhir/sid/icd-10-cm"
SUBJECT = {"reference": "Patient/p"}
LAM = {
    "resourceType": "Condition", "id": "lam", "subject": SUBJECT,
    "code": {"coding": [{"system": CM, "code": "J84.81"}]},
}  # fmt: skip
DRUG_SETS = (
    "sirolimus", "everolimus", "strong-cyp3a4-pgp-inhibitor", "cyp3a4-inducer", "cannabidiol",
    "ace-inhibitor", "estrogen", "progestin", "gnrh-agonist", "serm", "doxycycline",
    "bronchodilator", "live-vaccine", "vaccine-perhaps-live",
)  # fmt: skip


@pytest.fixture(scope="module")
def extractor(content):
    return Extractor(content)


@pytest.fixture(scope="module")
def vocabulary(content):
    return Vocabulary(content)


@pytest.fixture
def extract(extractor, thresholds):
    """The snapshot of a woman with these resources under each key, and these drafts."""

    def run(drafts=None, moment=Moment.CHART, **resources):
        prefetch = dict.fromkeys(KEYS) | {
            key: {"resourceType": "Bundle", "entry": [{"resource": r} for r in found]}
            for key, found in resources.items()
        }
        prefetch["patient"] = {
            "resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1985-04-12",
        }  # fmt: skip
        raw = {k: msgspec.Raw(json.dumps(v).encode()) for k, v in prefetch.items()}
        answers = read_answers(raw)
        orders = {"resourceType": "Bundle", "entry": [{"resource": d} for d in drafts or ()]}
        sent = read_drafts(json.dumps(orders).encode(), None)
        return extractor.extract(answers, "p", thresholds, AS_OF, sent, moment)

    return run


def med(code, status="active", **more):
    return {
        "resourceType": "MedicationRequest", "id": "m", "status": status, "intent": "order",
        "subject": SUBJECT, "authoredOn": "2026-10-01", "medicationCodeableConcept": code,
    } | more  # fmt: skip


def coded(system, code, text=None):
    return {"coding": [{"system": system, "code": code}]} | ({"text": text} if text else {})


def named(vocabulary, code):
    concept = msgspec.convert(code, wire.CodeableConcept)
    return [(drug.concept.id, drug.name) for drug in vocabulary.drugs(concept, DRUG_SETS)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (coded(RX, "21212"), [("strong-cyp3a4-pgp-inhibitor", "clarithromycin")]),
        (coded("urn:oid:2.16.840.1.113883.6.88", "2002"), [("cyp3a4-inducer", "carbamazepine")]),
        (coded(ATC, "J04AB02"), [("cyp3a4-inducer", "rifampicin")]),
        (coded(SCT, "387487009"), [("strong-cyp3a4-pgp-inhibitor", "clarithromycin")]),
        (coded(RX, "258326"), [("cyp3a4-inducer", "ST. JOHN'S WORT EXTRACT")]),
        ({"text": "St. John's Wort 300 mg"}, [("cyp3a4-inducer", "st. john's wort")]),
        (coded(RX, "2058900"), [("cannabidiol", "cannabidiol")]),
        ({"text": "Epidiolex oral solution"}, [("cannabidiol", "epidiolex")]),
        (coded(ATC, "C09AA05"), [("ace-inhibitor", "ACE inhibitor")]),
        (coded(ATC, "C09AA05", "Ramipril"), [("ace-inhibitor", "ramipril")]),
        (coded(ATC, "C09BA02"), [("ace-inhibitor", "ACE inhibitor")]),
        (coded(RX, "314076"), [("ace-inhibitor", "lisinopril")]),
        (coded(RX, "1000351"), [("progestin", "medroxyprogesterone"),
                                ("estrogen", "conjugated estrogens")]),
        (coded(ATC, "G03AA07"), [("estrogen", "estrogen")]),
        (coded(ATC, "G03AC09"), [("progestin", "progestin")]),
        ({"text": "Ethinyl estradiol / norethindrone"}, [("estrogen", "ethinyl estradiol"),
                                                         ("progestin", "norethindrone")]),
        ({"text": "antiestrogen therapy"}, []),
        ({"text": "Tamoxifen 20 mg"}, [("serm", "tamoxifen")]),
        (coded(ATC, "L02AE02"), []),
        (coded(ATC, "L02AE02", "leuprorelin"), [("gnrh-agonist", "leuprorelin")]),
        (coded(ATC, "R03AC02"), [("bronchodilator", "salbutamol")]),
        (coded(ATC, "R03BB04"), [("bronchodilator", "bronchodilator")]),
        (coded(ATC, "R03BA02"), []),
        ({"text": "Ketoconazole 2% shampoo"}, []),
        (coded(RX, "35302"), [("sirolimus", "sirolimus")]),
        (coded(RX, "845507"), [("everolimus", "everolimus")]),
        (coded("http://example.org", "35302"), []),
        (coded(CVX, "03"), [("live-vaccine", "live vaccine")]),
        (coded(CVX, "3"), [("live-vaccine", "live vaccine")]),
        (coded(CVX, "187"), []),
        (coded(CVX, "188"), [("vaccine-perhaps-live", "Zoster, unspecified formulation")]),
        (coded(CVX, "75"), []),
        (coded(CVX, "75", "Vaccinia (smallpox) vaccine"), [("live-vaccine", "Vaccinia")]),
        ({"text": "Yellow fever vaccine"}, [("live-vaccine", "yellow fever vaccin")]),
        ({"text": "Zoster vaccine, recombinant (Shingrix)"}, []),
        ({"text": "zoster vaccine live"}, [("live-vaccine", "zoster vaccine live")]),
        ({"text": "Varicella IgG antibody"}, []),
        ({"text": "MMR status of the tumour"}, []),
    ],
)  # fmt: skip
def test_drugs_are_recognised(vocabulary, code, expected):
    assert sorted(named(vocabulary, code)) == sorted(expected)


def test_every_product_resolves_to_a_drug(content, vocabulary):
    for product in content.products.values():
        found = named(vocabulary, coded(RX, product.code))
        assert {name for _, name in found} >= set(product.ingredients), product


def test_names_stay_short_enough_for_a_summary(content, vocabulary):
    for concept in content.concepts.values():
        if concept.is_drug:
            for system, code in concept.codes:
                found = named(vocabulary, coded(system, code, concept.title))
                assert all(len(name) <= 32 for _, name in found)


@pytest.mark.parametrize(
    ("status", "stage"),
    [("active", Stage.CURRENT), ("on-hold", Stage.CURRENT), ("stopped", Stage.PAST),
     ("completed", Stage.PAST)],
)  # fmt: skip
def test_stage_of_a_listed_drug(extract, status, stage):
    (use,) = extract(medicationRequests=[med(coded(RX, "21212"), status)]).cyp3a4_inhibitor
    assert use.stage is stage


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error", "draft"])
def test_what_was_never_taken_is_nothing(extract, status):
    assert not extract(medicationRequests=[med(coded(RX, "21212"), status)]).cyp3a4_inhibitor


def test_a_vaccine_on_a_list_is_no_drug_taken(extract):
    assert not extract(medicationRequests=[med(coded(CVX, "03"))]).live_vaccine


def test_a_contraceptive_is_a_finding_and_its_drugs_are_uses(extract):
    found = extract(medicationRequests=[med(coded(ATC, "G03AA07", "levonorgestrel and EE"))])
    assert [f.label for f in found.contraception] == ["Contraception"]
    assert [use.drug for use in found.estrogen] == ["estrogen"]
    assert [use.name for use in found.hormone] == ["levonorgestrel"]


@pytest.mark.parametrize(
    ("members", "reasons"),
    [
        ({}, set()),
        ({"reasonReference": [{"reference": "Condition/lam"}]}, {Reason.LAM}),
        ({"reasonReference": [{"reference": "https://x/fhir/Condition/lam"}]}, {Reason.LAM}),
        ({"reasonReference": [{"reference": "Condition/other"}]}, set()),
        ({"reasonCode": [{"text": "LAM"}]}, {Reason.LAM}),
        ({"reasonCode": [coded(CM, "J84.81")]}, {Reason.LAM}),
        ({"reasonCode": [{"text": "family history of LAM"}]}, set()),
        ({"reasonCode": [coded(CM, "C50.911"), {"text": "renal angiomyolipoma"}]},
         {Reason.CANCER, Reason.ANGIOMYOLIPOMA}),
        ({"reasonCode": [{"text": "SEGA"}]}, {Reason.SEGA}),
        ({"reasonCode": [{"text": "Kidney transplant"}]}, {Reason.TRANSPLANT}),
        ({"reasonCode": "LAM"}, set()),
    ],
)  # fmt: skip
def test_reasons(extract, members, reasons):
    found = extract(
        conditions=[LAM], medicationRequests=[med(coded(RX, "42375"), **members)]
    ).hormone
    assert [use.reasons for use in found] == [reasons]


def test_a_drug_still_taken_has_lasted_until_today(extract):
    statement = {
        "resourceType": "MedicationStatement", "id": "s", "status": "active", "subject": SUBJECT,
        "medicationCodeableConcept": coded(RX, "3640"),
        "effectivePeriod": {"start": "2026-10-06"},
    }  # fmt: skip
    (use,) = extract(medicationStatements=[statement]).doxycycline
    assert use.days == 28
    statement["effectivePeriod"]["end"] = "2026-10-12"
    (use,) = extract(medicationStatements=[statement]).doxycycline
    assert use.days == 7
    (use,) = extract(medicationRequests=[med(coded(RX, "3640"))]).doxycycline
    assert use.days is None


def test_an_icd_category_stands_for_all_codes_below_it(extract):
    breast = LAM | {"code": coded(CM, "C50.911")}
    dotless = LAM | {"code": coded(CM, "C50911")}
    benign = LAM | {"code": coded(CM, "D24.1")}
    assert extract(conditions=[breast]).cancer
    assert extract(conditions=[dotless]).cancer
    assert not extract(conditions=[benign]).cancer
    assert not extract(conditions=[LAM | {"code": coded(CM, "J84.99")}]).lam


def test_drafts_come_first_and_hide_their_copies_on_the_list(extract):
    order = med(coded(RX, "35302"), "draft", id="d")
    signed = med(coded(RX, "35302"), "active", id="d")
    other = med(coded(RX, "141704"), "active", id="e")
    found = extract([order], Moment.SIGN, medicationRequests=[signed, other])
    assert [(u.drug, u.stage) for u in found.mtor_inhibitor] == [
        ("sirolimus", Stage.DRAFTED),
        ("everolimus", Stage.CURRENT),
    ]
    assert found.drafts == ("MedicationRequest/d",)


def test_drafts_that_cannot_be_judged_are_gaps(extract):
    foreign = med(coded(RX, "35302"), "draft", subject={"reference": "Patient/other"})
    broken = med(7, "draft", id="b")
    found = extract([foreign, broken], Moment.SIGN)
    assert [(g.fact, g.reference, g.reason) for g in found.gaps] == [
        ("drafts", "MedicationRequest/m", "draft-of-other-patient"),
        ("drafts", "MedicationRequest/b", "malformed-draft"),
    ]
    assert not found.mtor_inhibitor


def test_a_use_is_shown_by_its_name():
    assert MedicationUse("serm", Stage.CURRENT, None, "M/1", name="tamoxifen").shown == "tamoxifen"
    assert MedicationUse("sirolimus", Stage.CURRENT, None, "M/1").shown == "sirolimus"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("Angiomyolipoma 4.2 cm", "4.2"),
        ("AML, 42 mm", "4.2"),
        ("3.1 x 2.8 cm", "3.1"),
        ("2.8 x 3,4 cm, left", "3.4"),
        ("right 2 cm, left 3 cm", "3"),
        ("4 CM", "4"),
        ("angiomyolipomas < 3 cm", None),
        ("less than 3 cm", None),
        ("up to 5 cm", None),
        ("3-4 cm", None),
        ("was 4 cm in 2019", None),
        ("4 cmH2O", None),
        ("bilateral", None),
        ("", None),
    ],
)
def test_a_size_in_a_text(text, size):
    assert size_in(text) == (Decimal(size) if size else None)
