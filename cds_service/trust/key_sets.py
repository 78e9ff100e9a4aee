"""The public keys of issuers: cached, fetched again with restraint, stale rather than absent."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, RSAKey, import_key

from cds_service.errors import FetchError, Untrusted
from cds_service.trust.egress import Egress, Wanted
from cds_service.trust.model import Issuer, KeySource, Trust

log = logging.getLogger(__name__)

FRESH = 3600.0  # seconds after which a set is fetched again, while its keys go on being used
STALEST = 86_400.0  # seconds after which a set that cannot be fetched is not trusted any more
PAUSE = 60.0  # seconds between two attempts for one issuer, whatever is asked
_WAIT = 3.0  # seconds that a fetch may take
_LARGEST = 1_000_000  # bytes
_MOST_KEYS = 100
_SHORTEST_RSA = 2048  # bits

Read = Callable[[KeySource], bytes]


class KeySets:
    """The key sets of all issuers; `read` and `now` let tests stand in for the network."""

    def __init__(self, trust: Trust, read: Read, now: Callable[[], float] = time.monotonic) -> None:
        """Make an empty set for every issuer; the first token fills it."""
        everybody = [issuer for group in trust.issuers.values() for issuer in group]
        self._sets = {issuer.name: KeySet(issuer, read, now) for issuer in everybody}

    def key(self, issuer: Issuer, kid: str) -> Key:
        """
        The public key of that id.

        Raises Untrusted when the issuer has no such key, or its keys cannot be had.
        """
        return self._sets[issuer.name].key(kid)

    def states(self) -> Mapping[str, str]:
        """Of each issuer: *fresh*, *stale*, *empty*, or *not asked yet*."""
        return {name: keys.state() for name, keys in self._sets.items()}


class KeySet:
    """The keys of one issuer."""

    def __init__(self, issuer: Issuer, read: Read, now: Callable[[], float]) -> None:
        """Start without keys."""
        self._issuer, self._read, self._now = issuer, read, now
        self._keys: Mapping[str, Key] = {}
        self._fetched: float | None = None
        self._tried: float | None = None
        self._lock = threading.Lock()

    def key(self, kid: str) -> Key:
        """The key of that id; an unknown one is looked for once, then not again for a while."""
        key = self._usable().get(kid)
        if key is None:
            self._refresh(unless=kid)
            key = self._usable().get(kid)
        elif self._age() > FRESH and self._may_try():
            threading.Thread(target=self._refresh, daemon=True).start()
        if key is None:
            raise Untrusted("unknown-key" if self._keys else "no-keys", self._issuer.name)
        return key

    def state(self) -> str:
        """In a word, for `/health`."""
        if self._tried is None:
            return "not asked yet"
        if not self._usable():
            return "empty"
        return "fresh" if self._age() <= FRESH + PAUSE else "stale"

    def _usable(self) -> Mapping[str, Key]:
        return self._keys if self._age() <= STALEST else {}

    def _age(self) -> float:
        return STALEST + 1 if self._fetched is None else self._now() - self._fetched

    def _may_try(self) -> bool:
        return self._tried is None or self._now() - self._tried >= PAUSE

    def _refresh(self, unless: str | None = None) -> None:
        """Fetch once, however many calls wait for it."""
        with self._lock:
            if (unless is not None and unless in self._usable()) or not self._may_try():
                return
            self._tried = self._now()
            try:
                self._keys = parse_keys(self._read(self._issuer.keys))
                self._fetched = self._now()
            except (FetchError, OSError, ValueError) as error:
                kind = error.kind if isinstance(error, FetchError) else type(error).__name__
                fields = {"issuer": self._issuer.name, "problem": kind}
                log.error("key set not fetched", extra={"fields": fields})


def reader(egress: Egress) -> Read:
    """Reads key sets from their files, or from their addresses through `egress`."""

    def read(source: KeySource) -> bytes:
        if source.file is not None:
            return source.file.read_bytes()
        wanted = Wanted(source.url or "", {"Accept": "application/json"}, private=source.private)
        fetched = egress.fetch(wanted, time.monotonic() + _WAIT, _LARGEST)
        if fetched.status != 200:
            raise FetchError(f"status-{fetched.status}")
        return fetched.body

    return read


def parse_keys(body: bytes) -> dict[str, Key]:
    """
    The asymmetric keys of a JWK Set that have an id; others are left out.

    Raises ValueError for what is no JWK Set, and when no key is left: an error page must not
    replace the keys that we have.
    """
    document = msgspec.json.decode(body)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("no JWK Set")  # noqa: TRY004 - what came is wrong, not our call
    found: dict[str, Key] = {}
    for entry in listed[:_MOST_KEYS]:
        key = _key(entry)
        if key is not None:
            found.setdefault(entry["kid"], key)
    if not found:
        raise ValueError("no usable key")
    return found


def _key(entry: Any) -> Key | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
        return None
    if entry.get("kty") not in ("EC", "RSA") or entry.get("use", "sig") != "sig":
        return None
    try:
        public = {k: v for k, v in entry.items() if k not in ("d", "p", "q", "dp", "dq", "qi")}
        key = import_key(public)
        return key if _is_strong(key) else None
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _is_strong(key: Key) -> bool:
    if isinstance(key, RSAKey):
        return key.public_key.key_size >= _SHORTEST_RSA
    return isinstance(key, ECKey) and key.curve_name in ("P-256", "P-384", "P-521")
