"""The one reader of environment variables; a wrong or misspelt one stops the start."""

from __future__ import annotations

from difflib import get_close_matches
from os import environ
from pathlib import Path

from pydantic import ValidationError

from cds_service.errors import SettingError
from cds_service.settings import PREFIX, Settings

_SECRET = ("redis_url", "database_url", "comment_keys", "reports_password")  # never repeated
_SIMILAR = 0.85  # a misspelt setting; names given by an orchestrator differ far more


def load_settings() -> Settings:
    """
    Read the environment, and hold what guards the service against where it listens.

    Raises SettingError with one line that names the variable and the remedy.
    """
    settings = read_settings()
    check_trust(settings)
    return settings


def read_settings() -> Settings:
    """Read the environment, for what opens no port. Raises SettingError."""
    _refuse_misspelt()
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = str(first["loc"][0])
        message = first["msg"].removeprefix("Value error, ")
        shown = "" if field in _SECRET else f"={first['input']!r}"
        raise SettingError(f"{PREFIX}{field.upper()}{shown}: {message}") from None


def check_trust(settings: Settings) -> None:
    """
    Hold what guards the service against where it listens.

    Raises SettingError when anybody could call and that was not said twice, or when callers must
    sign and nobody is known.
    """
    auth = settings.client_auth
    if auth != "off" and settings.trust_file is None:
        raise SettingError(
            f"CDS_TRUST_FILE: missing, and CDS_CLIENT_AUTH is {auth}; write who may call, or set "
            "CDS_CLIENT_AUTH=off on a machine of your own"
        )
    if auth != "required" and not settings.is_local and not settings.allow_unauthenticated:
        raise SettingError(
            f"CDS_CLIENT_AUTH={auth!r}: anybody who reaches {settings.base_url} could call; use "
            "required, or add CDS_ALLOW_UNAUTHENTICATED=true"
        )


def shared_metrics() -> Path | None:
    """The folder in which several processes add up their metrics, if there is one."""
    folder = environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder) if folder else None


def share_metrics_in(folder: str) -> None:
    """Have the processes that are started from now on add up their metrics in a folder."""
    environ["PROMETHEUS_MULTIPROC_DIR"] = folder


def _refuse_misspelt() -> None:
    """A misspelt setting would be ignored in silence."""
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in environ:
        if name.startswith(PREFIX) and name not in known:
            match = get_close_matches(name, known, n=1, cutoff=_SIMILAR)
            if match:
                raise SettingError(f"{name}: no such setting; did you mean {match[0]}?")
