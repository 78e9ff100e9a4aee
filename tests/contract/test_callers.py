"""Who is let in, and who is not: good tokens, and a table of attacks that all look the same."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import pytest
from joserfc.jwk import OctKey

from cds_service.app import close_app, create_app
from tests.callers import (
    BASE,
    ES256,
    ES384,
    ISS,
    RS384,
    STRANGER,
    bearer,
    claims,
    token,
    trust_file,
)
from tests.support import AS_OF, SERVICE, case_request, post, settings, topics


@pytest.fixture(scope="module")
def signed_app(tmp_path_factory):
    path = trust_file(tmp_path_factory.mktemp("trust"))
    made = create_app(settings(client_auth="required", trust_file=path), today=lambda: AS_OF)
    yield made
    close_app(made)


@pytest.fixture
def signed(signed_app):
    """A service that lets in whoever signs."""
    return signed_app.test_client()


@pytest.fixture
def make_signed(make_client, tmp_path):
    def make(changed=None, **issuer):
        path = trust_file(tmp_path, **issuer)
        return make_client(**({"client_auth": "required", "trust_file": path} | (changed or {})))

    return make


def soon(seconds):
    """So many seconds from now."""
    return int(time.time()) + seconds


def ask(client, headers, **options):
    return post(client, case_request(), headers=headers, **options)


@pytest.mark.conformance("C138", "C139", "C141", "C142", "C143")
@pytest.mark.parametrize(("key", "alg"), [(ES384, "ES384"), (RS384, "RS384")])
def test_a_signed_call_is_answered(signed, key, alg):
    assert topics(ask(signed, bearer(key=key, alg=alg))) == ["start-mtor-inhibitor"]


@pytest.mark.conformance("C142", "C143")
@pytest.mark.parametrize(
    "changed",
    [
        {"aud": [BASE + SERVICE]},
        {"aud": ["https://elsewhere.example.org", BASE + SERVICE]},
        {"sub": "client-1"},
        {"nbf": -300},
        {"tenant": "site-7"},
        {"exp": 900},
        {"iat": 20},
    ],
)
def test_what_good_tokens_may_look_like(signed, changed):
    """Times are seconds from now."""
    changed = {name: soon(value) if isinstance(value, int) else value
               for name, value in changed.items()}  # fmt: skip
    assert ask(signed, bearer(claims(**changed))).status_code == 200


@pytest.mark.conformance("C139")
def test_a_header_with_a_long_key_id_and_unknown_members_is_borne(make_signed):
    key = type(ES384).import_key(ES384.as_dict(private=True) | {"kid": "a+/=" * 60})
    client = make_signed()
    assert ask(client, bearer(extra="x" * 300)).status_code == 200
    assert ask(client, bearer(key=key)).status_code == 401  # not in the key set


def none_token():
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT","kid":"rs"}').rstrip(b"=")
    body = base64.urlsafe_b64encode(json.dumps(claims()).encode()).rstrip(b"=")
    return b".".join([head, body, b""]).decode()


def hs256_with_the_public_key():
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT","kid":"rs"}').rstrip(b"=")
    body = base64.urlsafe_b64encode(json.dumps(claims()).encode()).rstrip(b"=")
    signature = hmac.new(RS384.as_pem(private=False), head + b"." + body, hashlib.sha256).digest()
    return b".".join([head, body, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def tampered():
    head, _, signature = token().split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims()).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


ATTACKS = {
    "no header": None,
    "not bearer": "Basic dXNlcjpwYXNz",
    "empty": "Bearer ",
    "two tokens": lambda: f"Bearer {token()}, Bearer {token()}",
    "not a token": "Bearer abc",
    "very long": "Bearer " + "a" * 9000 + ".b.c",
    "garbage in three parts": "Bearer !!.!!.!!",
    "payload that is no object": lambda: "Bearer eyJhbGciOiJFUzM4NCJ9.W10.AAAA",
    "deep payload": lambda: (
        "Bearer eyJhbGciOiJFUzM4NCJ9."
        + base64.urlsafe_b64encode(b"[" * 3000).decode().rstrip("=")
        + ".AAAA"
    ),
    "alg none": lambda: f"Bearer {none_token()}",
    "HS256 with the public key": lambda: f"Bearer {hs256_with_the_public_key()}",
    "HS256": lambda: f"Bearer {token(key=OctKey.generate_key(256, {'kid': 'rs'}), alg='HS256')}",
    "an algorithm that is not configured": lambda: f"Bearer {token(key=RS384, alg='RS256')}",
    "key of another curve": lambda: f"Bearer {token(key=ES256, alg='ES256')}",
    "key of another kind": lambda: f"Bearer {token(key=ES384, kid='rs')}",
    "signed by a stranger": lambda: f"Bearer {token(key=STRANGER)}",
    "embedded jwk": lambda: "Bearer " + token(key=STRANGER, jwk=STRANGER.as_dict(private=False)),
    "embedded x5u": lambda: f"Bearer {token(key=STRANGER, x5u='https://evil.example.org/c')}",
    "crit": lambda: f"Bearer {token(crit=['exp'], exp=1)}",
    "claims changed after signing": lambda: f"Bearer {tampered()}",
    "no kid": lambda: f"Bearer {token(kid=None)}",
    "kid injection": lambda: f"Bearer {token(kid='../../etc/passwd')}",
    "kid with a query": lambda: "Bearer " + token(kid="' OR 1=1 --"),
    "no typ": lambda: f"Bearer {token(typ=None)}",
    "other typ": lambda: f"Bearer {token(typ='at+jwt')}",
    "unknown issuer": lambda: f"Bearer {token(claims(iss='https://evil.example.org'))}",
    "issuer with a slash": lambda: f"Bearer {token(claims(iss=ISS + '/'))}",
    "no issuer": lambda: f"Bearer {token(claims(iss=None))}",
    "issuer that is a list": lambda: f"Bearer {token(claims(iss=[ISS]))}",
    "aud of discovery": lambda: f"Bearer {token(claims(aud=BASE + '/cds-services'))}",
    "aud of another service": lambda: (
        "Bearer " + token(claims(aud=BASE + "/cds-services/lam-tsc-order-sign"))
    ),
    "aud of another host": lambda: f"Bearer {token(claims(aud='http://evil' + SERVICE))}",
    "aud that is a beginning": lambda: f"Bearer {token(claims(aud=BASE))}",
    "no aud": lambda: f"Bearer {token(claims(aud=None))}",
    "expired": lambda: f"Bearer {token(claims(iat=soon(-600), exp=soon(-60)))}",
    "no exp": lambda: f"Bearer {token(claims(exp=None))}",
    "exp that is a text": lambda: f"Bearer {token(claims(exp=str(soon(300))))}",
    "life of a day": lambda: f"Bearer {token(claims(exp=soon(86_400)))}",
    "exp before iat": lambda: f"Bearer {token(claims(iat=soon(25), exp=soon(20)))}",
    "issued in the future": lambda: f"Bearer {token(claims(iat=soon(120), exp=soon(200)))}",
    "not yet valid": lambda: f"Bearer {token(claims(nbf=soon(120)))}",
    "no iat": lambda: f"Bearer {token(claims(iat=None))}",
    "no jti": lambda: f"Bearer {token(claims(jti=None))}",
    "jti that is a number": lambda: f"Bearer {token(claims(jti=5))}",
    "very long jti": lambda: f"Bearer {token(claims(jti='j' * 600))}",
}


@pytest.mark.conformance("C138", "C139", "C140", "C142", "C143", "C144", "C145", "C149", "C151")
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_answered_like_every_other(signed, name):
    made = ATTACKS[name]
    value = made() if callable(made) else made
    answer = ask(signed, {} if value is None else {"Authorization": value})
    assert answer.status_code == 401
    plain = ask(signed, {})
    assert answer.data == plain.data
    for headers in (answer.headers, plain.headers):
        del headers["X-Correlation-Id"]
    assert dict(answer.headers) == dict(plain.headers)


@pytest.mark.conformance("C146")
def test_a_token_is_good_once(signed):
    headers = bearer()
    assert ask(signed, headers).status_code == 200
    assert ask(signed, headers).status_code == 401


def test_a_refused_token_does_not_burn_its_id(signed):
    wrong = claims(aud="https://elsewhere.example.org")
    assert ask(signed, bearer(wrong)).status_code == 401
    assert ask(signed, bearer(claims(jti=wrong["jti"]))).status_code == 200


@pytest.mark.conformance("C146")
def test_replay_can_be_allowed_to_a_test_kit(make_signed):
    client, headers = make_signed(refuse_replay=False), bearer()
    assert [ask(client, headers).status_code for _ in range(3)] == [200, 200, 200]


@pytest.mark.conformance("C141")
def test_other_algorithms_by_issuer(make_signed):
    client = make_signed(algorithms=["ES256", "RS256"])
    assert ask(client, bearer(key=ES256, alg="ES256")).status_code == 200
    assert ask(client, bearer(key=RS384, alg="RS256")).status_code == 200
    assert ask(client, bearer()).status_code == 401


@pytest.mark.conformance("C143")
def test_an_audience_of_the_sites_own(make_signed):
    client = make_signed(audiences=["lam-cds"])
    assert ask(client, bearer(claims(aud="lam-cds"))).status_code == 200
    assert ask(client, bearer(claims(aud="lam-cd"))).status_code == 401


@pytest.mark.conformance("C007", "C143")
def test_the_audience_is_the_public_url_not_the_host_header(make_signed):
    client = make_signed({"public_url": "https://cds.example.org/v1/lam"})
    public = f"https://cds.example.org/v1/lam{SERVICE}"
    wrong = bearer(claims(aud=f"http://evil.example.org{SERVICE}"))
    assert ask(client, wrong | {"Host": "evil.example.org"}).status_code == 401
    answer = client.post(
        f"/v1/lam{SERVICE}", json=case_request(), headers=bearer(claims(aud=public))
    )
    assert answer.status_code == 200


@pytest.mark.conformance("C147")
def test_tenants_are_listed(make_signed):
    client = make_signed(tenants=["site-7", "site-8"])
    assert ask(client, bearer(claims(tenant="site-8"))).status_code == 200
    for tenant in ("site-9", None, 7, ["site-7"]):
        assert ask(client, bearer(claims(tenant=tenant))).status_code == 401


@pytest.mark.conformance("C145")
def test_longest_life_and_leeway_by_issuer(make_signed):
    client = make_signed(longest_life_seconds=60, leeway_seconds=0)
    assert ask(client, bearer(claims(exp=soon(300)))).status_code == 401
    now = int(time.time())
    assert ask(client, bearer(claims(iat=now, exp=now + 60))).status_code == 200
    assert ask(client, bearer(claims(iat=now + 20, exp=now + 60))).status_code == 401
    patient = make_signed(leeway_seconds=120)
    assert ask(patient, bearer(claims(iat=now - 100, exp=now - 60))).status_code == 200


@pytest.mark.conformance("C021", "C020")
def test_discovery_is_open_and_checks_a_token_that_is_shown(signed):
    assert signed.get("/cds-services").status_code == 200
    good = bearer(claims("/cds-services"))
    assert signed.get("/cds-services", headers=good).status_code == 200
    assert ask(signed, bearer(claims("/cds-services"))).status_code == 401
    assert signed.get("/cds-services", headers=bearer()).status_code == 401


@pytest.mark.conformance("C134")
def test_feedback_bears_two_audiences(signed):
    body = {"feedback": []}
    for audience in (f"{SERVICE}/feedback", SERVICE):
        answer = signed.post(f"{SERVICE}/feedback", json=body, headers=bearer(claims(audience)))
        assert answer.status_code == 204
    assert signed.post(f"{SERVICE}/feedback", json=body).status_code == 401
    assert ask(signed, bearer(claims(f"{SERVICE}/feedback"))).status_code == 401


def test_optional_lets_in_whoever_shows_nothing_and_checks_the_rest(make_signed):
    client = make_signed({"client_auth": "optional"})
    assert ask(client, {}).status_code == 200
    assert ask(client, bearer()).status_code == 200
    assert ask(client, bearer(key=STRANGER)).status_code == 401


def test_off_looks_at_no_token(client):
    assert ask(client, {"Authorization": "Bearer nonsense"}).status_code == 200
    assert client.get("/cds-services", headers={"Authorization": "x"}).status_code == 200


@pytest.mark.conformance("C153")
def test_a_refusal_can_be_read_by_a_browser(signed):
    answer = ask(signed, {"Origin": "https://sandbox.cds-hooks.org"})
    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == "https://sandbox.cds-hooks.org"
    preflight = signed.options(
        SERVICE,
        headers={"Origin": "https://sandbox.cds-hooks.org",
                 "Access-Control-Request-Method": "POST",
                 "Access-Control-Request-Headers": "authorization,content-type"},
    )  # fmt: skip
    assert preflight.status_code == 200


def test_the_profile_is_the_issuers(make_signed):
    name = "start-mtor-inhibitor/fev1-62-percent"
    behaviours = set()
    for profile in ("hl7-2.0", "epic"):
        client = make_signed(client_profile=profile)
        answer = post(client, case_request(name), headers=bearer())
        behaviours.add(answer.get_json()["cards"][0]["selectionBehavior"])
    assert behaviours == {"at-most-one", "any"}


def test_a_caller_that_asks_too_often_gets_429(make_signed):
    client = make_signed({"rate_limit": "3 per minute"})
    codes = [ask(client, bearer()).status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    last = ask(client, bearer())
    assert last.mimetype == "application/fhir+json"
    assert last.headers["Retry-After"]


def test_one_tenant_does_not_use_up_the_rate_of_another(make_signed):
    client = make_signed({"rate_limit": "1 per minute"}, tenants=["a", "b"])
    assert [ask(client, bearer(claims(tenant=t))).status_code for t in "aab"] == [200, 429, 200]
