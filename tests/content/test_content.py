"""Every file in cards/ obeys its schema, cites a known source, and is used."""

from __future__ import annotations

import json
import re
import shutil
from datetime import date

import pytest
from fhir.resources.R4B.valueset import ValueSet

from cds_service.app import load_clinical_content
from cds_service.content.check import LONGEST_SUMMARY
from cds_service.content.load import load_content
from cds_service.content.model import DatedValue
from cds_service.content.root import cards_root
from cds_service.content.value_set import extension, pairs
from cds_service.domain.snapshot import PatientSnapshot
from cds_service.errors import ContentError
from cds_service.fhir.vocabulary import Vocabulary
from cds_service.fhir.wire import CodeableConcept, Coding
from cds_service.hooks.cards import NOTICES
from cds_service.recommendations import EVERY_RULE, SAYS
from tests.support import AS_OF, ROOT

CARDS = cards_root()
ALL_SAYS = {**SAYS, **NOTICES}


@pytest.fixture
def copy(tmp_path):
    """A copy of cards/ that may be damaged."""
    return shutil.copytree(CARDS, tmp_path / "cards")


def faults(root):
    with pytest.raises(ContentError) as caught:
        load_content(root, ALL_SAYS)
    return caught.value.faults


def edit(path, change):
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def test_the_content_has_no_fault():
    assert load_clinical_content().cards.keys() == SAYS.keys()


@pytest.mark.parametrize(
    "path", sorted((CARDS / "value_sets").glob("*.json")), ids=lambda p: p.stem
)
def test_value_sets_are_valid_fhir(path):
    ValueSet.model_validate(json.loads(path.read_text(encoding="utf-8")))


DAMAGE = [
    ("recommendations/screen-for-lam.json", lambda d: d.update(colour="red"), "colour"),
    ("recommendations/screen-for-lam.json", lambda d: d.update(id="other"), "name of the file"),
    ("recommendations/screen-for-lam.json", lambda d: d.update(indicator="hard-stop"), "hard-stop"),
    ("recommendations/screen-for-lam.json", lambda d: d.update(source="nobody"), "sources.json"),
    ("recommendations/screen-for-lam.json", lambda d: d["summary"].pop("never"), "is missing"),
    ("recommendations/screen-for-lam.json", lambda d: d["summary"].update(more="x"), "never says"),
    ("recommendations/screen-for-lam.json", lambda d: d["summary"].update(never="x" * 140), "140"),
    ("recommendations/screen-for-lam.json", lambda d: d["summary"].update(never="${no}"), "${no}"),
    ("recommendations/screen-for-lam.json", lambda d: d["summary"].update(never="a $ b"), "a $"),
    ("recommendations/screen-for-lam.json", lambda d: d["detail"].append("<b>x</b>"), "no HTML"),
    ("recommendations/screen-for-lam.json", lambda d: d["detail"].append("${no}"), "placeholder"),
    ("recommendations/screen-for-lam.json",
     lambda d: d["grades"].append({"lines": ["no"], "statement": "s", "kind": "k",
                                   "source": "ats-jrs-2016"}), "no line of the detail"),
    ("recommendations/screen-for-lam.json",
     lambda d: d["review"].update(status="signed"), "review"),
    ("thresholds/adult-age.json", lambda d: d["values"][0].update(value="18"), "18"),
    ("thresholds/adult-age.json", lambda d: d["values"][0].update(value=[1, 2]), "between"),
    ("thresholds/adult-age.json", lambda d: d["values"][0].update(source="nobody"), "nobody"),
    ("thresholds/adult-age.json", lambda d: d["values"].append(d["values"][0]), "dates must rise"),
    ("thresholds/adult-age.json", lambda d: d.update(comparison="at least"), "at least"),
    ("value_sets/pao2.json",
     lambda d: d["compose"]["include"][0].update(system="http://nowhere"), "code-systems"),
    ("value_sets/pao2.json",
     lambda d: d["compose"]["include"][0]["concept"][0].pop("extension"), "extension"),
    ("value_sets/pleurodesis.json",
     lambda d: d["extension"][0].update(valueString="(") , "regular expression"),
    ("value_sets/pleurodesis.json",
     lambda d: (d.pop("extension"), d["compose"]["include"][0]["concept"][0]["extension"].append(
         {"url": "urn:x-lam-tsc-cds:needs-text", "valueBoolean": True})), "needs a text"),
    ("sources.json", lambda d: d["sources"][0].update(url="ftp://x"), "ftp"),
    ("acts/request-lipids.json", lambda d: d.update(label="${no}"), "${no}"),
    ("acts/request-lipids.json", lambda d: d["codes"].pop(), "must stand here and in the"),
    ("acts/request-lipids.json", lambda d: d.update(type="upsert"), "upsert"),
    ("acts/remove-order.json", lambda d: d.update(resource={"a": 1}), "does not allow"),
    ("recommendations/screen-for-lam.json", lambda d: d["criteria"].append("${no}"), "${no}"),
    ("value_sets/estrogen.json", lambda d: d.update(title="x" * 33), "at most 32"),
    ("quantities.json", lambda d: d["quantities"][0].pop("unit"), "unit"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "words"), DAMAGE)
def test_each_kind_of_fault_is_one_line_that_names_the_file(copy, name, change, words):
    edit(copy / name, change)
    found = faults(copy)
    assert any(line.startswith(f"cards/{name}: ") and words in line for line in found), found
    assert all("\n" not in line for line in found)


