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


class CallError(CdsServiceError):
    """
    A hook call that cannot be answered with cards.

    `status` is the HTTP status, `issue` the FHIR issue type, `text` a sentence without patient
    data and `diagnostics` the field or prefetch key to correct.
    """

    def __init__(self, status: int, issue: str, text: str, diagnostics: str | None = None) -> None:
        """Describe the refusal for the caller, without repeating anything that was sent."""
        super().__init__(text)
        self.status = status
        self.issue = issue
        self.text = text
        self.diagnostics = diagnostics
