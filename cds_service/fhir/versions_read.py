"""Which versions of FHIR are read, and how the others are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cds_service.errors import CallError


def refuse_older_version(key: str, content: Mapping[str, Any]) -> None:
    """
    Raise CallError (412) for a Condition as DSTU2 and STU3 write it.

    Its status is a bare word there, and the patient is named by `patient` in DSTU2.
    """
    if content.get("resourceType") == "Condition" and isinstance(
        content.get("clinicalStatus") or content.get("verificationStatus"), str
    ):
        raise unread_version("DSTU2" if "patient" in content else "STU3", f"prefetch key: {key}")


def unread_version(version: str, where: str) -> CallError:
    """The refusal of a version of FHIR that is not read."""
    text = f"The data are FHIR {version}; this service reads R4, R4B and R5."
    return CallError(412, "not-supported", text, where)
