"""
Every connection that we open to others goes through here.

No redirect is followed, no private address contacted unless it was listed, nothing read beyond a
size or a moment.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy

import requests
import urllib3
from requests_hardened import Config, Manager
from requests_hardened.ip_filter import InvalidIPAddress

from cds_service import __version__
from cds_service.errors import FetchError

LARGEST = 20_000_000  # bytes, decompressed: several times the largest chart that we were shown
_PIECE = 65_536
_SHORTEST_WAIT = 0.01  # seconds; a timeout of zero means none to the library

# They log addresses, and an address may hold the id of a patient.
for _library in ("requests_hardened", "urllib3"):
    logging.getLogger(_library).setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came: an HTTP status, the headers that matter, and the body."""

    status: int
    body: bytes = field(repr=False)
    media_type: str = ""
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for; `form` makes it a POST."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: str | None = field(default=None, repr=False)
    private: bool = False


class Egress:
    """Fetches documents; one for a process, since it keeps connections open."""

    def __init__(self) -> None:
        """Make two kinds of sessions: one that refuses private addresses, and one for listed."""
        self._guarded, self._listed = _session(guarded=True), _session(guarded=False)

    def fetch(self, wanted: Wanted, until: float, largest: int = LARGEST) -> Fetched:
        """
        Fetch one document before `until`, a moment of `time.monotonic()`.

        Raises FetchError: *address-refused*, *unreachable*, *timeout*, *cut-off*, *too-large*,
        *redirect*.
        """
        try:
            with self._open(wanted, until) as response:
                if response.is_redirect:
                    raise FetchError("redirect")
                return Fetched(
                    response.status_code,
                    _body(response, until, largest),
                    response.headers.get("Content-Type", ""),
                    response.headers.get("Retry-After"),
                )
        except InvalidIPAddress:
            raise FetchError("address-refused") from None
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            raise FetchError("timeout") from None
        except requests.ConnectionError:
            raise FetchError("unreachable") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError):
            raise FetchError("cut-off") from None

    def _open(self, wanted: Wanted, until: float) -> requests.Response:
        session = self._listed if wanted.private else self._guarded
        return session.request(
            "GET" if wanted.form is None else "POST",
            wanted.url,
            headers=dict(wanted.headers),
            data=wanted.form,
            timeout=max(_SHORTEST_WAIT, until - time.monotonic()),
            allow_redirects=False,
            stream=True,
        )


def _body(response: requests.Response, until: float, largest: int) -> bytes:
    """The body, piece by piece as it comes: a trickle must not outlast the deadline."""
    pieces, size = [], 0
    while True:
        piece = response.raw.read1(_PIECE, decode_content=True)
        if not piece:
            break
        size += len(piece)
        if size > largest:
            raise FetchError("too-large")
        if time.monotonic() > until:
            raise FetchError("timeout")
        pieces.append(piece)
    if response.raw.length_remaining:
        raise FetchError("cut-off")
    return b"".join(pieces)


def _session(*, guarded: bool) -> requests.Session:
    session: requests.Session = Manager(
        Config(
            ip_filter_enable=guarded,
            ip_filter_allow_loopback_ips=False,
            never_redirect=True,
            default_timeout=(1.0, 1.0),
            user_agent_override=f"lam-tsc-cds-service/{__version__}",
        )
    ).get_session()
    session.trust_env = False  # no credentials from a .netrc, no proxy from the environment
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # nobody's session sticks
    if not guarded:
        for scheme in ("http://", "https://"):
            session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=32))
    return session
