"""Which version of FHIR a server speaks: asked once an hour, beside the reads of a call."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from cds_service.errors import FetchError
from cds_service.fhir.client import Server
from cds_service.fhir.versions_read import unread_version

_KEPT = 3600.0  # seconds
_WAIT = 5.0  # seconds that the answer may take, behind the back of the call
_NAMES = {"0": "DSTU1", "1": "DSTU2", "3": "STU3"}


class _Statement(msgspec.Struct):
    """A CapabilityStatement, or a Conformance as DSTU2 called it."""

    fhirVersion: str | None = None


_STATEMENT = msgspec.json.Decoder(_Statement)


@dataclass(frozen=True, slots=True)
class Told:
    """What a server says of its version, or is about to say."""

    answer: Future[str | None]

    def check(self, until: float) -> None:
        """Raise CallError (412) for a version that is not read; wait for the word no longer."""
        try:
            version = self.answer.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            return
        name = _NAMES.get((version or "").partition(".")[0])
        if name:
            raise unread_version(f"{name} ({version})", "fhirServer")


class Versions:
    """What is known of the servers; one for a process."""

    def __init__(self) -> None:
        """Know nothing."""
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="fhir-version")
        self._told: dict[str, tuple[float, Told]] = {}
        self._lock = threading.Lock()

    def ask(self, server: Server, known: str | None) -> Told | None:
        """Ask the server unless its version is known, from the trust file or from before."""
        if known is not None:
            return None
        with self._lock:
            asked, told = self._told.get(server.base, (0.0, None))
            if told is None or time.monotonic() - asked > _KEPT:
                told = Told(self._pool.submit(_version, server))
                self._told[server.base] = (time.monotonic(), told)
            return told


def _version(server: Server) -> str | None:
    """The word of the server; None if there is none. No token is needed to ask, and none sent."""
    address, headers = f"{server.base}/metadata", {"Accept": "application/fhir+json"}
    try:
        got = server.fetch(address, headers, None, time.monotonic() + _WAIT)
        return _STATEMENT.decode(got.body).fhirVersion if got.status == 200 else None
    except (FetchError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
