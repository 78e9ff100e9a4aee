"""Callers that sign, for tests: keys, tokens, and the trust file that knows them."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, Key, RSAKey

ISS = "https://ehr.example.org/fhir/r4"
BASE = "http://127.0.0.1:8080"
ES384 = ECKey.generate_key("P-384", {"kid": "es+key=", "use": "sig"})
RS384 = RSAKey.generate_key(2048, {"kid": "rs", "use": "sig"})
ES256 = ECKey.generate_key("P-256", {"kid": "p256", "use": "sig"})
STRANGER = ECKey.generate_key("P-384", {"kid": "es+key="})  # the same id, another key


class Signing(jws.JWSRegistry):
    """Signs whatever header it is given, as an attacker would."""

    def check_header(self, header: Any) -> None:
        pass


_numbers = itertools.count(1)


def key_set(*keys: Key) -> bytes:
    """A JWK Set with the public halves."""
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]}).encode()


def trust_file(folder: Path, *, keys: Any = None, **issuer: Any) -> Path:
    """A trust file that knows one issuer, and its key file beside it."""
    (folder / "keys.json").write_bytes(key_set(ES384, RS384, ES256))
    entry = {"iss": ISS, "name": "example", "keys": keys or {"file": "keys.json"}, **issuer}
    path = folder / "trust.json"
    path.write_text(json.dumps({"issuers": [entry]}), encoding="utf-8")
    return path


def claims(path: str = "/cds-services/lam-tsc-patient-view", **changed: Any) -> dict[str, Any]:
    """The claims of a good token; None takes one away."""
    now = int(time.time())
    usual = {"iss": ISS, "aud": BASE + path, "iat": now, "exp": now + 300,
             "jti": f"jti-{next(_numbers)}-{now}"}  # fmt: skip
    return {name: value for name, value in (usual | changed).items() if value is not None}


def token(
    sent: dict[str, Any] | None = None, key: Key = ES384, alg: str = "ES384", **header: Any
) -> str:
    """A signed token; members of the header that are None are taken away."""
    usual = {"alg": alg, "typ": "JWT", "kid": key.kid}
    whole = {name: value for name, value in (usual | header).items() if value is not None}
    registry = Signing(algorithms=[alg])
    payload = json.dumps(claims() if sent is None else sent).encode()
    return jws.serialize_compact(whole, payload, key, registry=registry)


def bearer(*arguments: Any, **named: Any) -> dict[str, str]:
    """The header of a call."""
    return {"Authorization": f"Bearer {token(*arguments, **named)}"}
