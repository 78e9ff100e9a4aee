"""The trust file, key sets that outlive outages, the memory of used tokens, and our way out."""

from __future__ import annotations

import json
import threading
import time

import pytest
from joserfc.jwk import ECKey, OctKey

from cds_service.errors import FetchError, SettingError, Unavailable, Untrusted
from cds_service.trust.egress import Egress, Wanted
from cds_service.trust.file import load_trust
from cds_service.trust.key_sets import FRESH, PAUSE, STALEST, KeySets, parse_keys, reader
from cds_service.trust.model import Caller, FhirServer, Issuer, KeySource, Trust
from cds_service.trust.replay import ProcessMemory, RedisMemory
from tests import servers
from tests.callers import ES384, ISS, RS384, key_set, trust_file
from tests.servers import serving

URL = "https://ehr.example.org/jwks.json"


def test_a_trust_file_is_read(tmp_path):
    path = trust_file(
        tmp_path, tenants=["a"], audiences=["x"], longest_life_seconds=900, leeway_seconds=5,
        client_profile="epic", refuse_replay=False,
        fhir_servers=[{"url": "https://ehr.example.org/fhir/r4/", "version": "R4B"}],
    )  # fmt: skip
    trust = load_trust(path)
    issuer = trust.issuer_of(ISS, "a")
    assert issuer.algorithms == {"ES384", "RS384"}
    assert (issuer.longest_life, issuer.leeway, issuer.refuses_replay) == (900, 5, False)
    assert issuer.keys.file == tmp_path / "keys.json"
    assert issuer.fhir_servers[0].url == "https://ehr.example.org/fhir/r4"
    assert trust.issuer_of(ISS, "b") is None
    assert trust.issuer_of("other", "a") is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"iss": None}, "issuers.0: 'iss' is a required property"),
        ({"name": "Big Hospital"}, "issuers.0.name: 'Big Hospital' does not match"),
        ({"name": "anonymous"}, "issuers.0.name"),
        ({"keys": {}}, "issuers.0.keys"),
        ({"keys": {"url": "http://ehr.example.org/k"}}, "write https, or add private"),
        ({"keys": {"url": URL, "file": "x"}}, "issuers.0.keys"),
        ({"algorithms": ["HS256"]}, "issuers.0.algorithms.0: 'HS256' is not one of"),
        ({"algorithms": ["none"]}, "issuers.0.algorithms.0: 'none' is not one of"),
        ({"algorithms": []}, "issuers.0.algorithms"),
        ({"longest_life_seconds": 86400}, "3600"),
        ({"client_profile": "cerner"}, "issuers.0.client_profile: 'cerner' is not one of"),
        ({"fhir_servers": [{"url": "ftp://x"}]}, "issuers.0.fhir_servers.0.url"),
        ({"fhir_servers": [{"url": "http://ehr/fhir"}]}, "http://ehr/fhir: write https"),
        ({"fhir_servers": [{"url": "https://u:p@ehr/fhir"}]}, "issuers.0.fhir_servers.0.url"),
        ({"fhir_servers": [{"url": "https://e", "version": "STU3"}]}, "'STU3' is not one of"),
        ({"fhir_server": []}, "'fhir_server' was unexpected"),
    ],
)
def test_a_fault_in_the_trust_file_is_named_in_one_line(tmp_path, change, words):
    path = trust_file(tmp_path)
    document = json.loads(path.read_text())
    entry = document["issuers"][0] | change
    document["issuers"][0] = {name: value for name, value in entry.items() if value is not None}
    path.write_text(json.dumps(document))
    with pytest.raises(SettingError) as caught:
        load_trust(path)
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"CDS_TRUST_FILE={path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "words"), [("{", "is not JSON"), ("[]", "the whole file")])
def test_what_is_no_trust_file_is_told(tmp_path, text, words):
    path = tmp_path / "trust.json"
    with pytest.raises(SettingError, match="cannot be read"):
        load_trust(path)
    path.write_text(text)
    with pytest.raises(SettingError, match=words):
        load_trust(path)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({"name": "example"}, "name 'example' stands in two entries"),
        ({"name": "b"}, "several entries of one iss each need tenants"),
        ({"name": "b", "tenants": ["a"]}, "tenant 'a' stands in two entries"),
    ],
)
def test_entries_of_one_issuer_must_differ(tmp_path, second, words):
    path = trust_file(tmp_path, **({"tenants": ["a"]} if "tenants" in second else {}))
    document = json.loads(path.read_text())
    base = {"iss": ISS, "keys": {"file": "keys.json"}}
    document["issuers"].append(base | second)
    path.write_text(json.dumps(document))
    with pytest.raises(SettingError, match=words):
        load_trust(path)