def test_broken_missing_and_extra_files_are_named(copy):
    (copy / "phrases.json").unlink()
    (copy / "thresholds" / "adult-age.json").write_text("{,", encoding="utf-8")
    (copy / "recommendations" / "extra.json").write_text("[]", encoding="utf-8")
    (copy / "recommendations" / "plan-pregnancy.json").unlink()
    (copy / "reference_values" / "gli-global-2022-fev1.csv").write_text("sex\n", encoding="utf-8")
    found = "\n".join(faults(copy))
    for words in ("phrases.json: the file is missing", "adult-age.json: is not JSON",
                  "plan-pregnancy.json: missing", "fev1.csv: cannot be read"):  # fmt: skip
        assert words in found


def test_acts_and_products_are_held_against_rules_and_value_sets(copy):
    (copy / "acts" / "request-lipids.json").rename(copy / "acts" / "request-nothing.json")
    edit(copy / "acts" / "request-nothing.json", lambda d: d.update(id="request-nothing"))
    products = copy / "drug_products.csv"
    text = products.read_text(encoding="utf-8")
    products.write_text(text + "1,unobtainium 1 MG,unobtainium,,,nowhere\n", encoding="utf-8")
    found = "\n".join(faults(copy))
    for words in ("request-lipids.json: missing or faulty", "request-nothing.json: no rule",
                  "drug_products.csv: 1: no value set knows 'unobtainium'"):  # fmt: skip
        assert words in found
    products.write_text("code\n1\n", encoding="utf-8")
    assert any("drug_products.csv: cannot be read" in line for line in faults(copy))


def test_a_card_without_a_rule_is_a_fault(copy):
    text = (copy / "recommendations" / "plan-pregnancy.json").read_text(encoding="utf-8")
    (copy / "recommendations" / "new-card.json").write_text(
        text.replace('"plan-pregnancy"', '"new-card"'), encoding="utf-8"
    )
    assert any("no rule speaks" in line for line in faults(copy))


def test_every_summary_fits_with_its_longest_fills(content):
    for card in content.cards.values():
        for text in card.summaries.values():
            assert len("".join(text.parts)) <= LONGEST_SUMMARY


def test_every_threshold_is_used(content):
    code = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "cds_service").rglob("*.py"))
    texts = "".join(p.read_text(encoding="utf-8") for p in CARDS.glob("recommendations/*.json"))
    for name in content.thresholds:
        assert f'"{name}"' in code or name.replace("-", "_") in texts, name


def test_every_source_is_cited(content):
    texts = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("recommendations", "thresholds", "notices")
        for path in (CARDS / folder).glob("*.json")
    )
    uncited = {name for name in content.sources if f'"{name}"' not in texts}
    assert uncited <= {"gli-global-2022"}


def test_every_phrase_that_code_names_exists(content):
    fields = set(PatientSnapshot.__dataclass_fields__)
    for rule in EVERY_RULE:
        assert fields >= rule.READS
        assert set(content.phrases.facts) >= rule.READS
    code = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "cds_service").rglob("*.py"))
    for label in re.findall(r'Basis\(\s*"([a-z0-9_-]+)"', code):
        assert label in content.phrases.labels
    for reason in re.findall(r'_Doubt\("([a-z-]+)"', code):
        assert reason in content.phrases.gaps


def test_nobody_is_invented_as_a_reviewer(content):
    reviews = [c.review for c in content.cards.values()]
    reviews += [t.review for t in content.thresholds.values()]
    assert {review.status for review in reviews} == {"awaiting"}


def test_every_code_carries_its_verification():
    for path in (CARDS / "value_sets").glob("*.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        for include in document.get("compose", {}).get("include", ()):
            for concept in include["concept"]:
                urls = {extension["url"].rsplit(":", 1)[1] for extension in concept["extension"]}
                assert {"verified", "verification-source"} <= urls


def unverified():
    """Every code that is marked as not verified, with its value set."""
    for path in sorted((CARDS / "value_sets").glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        for system, concept in pairs(document):
            if not extension(concept, "verified"):
                yield path.stem, system, concept["code"]


def test_some_codes_are_not_verified():
    assert ("sirolimus", "http://snomed.info/sct", "387014003") in list(unverified())


@pytest.mark.parametrize(("name", "system", "code"), list(unverified()))
def test_an_unverified_code_never_counts_alone(content, name, system, code):
    alone = CodeableConcept(coding=(Coding(system=system, code=code),))
    found = [concept.id for concept in Vocabulary(content).coded(alone)]
    assert name not in found
    assert (system, code) in content.concepts[name].needs_text


def test_every_coding_of_an_act_is_a_verified_code(content):
    for act in content.acts.values():
        for system, code in act.codes:
            known = [c for c in content.concepts.values() if (system, code) in c.codes]
            assert all((system, code) not in concept.needs_text for concept in known), act.id


def test_codes_that_look_right_and_are_not_are_nowhere():
    wrong = {"19926-5", "3150-6", "2019-8", "20151-7", "50325005", "CB03.5", "30621-7", "30746-2",
             "233719000"}  # fmt: skip
    for path in (CARDS / "value_sets").glob("*.json"):
        codes = set(re.findall(r'"code": "([^"]+)"', path.read_text(encoding="utf-8")))
        right = {"19926-5"} if path.stem == "fev1-fvc" else set()  # the ratio that it is
        assert not codes & wrong - right, path.name


def test_the_value_in_force_is_the_latest_not_after_the_day(content):
    history = content.thresholds["adult-age"]
    old, new = history.values[0], DatedValue(date(2027, 1, 1), 21, 21, "ats-jrs-2016")
    changed = type(history)(
        history.id, history.label, history.unit, history.comparison, (old, new), history.status,
        history.note, history.review,
    )  # fmt: skip
    assert changed.on(AS_OF).low == 18
    assert changed.on(date(2027, 1, 1)).low == 21
    assert changed.on(date(1990, 1, 1)).low == 18
