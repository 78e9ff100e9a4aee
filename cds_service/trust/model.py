"""Who is trusted with what: the content of the trust file as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class SmartClient:
    """
    Our registration with an authorisation server.

    `origins` are those beside the FHIR server that the app asks for tokens; `framed_by` those whose
    pages may hold the app in a frame.
    """

    client_id: str
    origins: tuple[str, ...] = ()
    framed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FhirServer:
    """
    A FHIR server that may be read for a caller.

    `version` is stated when the server's own word is not wanted, `post` searches by POST `_search`.
    `private` allows an address of a private or loopback range.
    """

    url: str
    version: str | None = None
    post: bool = False
    private: bool = False
    smart: SmartClient | None = None

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def is_at(self, url: str) -> bool:
        """Whether a caller means this server."""
        return url.rstrip("/") == self.url.rstrip("/")

    def holds(self, url: str) -> bool:
        """Whether an address lies on this server, below its base."""
        asked, own = urlsplit(url), urlsplit(self.url)
        if (asked.scheme, asked.netloc) != (own.scheme, own.netloc):
            return False
        base = own.path.rstrip("/")
        return asked.path == base or (asked.path.startswith(f"{base}/") and ".." not in asked.path)


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where the public keys of an issuer are: at a URL, or in a file."""

    url: str | None = None
    file: Path | None = None
    private: bool = False


@dataclass(frozen=True, slots=True)
class Issuer:
    """
    A caller that signs its calls, or one tenant of such a caller.

    Times are in seconds. `audiences` are accepted beside the URL that was called. Without
    `tenants` every tenant is accepted, and calls without one.
    """

    iss: str
    name: str
    keys: KeySource
    algorithms: frozenset[str]
    audiences: tuple[str, ...] = ()
    tenants: frozenset[str] = frozenset()
    longest_life: int = 3600
    leeway: int = 30
    refuses_replay: bool = True
    client_profile: str | None = None
    fhir_servers: tuple[FhirServer, ...] = ()


@dataclass(frozen=True, slots=True)
class Trust:
    """Everybody who is trusted; `anonymous` are the FHIR servers of callers who sign nothing."""

    issuers: Mapping[str, tuple[Issuer, ...]] = field(default_factory=dict)
    anonymous: tuple[FhirServer, ...] = ()

    def fhir_servers(self) -> tuple[FhirServer, ...]:
        """Every FHIR server of anybody, each once."""
        listed = [issuer.fhir_servers for group in self.issuers.values() for issuer in group]
        return tuple(dict.fromkeys(chain(*listed, self.anonymous)))

    def issuer_of(self, iss: object, tenant: object) -> Issuer | None:
        """The entry that speaks for a token's issuer and tenant."""
        for issuer in self.issuers.get(iss, ()) if isinstance(iss, str) else ():
            if not issuer.tenants or (isinstance(tenant, str) and tenant in issuer.tenants):
                return issuer
        return None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call: an issuer with its tenant, or nobody in particular."""

    name: str
    issuer: Issuer | None = None
    tenant: str | None = None
    fhir_servers: tuple[FhirServer, ...] = ()

    def server_at(self, url: str | None) -> FhirServer | None:
        """The FHIR server that a call names, if this caller may name it."""
        known = (server for server in self.fhir_servers if url and server.is_at(url))
        return next(known, None)


ANONYMOUS = "anonymous"
NOBODY = Caller(ANONYMOUS)  # signs nothing, and names no FHIR server
