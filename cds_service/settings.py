"""Every setting, its default and what it is for."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from limits import parse as parse_rate
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cds_service.hooks.profiles import DEFAULT, PROFILES

PREFIX = "CDS_"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_PROFILE_NAMES = " or ".join(f"`{name}`" for name in PROFILES)


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
        "required",
        description="Whether callers must show a signed JWT: `required`; `optional`, which checks "
        "those that are shown; or `off`.",
    )
    allow_unauthenticated: bool = Field(
        False,
        description="Must be `true` for `CDS_CLIENT_AUTH` other than `required` where the service "
        "is reached from other machines: said twice, since anybody may then ask.",
    )
    trust_file: Path | None = Field(
        None,
        description="JSON file of who may call, with which keys, and which FHIR servers are read "
        "for whom (`docs/onboarding-an-ehr.md`). Needed unless `CDS_CLIENT_AUTH` is `off`.",
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Redis in which workers and machines share used tokens and rate limits, such "
        "as `redis://:password@host:6379/0`. Default: each process on its own.",
    )
    rate_limit: str = Field(
        "1200 per minute",
        description="Most calls of one signing issuer, or of each of its tenants, in the words of "
        "the `limits` library; more get 429.",
    )
    deadline_ms: int = Field(
        450,
        ge=50,
        le=10_000,
        description="Time in milliseconds from the arrival of a call until it stops waiting for "
        "the FHIR server.",
    )
    database_url: SecretStr = Field(
        SecretStr("sqlite:///cds-service.db"),
        description="Where feedback is kept: `sqlite:///PATH`, or "
        "`postgresql+psycopg://USER:PASSWORD@HOST/NAME`.",
    )
    comment_keys: SecretStr | None = Field(
        None,
        description="Fernet keys, separated by commas, that encrypt the comments in feedback: the "
        "first one encrypts, all of them decrypt. Without one, comments are kept as they come.",
    )
    retention_days: int = Field(
        730,
        ge=1,
        description="Days after which feedback, and what was shown, are deleted.",
    )
    reports_password: SecretStr | None = Field(
        None,
        description="Password of `/reports/feedback` and `/metrics` (HTTP Basic, any user name). "
        "Without one they are open on loopback and closed elsewhere.",
    )
    audit_file: Path | None = Field(
        None,
        description="File to which one line per call is appended, for the record. The log tells "
        "the same.",
    )
    traces: str = Field(
        "off",
        description="`otlp` sends traces where the `OTEL_` variables say (needs the `tracing` "
        "extra); or `off`.",
    )
    services: str = Field(
        "all", description="Ids of the services to offer, separated by commas; `all`, or `none`."
    )
    client_profile: str = Field(
        DEFAULT.name,
        description="What the EHR understands of suggestions: "
        + _PROFILE_NAMES
        + "; for callers of "
        "whom the trust file does not say it.",
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
        "(on when only this machine reaches the service).",
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
    def _auth_is_known(cls, value: str) -> str:
        return _one_of(value, ("required", "optional", "off"))

    @field_validator("traces")
    @classmethod
    def _traces_are_known(cls, value: str) -> str:
        return _one_of(value, ("off", "otlp"))

    @field_validator("rate_limit")
    @classmethod
    def _is_rate(cls, value: str) -> str:
        try:
            parse_rate(value)
        except ValueError:
            raise ValueError("expected a rate such as 1200 per minute") from None
        return value

    @field_validator("comment_keys")
    @classmethod
    def _are_keys(cls, value: SecretStr | None) -> SecretStr | None:
        for key in split(value.get_secret_value()) if value else ():
            try:
                Fernet(key)
            except ValueError:
                raise ValueError("expected Fernet keys: 32 bytes in URL-safe base64") from None
        return value

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
    def is_local(self) -> bool:
        """Whether only this machine reaches the service, also through a proxy in front of it."""
        return self.host in _LOOPBACK and urlsplit(self.base_url).hostname in _LOOPBACK

    @property
    def demo_is_on(self) -> bool:
        """Whether the demonstration page is served."""
        return self.demo == "on" or (self.demo == "auto" and self.is_local)

    @property
    def keys_for_comments(self) -> list[str]:
        """The Fernet keys, the one that encrypts first."""
        return split(self.comment_keys.get_secret_value()) if self.comment_keys else []


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
