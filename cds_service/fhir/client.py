"""Reads from a FHIR server with the caller's token: in parallel, politely, within a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Protocol
from urllib.parse import urljoin

import msgspec
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)
from tenacity.stop import stop_base

from cds_service.errors import FetchError
from cds_service.fhir import wire
from cds_service.fhir.prefetch import next_link

_MOST_PAGES = 20
_ATTEMPTS = 4
_THREADS = 40  # reads of one server under way in one process
_LINKS = msgspec.json.Decoder(wire.RawBundle)
_NOT_FHIR = ("text/html", "text/plain", "application/xhtml")
_KINDS = {401: "not-allowed", 403: "not-allowed", 404: "not-found", 410: "not-found",
          412: "refused", 429: "busy", 503: "busy"}  # fmt: skip


class Response(Protocol):
    """What fetching gives: an HTTP status, the body and two headers."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def body(self) -> bytes:
        """Body, decompressed."""

    @property
    def media_type(self) -> str:
        """Content-Type."""

    @property
    def retry_after(self) -> str | None:
        """Retry-After, as it came."""


# url, headers, form of a POST or None, moment to give up -> what came; raises FetchError
Fetch = Callable[[str, Mapping[str, str], str | None, float], Response]


@dataclass(frozen=True, slots=True)
class Query:
    """A read or search below the base of a server, such as `Condition?patient=1`."""

    path: str
    post: bool = False

    @property
    def is_search(self) -> bool:
        """Whether it asks for a Bundle."""
        return "?" in self.path


@dataclass(frozen=True, slots=True)
class Read:
    """
    What came for one query: the pages as they came, and why there are no more.

    `problem` is None when everything came. With pages and a problem, what came is a beginning.
    """

    pages: tuple[bytes, ...] = field(default=(), repr=False)
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """One server as one caller may read it; `holds` tells whether an address lies on it."""

    base: str
    token: str | None = field(repr=False)
    holds: Callable[[str], bool]
    fetch: Fetch = field(repr=False)


class _Busy(Exception):
    """The server asks to come back later; `after` is when, in seconds, if it says so."""

    def __init__(self, after: float | None) -> None:
        super().__init__()
        self.after = after


class FhirClient:
    """
    Reads queries; one for a process, since it keeps threads.

    Each server has threads of its own: one that hangs must not hold up the patients of another.
    """

    def __init__(self) -> None:
        """Make the threads when they are needed."""
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()

    def read(
        self,
        server: Server,
        queries: Mapping[str, Query],
        links: Mapping[str, str],
        until: float,
    ) -> dict[str, Read]:
        """
        Read all queries, and what follows first pages by their links, at the same time.

        `until` is a moment of `time.monotonic()`. Never raises for what a server does: what did
        not come has a `problem`.
        """
        jobs = {key: _Job(server, *_address(server, query)) for key, query in queries.items()}
        jobs |= {key: _Job(server, url) for key, url in links.items()}
        pool = self._pool_of(server)
        running = {key: pool.submit(job.run, until) for key, job in jobs.items()}
        wait(running.values(), timeout=max(0.0, until - time.monotonic()))
        return {key: job.read(running[key]) for key, job in jobs.items()}

    def _pool_of(self, server: Server) -> ThreadPoolExecutor:
        with self._lock:
            pool = self._pools.get(server.base)
            if pool is None:
                pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="fhir")
                self._pools[server.base] = pool
            return pool


def _address(server: Server, query: Query) -> tuple[str, str | None]:
    """Where a query goes, and the form it carries."""
    path, _, parameters = query.path.partition("?")
    if query.post and parameters:
        return f"{server.base}/{path}/_search", parameters
    return f"{server.base}/{query.path}", None


@dataclass(slots=True)
class _Job:
    """A resource, or a Bundle with all that follow it; what came so far can be had at any time."""

    server: Server
    url: str
    form: str | None = None
    pages: list[bytes] = field(default_factory=list)

    def run(self, until: float) -> str | None:
        """Read to the end; the problem, if there is one."""
        seen: set[str] = set()
        address: str | None = self.url
        try:
            while address is not None:
                self._check(address, seen)
                seen.add(address)
                body = _patiently(self.server, address, self.form, until)
                address, self.form = _following(body, address), None
                self.pages.append(body)
        except FetchError as error:
            return error.kind
        return None

    def read(self, running: Future[str | None]) -> Read:
        """What came; what is still under way is given up."""
        running.cancel()
        problem = running.result() if running.done() and not running.cancelled() else "timeout"
        return Read(tuple(self.pages), problem)

    def _check(self, address: str, seen: set[str]) -> None:
        if len(self.pages) == _MOST_PAGES or address in seen:
            raise FetchError("endless-pages")
        if not self.server.holds(address):
            raise FetchError("foreign-page")


def _following(body: bytes, address: str) -> str | None:
    """The address of the next page, if there is one."""
    try:
        link = next_link(_LINKS.decode(body))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None  # no Bundle; what it is instead is for the reader of the pages to say
    return urljoin(address, link) if link else None


def _patiently(server: Server, url: str, form: str | None, until: float) -> bytes:
    """One document; a busy server is asked again after as long as it says, if there is time."""
    attempts = Retrying(
        retry=retry_if_exception_type(_Busy),
        wait=_as_long_as_asked,
        stop=stop_after_attempt(_ATTEMPTS) | _before(until),
        reraise=True,
    )
    try:
        return attempts(_fetch, server, url, form, until)
    except _Busy:
        raise FetchError("busy") from None


def _fetch(server: Server, url: str, form: str | None, until: float) -> bytes:
    headers = {"Accept": "application/fhir+json"}
    if server.token is not None:
        headers["Authorization"] = f"Bearer {server.token}"
    if form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    got = server.fetch(url, headers, form, until)
    if got.status in (429, 503):
        raise _Busy(_seconds(got.retry_after))
    if got.status != 200:
        raise FetchError(_KINDS.get(got.status, "server-error"))
    if got.media_type.lower().startswith(_NOT_FHIR) or not got.body.lstrip().startswith(b"{"):
        raise FetchError("not-fhir")
    return got.body


def _seconds(retry_after: str | None) -> float | None:
    """Seconds of a Retry-After header, which may be a number or a date."""
    if not retry_after:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


_BACKOFF = wait_random_exponential(multiplier=0.05, max=1.0)


def _as_long_as_asked(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    after = error.after if isinstance(error, _Busy) else None
    return _BACKOFF(state) if after is None else after


class _before(stop_base):  # noqa: N801 - a condition, written like those of the library
    """Stop when the next attempt would come too late."""

    def __init__(self, until: float) -> None:
        self._until = until

    def __call__(self, retry_state: RetryCallState) -> bool:
        return time.monotonic() + (retry_state.upcoming_sleep or 0.0) >= self._until
