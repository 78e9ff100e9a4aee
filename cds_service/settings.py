"""The one reader of environment variables: every setting, its default and what it is for."""

from __future__ import annotations

from difflib import get_close_matches
from os import environ
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cds_service.errors import SettingError
from cds_service.hooks.profiles import DEFAULT, PROFILES

PREFIX = "CDS_"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_PROFILE_NAMES = " or ".join(f"`{name}`" for name in PROFILES)
_SIMILAR = 0.85  # a misspelt setting; names given by an orchestrator differ far more


class Settings(BaseSettings):
    """Read from the environment as `CDS_` and the name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=1, le=65535, description="Port to listen on.")
    public_url: str = Field(
        "",
        description="Base URL by which EHRs reach the service; a path in it is a prefix of every "
        "route. Default: `http://HOST:PORT`.",
    )
    client_auth: str = Field(
        "off",
        description="Whether callers must show a signed JWT: `off`. (`optional` and `required` "
        "are not available yet and stop the start.)",
    )
    services: str = Field(
        "all", description="Ids of the services to offer, separated by commas; `all`, or `none`."
    )
    client_profile: str = Field(
        DEFAULT.name,
        description="What the EHR understands of suggestions: " + _PROFILE_NAMES + ".",
    )
    max_cards: int = Field(
        5, ge=2, le=50, description="Most cards in one answer; the last one names what is left out."
    )
    allowed_origins: str = Field(
        "",
        description="Origins of browser clients (CORS), separated by commas; empty for none. For "
        "the public sandbox: `https://sandbox.cds-hooks.org`.",
    )
    max_body_bytes: int = Field(
        10_485_760, ge=1024, description="Largest body accepted; a larger one gets 413."
    )
    advertise_version: bool = Field(
        False, description="Whether discovery names the CDS Hooks version, as 3.0 clients expect."
    )
    demo: str = Field(
        "auto",
        description="Demonstration page with synthetic patients at `/`: `on`, `off`, or `auto` "
        "(on when listening on loopback).",
    )
    workers: int = Field(1, ge=1, le=64, description="Server processes.")
    threads: int = Field(
        4,
        ge=1,
        le=64,
        description="Calls that one process reads at the same time; a client that sends its body "
        "slowly holds up one of them.",
    )
    drain_seconds: int = Field(
        20, ge=1, le=600, description="How long calls under way may take after SIGTERM."
    )
    log_level: str = Field("info", description="`debug`, `info`, `warning` or `error`.")

    @field_validator("client_auth")
    @classmethod
    def _only_off_is_built(cls, value: str) -> str:
        if value in ("optional", "required"):
            raise ValueError(f"{value!r} is not available yet; use off, on a trusted network only")
        return _one_of(value, ("off",))

    @field_validator("client_profile")
    @classmethod
    def _profile_is_known(cls, value: str) -> str:
        return _one_of(value, tuple(PROFILES))

    @field_validator("demo")
    @classmethod
    def _demo_is_known(cls, value: str) -> str:
        return _one_of(value, ("auto", "on", "off"))

    @field_validator("log_level")
    @classmethod
    def _level_is_known(cls, value: str) -> str:
        return _one_of(value, ("debug", "info", "warning", "error"))

    @field_validator("public_url")
    @classmethod
    def _is_base_url(cls, value: str) -> str:
        return _url(value) if value else value

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        for origin in split(value):
            parts = urlsplit(origin)
            known = parts.scheme in ("http", "https")
            if not known or origin != f"{parts.scheme}://{parts.netloc}":
                raise ValueError(
                    f"{origin!r} is no origin; write https://host or https://host:port"
                )
        return value

    @property
    def base_url(self) -> str:
        """The public base URL without a closing slash."""
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.port}"

    @property
    def path_prefix(self) -> str:
        """The path of the base URL, under which all routes hang; empty for none."""
        return urlsplit(self.base_url).path.rstrip("/")

    @property
    def origins(self) -> list[str]:
        """The origins of browser clients."""
        return split(self.allowed_origins)

    @property
    def demo_is_on(self) -> bool:
        """Whether the demonstration page is served."""
        return self.demo == "on" or (self.demo == "auto" and self.host in _LOOPBACK)


def load_settings() -> Settings:
    """
    Read the environment.

    Raises SettingError with one line that names the variable and the remedy.
    """
    _refuse_misspelt()
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = PREFIX + str(first["loc"][0]).upper()
        message = first["msg"].removeprefix("Value error, ")
        raise SettingError(f"{name}={first['input']!r}: {message}") from None


def _refuse_misspelt() -> None:
    """A misspelt setting would be ignored in silence."""
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in environ:
        if name.startswith(PREFIX) and name not in known:
            match = get_close_matches(name, known, n=1, cutoff=_SIMILAR)
            if match:
                raise SettingError(f"{name}: no such setting; did you mean {match[0]}?")


def split(value: str) -> list[str]:
    """The parts of a list separated by commas."""
    return [part.strip() for part in value.split(",") if part.strip()]


def _one_of(value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"expected {' or '.join(known)}")
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError("expected a URL such as https://cds.example.org/lam")
    return value
