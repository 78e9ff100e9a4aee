"""Every exception the package raises, under one base class."""

from __future__ import annotations


class CdsServiceError(Exception):
    """The base class of all errors raised here."""


class SettingError(CdsServiceError):
    """A setting in the environment is wrong; the message names it and the remedy."""


class ContentError(CdsServiceError):
    """A file in `cards/` is wrong; `faults` holds one line per fault."""

    def __init__(self, faults: list[str]) -> None:
        """Keep every fault, so that one run shows them all."""
        super().__init__("; ".join(faults))
        self.faults = faults


class UnitMismatch(CdsServiceError):
    """A value was compared with a threshold of another unit."""


class UnknownUnit(CdsServiceError):
    """A unit is no UCUM unit, or does not measure the quantity in question."""


class Untrusted(CdsServiceError):
    """
    A caller that has not shown who it is.

    `reason` is a short word for the log; the caller learns nothing of it.
    """

    def __init__(self, reason: str, issuer: str | None = None) -> None:
        """Keep the reason, and the name of the issuer if it is one that we know."""
        super().__init__(reason)
        self.reason = reason
        self.issuer = issuer


class Unavailable(CdsServiceError):
    """A part that the answer needs cannot be reached just now; `part` names it."""

    def __init__(self, part: str) -> None:
        """Name the part."""
        super().__init__(part)
        self.part = part


class FetchError(CdsServiceError):
    """
    A document that could not be fetched.

    `kind` is one word of a fixed list, such as *timeout*: it says enough to act upon and nothing
    of what was sent.
    """

    def __init__(self, kind: str) -> None:
        """Keep the kind."""
        super().__init__(kind)
        self.kind = kind


class CallError(CdsServiceError):
    """
    A hook call that cannot be answered with cards.

    `status` is the HTTP status, `issue` the FHIR issue type, `text` a sentence without patient
    data and `diagnostics` the field or prefetch key to correct. `retry_after` is in seconds.
    """

    retry_after: int | None = None

    def __init__(self, status: int, issue: str, text: str, diagnostics: str | None = None) -> None:
        """Describe the refusal for the caller, without repeating anything that was sent."""
        super().__init__(text)
        self.status = status
        self.issue = issue
        self.text = text
        self.diagnostics = diagnostics