def test_tenants_of_one_issuer_may_have_entries_of_their_own(tmp_path):
    path = trust_file(tmp_path, tenants=["a"])
    document = json.loads(path.read_text())
    document["issuers"].append(document["issuers"][0] | {"name": "b", "tenants": ["b", "c"]})
    path.write_text(json.dumps(document))
    trust = load_trust(path)
    assert [trust.issuer_of(ISS, tenant).name for tenant in "abc"] == ["example", "b", "b"]


@pytest.mark.parametrize(
    ("url", "is_held"),
    [
        ("https://ehr.example.org/fhir", True),
        ("https://ehr.example.org/fhir?_getpages=1", True),
        ("https://ehr.example.org/fhir/Observation?page=2", True),
        ("https://ehr.example.org/fhirx", False),
        ("https://ehr.example.org/", False),
        ("https://ehr.example.org/fhir/../admin", False),
        ("http://ehr.example.org/fhir", False),
        ("https://ehr.example.org:8443/fhir", False),
        ("https://ehr.example.org@evil.example.org/fhir", False),
        ("https://evil.example.org/fhir", False),
        ("//ehr.example.org/fhir", False),
        ("", False),
    ],
)
def test_what_lies_on_a_server(url, is_held):
    assert FhirServer("https://ehr.example.org/fhir").holds(url) is is_held


def test_a_caller_names_only_its_own_servers():
    server = FhirServer("https://ehr.example.org/fhir")
    caller = Caller("x", fhir_servers=(server,))
    assert caller.server_at("https://ehr.example.org/fhir/") is server
    assert caller.server_at("https://ehr.example.org/other") is None
    assert caller.server_at(None) is None


class Source:
    """A key set somewhere, which may be down."""

    def __init__(self, *keys):
        self.body, self.asked = key_set(*keys), 0

    def __call__(self, _):
        self.asked += 1
        if isinstance(self.body, Exception):
            raise self.body
        return self.body


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def keys():
    issuer = Issuer(ISS, "example", KeySource(URL), frozenset({"ES384"}))
    source, clock = Source(ES384), Clock()
    sets = KeySets(Trust({ISS: (issuer,)}), source, clock)
    return issuer, source, clock, sets


def settle():
    """Let a refresh in the background end."""
    for thread in threading.enumerate():
        if thread.name.endswith("(_refresh)"):
            thread.join(5)


@pytest.mark.conformance("C148")
def test_keys_are_fetched_once_and_then_kept(keys):
    issuer, source, _, sets = keys
    assert sets.states() == {"example": "not asked yet"}
    for _ in range(5):
        assert sets.key(issuer, "es+key=").thumbprint() == ES384.thumbprint()
    assert source.asked == 1
    assert sets.states() == {"example": "fresh"}


@pytest.mark.conformance("C148")
def test_an_unknown_key_is_looked_for_once_in_a_while(keys):
    issuer, source, clock, sets = keys
    sets.key(issuer, "es+key=")
    source.body = key_set(ES384, RS384)
    for _ in range(10):  # a flood of invented ids
        with pytest.raises(Untrusted):
            sets.key(issuer, "rs")
    assert source.asked == 1
    clock.now += PAUSE
    assert sets.key(issuer, "rs").thumbprint() == RS384.thumbprint()
    for _ in range(10):
        with pytest.raises(Untrusted, match="unknown-key"):
            sets.key(issuer, "invented")
    assert source.asked == 2


@pytest.mark.conformance("C148")
@pytest.mark.parametrize("down", [FetchError("timeout"), OSError(), b"<html>", b'{"keys": []}'])
def test_keys_are_used_stale_while_the_issuer_is_down(keys, down):
    issuer, source, clock, sets = keys
    sets.key(issuer, "es+key=")
    source.body = down
    clock.now += FRESH + PAUSE + 1
    assert sets.key(issuer, "es+key=")
    settle()
    assert sets.key(issuer, "es+key=")
    assert (sets.states(), source.asked) == ({"example": "stale"}, 2)
    clock.now = STALEST + 1
    with pytest.raises(Untrusted):
        sets.key(issuer, "es+key=")
    assert sets.states() == {"example": "empty"}


