"""Who is calling: each route asks here before it does anything."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from hmac import compare_digest

import limits
import limits.errors
import redis
from flask import Response, request

from cds_service.errors import CallError, SettingError, Untrusted
from cds_service.settings import Settings
from cds_service.trust.client_jwt import JwtVerifier
from cds_service.trust.egress import Egress
from cds_service.trust.file import load_trust
from cds_service.trust.key_sets import KeySets, reader
from cds_service.trust.model import ANONYMOUS, Caller, Trust
from cds_service.trust.replay import Memory, ProcessMemory, RedisMemory
from cds_service.web.logs import note

log = logging.getLogger(__name__)


class Guard:
    """Lets callers in by the settings and the trust file."""

    def __init__(self, settings: Settings, egress: Egress) -> None:
        """Read the trust file. Raises SettingError."""
        self.trust = load_trust(settings.trust_file) if settings.trust_file else Trust()
        self.key_sets = KeySets(self.trust, reader(egress))
        _check_key_files(self.key_sets, self.trust)
        url = settings.redis_url.get_secret_value() if settings.redis_url else None
        self.replay: Memory = RedisMemory(url) if url else ProcessMemory()
        self._verifier = JwtVerifier(self.trust, self.key_sets, self.replay)
        self._auth, self._base_url = settings.client_auth, settings.base_url
        self._limiter = Limiter(settings.rate_limit, url)
        if not url and settings.workers > 1 and self._auth != "off":
            log.warning("workers do not share used tokens: set CDS_REDIS_URL")

    def caller(self, *paths: str) -> Caller:
        """
        Who makes this call to one of the `paths`, within their rate.

        Raises Untrusted, Unavailable, or CallError (429).
        """
        caller = self._identified(paths)
        note(issuer=caller.name)
        if caller.issuer is not None:
            self._limiter.check(caller)
        return caller

    def check_discovery(self, path: str) -> None:
        """Discovery is open, but a token that is shown must be good. Raises Untrusted."""
        if "Authorization" in request.headers and self._auth != "off":
            self._identified((path,))

    def _identified(self, paths: tuple[str, ...]) -> Caller:
        header = request.headers.get("Authorization")
        if self._auth == "off" or (self._auth == "optional" and header is None):
            return Caller(ANONYMOUS, fhir_servers=self.trust.anonymous)
        return self._verifier.verify(header or "", [self._base_url + path for path in paths])


class Limiter:
    """Counts calls of each issuer and tenant, in Redis if there is one."""

    def __init__(self, rate: str, redis_url: str | None) -> None:
        """Read the rate."""
        self._rate = limits.parse(rate)
        place = redis_url or "memory://"
        options = {"socket_timeout": 0.25, "socket_connect_timeout": 0.25} if redis_url else {}
        storage = limits.storage.storage_from_string(place, **options)
        self._counter = limits.strategies.FixedWindowRateLimiter(storage)

    def check(self, caller: Caller) -> None:
        """Raise CallError (429) when a caller asks too often; without Redis nobody is held back."""
        who = (caller.name, caller.tenant or "")
        try:
            if self._counter.hit(self._rate, *who):
                return
            until = self._counter.get_window_stats(self._rate, *who).reset_time
        except (redis.RedisError, limits.errors.StorageError):
            log.error("rate limit not checked: Redis unavailable")
            return
        refusal = CallError(
            429, "throttled", "Too many calls; try again in a while.", f"limit: {self._rate}"
        )
        refusal.retry_after = max(1, math.ceil(until - time.time()))
        raise refusal


def _check_key_files(key_sets: KeySets, trust: Trust) -> None:
    """A key file that is missing or broken stops the start; an address may be down for a while."""
    for group in trust.issuers.values():
        for issuer in group:
            if issuer.keys.file is not None:
                try:
                    key_sets.key(issuer, "")
                except Untrusted as error:
                    if error.reason == "no-keys":
                        raise SettingError(
                            f"CDS_TRUST_FILE: keys.file of {issuer.name} holds no usable key: "
                            f"{issuer.keys.file}"
                        ) from None


def password_check(settings: Settings) -> Callable[[], Response | None]:
    """What guards pages for the people who run the service; None lets the request through."""
    password = settings.reports_password

    def check() -> Response | None:
        given = request.authorization.password if request.authorization else None
        if password is None:
            if settings.is_local:
                return None
        elif given and compare_digest(given.encode(), password.get_secret_value().encode()):
            return None
        return Response(status=401, headers={"WWW-Authenticate": 'Basic realm="cds-service"'})

    return check
