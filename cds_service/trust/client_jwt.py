"""Verifies the signed JWT of a caller; whoever fails learns nothing of the reason."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key

from cds_service.errors import Untrusted
from cds_service.trust.key_sets import KeySets
from cds_service.trust.model import Caller, Issuer, Trust
from cds_service.trust.replay import Memory

_BEARER = re.compile(r"Bearer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", re.IGNORECASE)
_LONGEST = 8192  # characters of an Authorization header
_LONGEST_ID = 512
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_SHOWN_TENANT = re.compile(r"[A-Za-z0-9._-]{1,64}")


class _Registry(jws.JWSRegistry):
    """Bears the long key ids and addresses of EHRs, and header members that it does not know."""

    max_header_length = 2048
    max_payload_length = _LONGEST

    def __init__(self, algorithm: str) -> None:
        super().__init__(algorithms=[algorithm], strict_check_header=False)


class JwtVerifier:
    """Verifies tokens against one trust file; `now` is the Unix time."""

    def __init__(
        self, trust: Trust, keys: KeySets, replay: Memory, now: Callable[[], float] = time.time
    ) -> None:
        """Keep what verification needs."""
        self._trust, self._keys, self._replay, self._now = trust, keys, replay, now

    def verify(self, header: str, audiences: Iterable[str]) -> Caller:
        """
        Who makes a call with this `Authorization` header to one of the `audiences`.

        Raises Untrusted, or Unavailable when the memory of used tokens cannot be asked.
        """
        token = _token(header)
        try:
            signed = jws.extract_compact(token.encode(), registry=_Registry("none"))
            claims = msgspec.json.decode(signed.payload)
        except (JoseError, ValueError, RecursionError):
            raise Untrusted("malformed") from None
        if not isinstance(claims, dict):
            raise Untrusted("malformed")
        issuer = self._trust.issuer_of(claims.get("iss"), claims.get("tenant"))
        if issuer is None:
            raise Untrusted("unknown-issuer")
        self._check_signature(signed, issuer)
        self._check_claims(claims, issuer, [*audiences, *issuer.audiences])
        self._check_first_use(claims, issuer)
        tenant = claims.get("tenant")
        shown = tenant if isinstance(tenant, str) and _SHOWN_TENANT.fullmatch(tenant) else None
        return Caller(issuer.name, issuer, shown, issuer.fhir_servers)

    def _check_signature(self, signed: jws.CompactSignature, issuer: Issuer) -> None:
        """By a key of the issuer's own set: key material in the token is not even looked at."""
        header = signed.headers()
        algorithm = header.get("alg")
        if algorithm not in issuer.algorithms:
            raise Untrusted("algorithm", issuer.name)
        if str(header.get("typ")).upper() != "JWT" or "crit" in header or "b64" in header:
            raise Untrusted("header", issuer.name)
        if issuer.keys.url and header.get("jku", issuer.keys.url) != issuer.keys.url:
            raise Untrusted("foreign-jku", issuer.name)
        kid = header.get("kid")
        if not isinstance(kid, str) or not kid or len(kid) > _LONGEST_ID:
            raise Untrusted("no-kid", issuer.name)
        key = self._keys.key(issuer, kid)
        if not _fits(key, algorithm):
            raise Untrusted("key-type", issuer.name)
        if not _is_signed_by(signed, key, algorithm):
            raise Untrusted("signature", issuer.name)

    def _check_claims(self, claims: dict[str, Any], issuer: Issuer, audiences: list[str]) -> None:
        now = int(self._now())
        registry = jwt.JWTClaimsRegistry(
            now=lambda: now,
            leeway=issuer.leeway,
            aud={"essential": True, "values": audiences},
            exp={"essential": True},
            iat={"essential": True},
            jti={"essential": True},
        )
        try:
            registry.validate(claims)
        except (JoseError, TypeError, ValueError):
            raise Untrusted("claims", issuer.name) from None
        jti, life = claims["jti"], claims["exp"] - claims["iat"]
        if not isinstance(jti, str) or len(jti) > _LONGEST_ID:
            raise Untrusted("claims", issuer.name)
        if not 0 < life <= issuer.longest_life:
            raise Untrusted("life", issuer.name)

    def _check_first_use(self, claims: dict[str, Any], issuer: Issuer) -> None:
        """Last of all: a token that is refused for another reason must not burn its id."""
        if not issuer.refuses_replay:
            return
        until = int(claims["exp"]) + issuer.leeway
        if not self._replay.is_first_use(issuer.iss, claims["jti"], until):
            raise Untrusted("replay", issuer.name)


def _token(header: str) -> str:
    found = _BEARER.fullmatch(header) if len(header) <= _LONGEST else None
    if found is None:
        raise Untrusted("no-bearer-token")
    return found[1]


def _fits(key: Key, algorithm: str) -> bool:
    """Whether a key is of the kind that the algorithm needs, and was not made for another."""
    if key.get("alg", algorithm) != algorithm:
        return False
    if algorithm.startswith("ES"):
        return key.key_type == "EC" and getattr(key, "curve_name", None) == _CURVES[algorithm]
    return key.key_type == "RSA"


def _is_signed_by(signed: jws.CompactSignature, key: Key, algorithm: str) -> bool:
    try:
        return jws.validate_compact(signed, key, registry=_Registry(algorithm))
    except (JoseError, ValueError):
        return False
