"""Remembers which tokens were used: in this process, or in Redis for all of them."""

from __future__ import annotations

import hashlib
import heapq
import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

import redis

from cds_service.errors import Unavailable

log = logging.getLogger(__name__)
_PREFIX = "lam-tsc-cds:jti:"
_WAIT = 0.25  # seconds


class Memory(Protocol):
    """Where used tokens are remembered."""

    def is_first_use(self, iss: str, jti: str, until: int) -> bool:
        """Whether the pair is new; it is remembered until that Unix time."""

    def state(self) -> str:
        """In a word, for `/health`."""


class ProcessMemory:
    """Remembers in this process: enough for one process, and lost when it ends."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """Start with nothing."""
        self._now = now
        self._until: list[tuple[int, bytes]] = []
        self._seen: set[bytes] = set()
        self._lock = threading.Lock()

    def is_first_use(self, iss: str, jti: str, until: int) -> bool:
        """Whether the pair is new; what has expired is forgotten."""
        name = _name(iss, jti)
        with self._lock:
            while self._until and self._until[0][0] < self._now():
                self._seen.discard(heapq.heappop(self._until)[1])
            if name in self._seen:
                return False
            self._seen.add(name)
            heapq.heappush(self._until, (until, name))
            return True

    def state(self) -> str:
        """In a word."""
        return "per process"


class RedisMemory:
    """Remembers in Redis, for several processes and machines."""

    def __init__(self, url: str, now: Callable[[], float] = time.time) -> None:
        """Connect when first asked."""
        self._now = now
        self._redis = redis.Redis.from_url(
            url, socket_timeout=_WAIT, socket_connect_timeout=_WAIT, health_check_interval=30
        )

    def is_first_use(self, iss: str, jti: str, until: int) -> bool:
        """
        Whether the pair is new, to all who share this Redis.

        Raises Unavailable when Redis does not answer: then nobody is let in.
        """
        seconds = max(1, until - int(self._now()) + 1)
        try:
            key = _PREFIX + _name(iss, jti).hex()
            return bool(self._redis.set(key, b"1", nx=True, ex=seconds))
        except redis.RedisError as error:
            fields = {"error": type(error).__name__}
            log.error("Redis unavailable: callers are refused", extra={"fields": fields})
            raise Unavailable("redis") from None

    def state(self) -> str:
        """In a word; asks Redis."""
        try:
            self._redis.ping()
        except redis.RedisError:
            return "unavailable"
        return "shared"


def _name(iss: str, jti: str) -> bytes:
    """A short name of fixed length: a jti may be as long as a token."""
    return hashlib.sha256(f"{iss}\0{jti}".encode("utf-8", "surrogatepass")).digest()