@pytest.mark.conformance("C148")
def test_a_key_that_was_withdrawn_is_not_used_any_more(keys):
    issuer, source, clock, sets = keys
    sets.key(issuer, "es+key=")
    source.body = key_set(RS384)
    clock.now += FRESH + 1
    sets.key(issuer, "es+key=")  # refreshed behind its back
    settle()
    with pytest.raises(Untrusted):
        sets.key(issuer, "es+key=")
    assert sets.key(issuer, "rs")


def test_without_any_keys_nobody_is_let_in(keys):
    issuer, source, _, sets = keys
    source.body = FetchError("unreachable")
    for _ in range(3):
        with pytest.raises(Untrusted, match="no-keys"):
            sets.key(issuer, "es+key=")
    assert source.asked == 1


def test_many_calls_wait_for_one_fetch(keys):
    issuer, source, _, sets = keys
    calls = [threading.Thread(target=sets.key, args=(issuer, "es+key=")) for _ in range(8)]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert source.asked == 1


@pytest.mark.conformance("C140")
def test_keys_that_must_not_verify_are_left_out():
    secret = OctKey.generate_key(256, {"kid": "secret"})
    sealing = ECKey.generate_key("P-384", {"kid": "sealing", "use": "enc"})
    entries = [secret.as_dict(private=True), sealing.as_dict(private=False),
               ES384.as_dict(private=True), {"kty": "EC", "kid": "broken", "crv": "P-384"},
               {"kty": "RSA", "kid": 5}, "text", None]  # fmt: skip
    found = parse_keys(json.dumps({"keys": entries}).encode())
    assert list(found) == ["es+key="]
    assert not found["es+key="].is_private


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"keys": {}}', b'{"keys": []}', b"\xff"])
def test_what_is_no_key_set_is_refused(body):
    with pytest.raises(ValueError, match=r".+"):
        parse_keys(body)


@pytest.mark.conformance("C144")
def test_keys_are_read_by_their_address_and_only_from_there():
    read = reader(Egress())
    with serving(lambda reply, _: reply.send(body=json.loads(key_set(ES384)))) as (base, asked):
        source = KeySource(base.replace("/fhir", "/jwks.json"), private=True)
        assert list(parse_keys(read(source))) == ["es+key="]
        with pytest.raises(FetchError, match="address-refused"):
            read(KeySource(source.url))
        assert len(asked) == 1
    with serving(servers.huge) as (base, _), pytest.raises(FetchError, match="too-large"):
        read(KeySource(base, private=True))
    with serving(servers.status(500)) as (base, _), pytest.raises(FetchError, match="status-500"):
        read(KeySource(base, private=True))


@pytest.mark.conformance("C085")
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1",
     "169.254.169.254", "[fd00::1]", "[fe80::1]", "[::ffff:10.0.0.1]", "100.64.0.1", "2130706433"],
)  # fmt: skip
def test_private_addresses_are_refused_before_a_connection_is_made(host, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("connected"))
    with pytest.raises(FetchError, match=r"address-refused|unreachable"):
        Egress().fetch(Wanted(f"http://{host}/x"), time.monotonic() + 1)


def test_nothing_sticks_between_two_fetches():
    def answer(reply, _):
        reply.send(body={}, Set_Cookie="session=1; Path=/")

    with serving(answer) as (base, asked):
        egress = Egress()
        for _ in range(2):
            egress.fetch(Wanted(base, private=True), time.monotonic() + 1)
    assert all("Cookie" not in headers for _, _, headers, _ in asked)


@pytest.mark.conformance("C146")
def test_used_tokens_are_remembered_until_they_expire():
    clock = Clock()
    memory = ProcessMemory(clock)
    assert memory.is_first_use(ISS, "a", 100)
    assert not memory.is_first_use(ISS, "a", 100)
    assert memory.is_first_use("other", "a", 100)
    assert memory.is_first_use(ISS, "b", 50)
    clock.now = 60
    assert memory.is_first_use(ISS, "b", 160)
    assert not memory.is_first_use(ISS, "a", 100)
    assert memory.state() == "per process"


def test_one_token_at_the_same_time_is_let_in_once():
    memory, let_in = ProcessMemory(), []

    def use():
        if memory.is_first_use(ISS, "a", int(time.time()) + 60):
            let_in.append(1)

    threads = [threading.Thread(target=use) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert let_in == [1]


def test_without_redis_nobody_is_let_in():
    memory = RedisMemory("redis://127.0.0.1:1/0")
    with pytest.raises(Unavailable, match="redis"):
        memory.is_first_use(ISS, "a", int(time.time()) + 60)
    assert memory.state() == "unavailable"
