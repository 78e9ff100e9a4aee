"""Settings from the environment: defaults, clear refusals, and a complete table in the README."""

from __future__ import annotations

import re

import pytest
from pydantic import SecretStr

from cds_service.environment import load_settings
from cds_service.errors import SettingError
from cds_service.settings import PREFIX, Settings
from tests.support import ROOT


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    import os

    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CDS_CLIENT_AUTH", "off")


def test_defaults_serve_on_loopback():
    settings = load_settings()
    assert (settings.base_url, settings.path_prefix) == ("http://127.0.0.1:8080", "")
    assert settings.demo_is_on
    assert settings.origins == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CDS_PORT", "0", "greater than or equal to 1"),
        ("CDS_PORT", "http", "integer"),
        ("CDS_MAX_CARDS", "1", "greater than or equal to 2"),
        ("CDS_MAX_BODY_BYTES", "10", "1024"),
        ("CDS_CLIENT_AUTH", "no", "expected required or optional or off"),
        ("CDS_RATE_LIMIT", "often", "expected a rate"),
        ("CDS_TRACES", "on", "expected off or otlp"),
        ("CDS_DEADLINE_MS", "5", "greater than or equal to 50"),
        ("CDS_PUBLIC_URL", "cds.example.org", "expected a URL"),
        ("CDS_PUBLIC_URL", "https://x/?a=1", "expected a URL"),
        ("CDS_ALLOWED_ORIGINS", "*", "no origin"),
        ("CDS_ALLOWED_ORIGINS", "https://a.org/path", "no origin"),
        ("CDS_CLIENT_PROFILE", "cerner", "expected hl7-2.0 or hl7-1.0 or epic or sandbox"),
        ("CDS_DEMO", "yes", "expected auto or on or off"),
        ("CDS_LOG_LEVEL", "loud", "expected debug"),
        ("CDS_WORKERS", "0", "greater than or equal to 1"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(monkeypatch, name, value, words):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError) as caught:
        load_settings()
    message = str(caught.value)
    assert message.startswith(f"{name}={value!r}: ")
    assert words in message
    assert "\n" not in message


def test_a_misspelt_setting_is_found(monkeypatch):
    monkeypatch.setenv("CDS_MAX_CARD", "3")
    with pytest.raises(
        SettingError, match="CDS_MAX_CARD: no such setting; did you mean CDS_MAX_CARDS"
    ):
        load_settings()


def test_names_of_an_orchestrator_are_let_be(monkeypatch):
    monkeypatch.setenv("CDS_SERVICE_PORT_8080_TCP", "tcp://10.0.0.1:8080")
    monkeypatch.setenv("CDS_SERVICE_SERVICE_HOST", "10.0.0.1")
    assert load_settings().port == 8080


def test_values_are_read(monkeypatch):
    monkeypatch.setenv("CDS_PUBLIC_URL", "https://cds.example.org/v1/lam/")
    monkeypatch.setenv("CDS_ALLOW_UNAUTHENTICATED", "true")
    monkeypatch.setenv("CDS_ALLOWED_ORIGINS", "https://a.org, http://localhost:3000")
    settings = load_settings()
    assert settings.base_url == "https://cds.example.org/v1/lam"
    assert settings.path_prefix == "/v1/lam"
    assert settings.origins == ["https://a.org", "http://localhost:3000"]


@pytest.mark.parametrize("auth", ["required", "optional"])
def test_callers_that_must_sign_must_be_known(monkeypatch, auth):
    monkeypatch.setenv("CDS_CLIENT_AUTH", auth)
    with pytest.raises(SettingError, match="CDS_TRUST_FILE: missing"):
        load_settings()


def test_callers_must_sign_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("CDS_CLIENT_AUTH")
    with pytest.raises(SettingError, match="CDS_TRUST_FILE: missing"):
        load_settings()


@pytest.mark.conformance("C137")
@pytest.mark.parametrize(
    ("name", "value"),
    [("CDS_HOST", "0.0.0.0"), ("CDS_HOST", "10.0.0.5"), ("CDS_HOST", "::"),
     ("CDS_PUBLIC_URL", "https://cds.example.org")],
)  # fmt: skip
def test_open_to_the_network_must_be_said_twice(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match="add CDS_ALLOW_UNAUTHENTICATED=true"):
        load_settings()
    monkeypatch.setenv("CDS_ALLOW_UNAUTHENTICATED", "true")
    assert not load_settings().is_local


def test_a_secret_is_never_repeated(monkeypatch):
    for name in ("CDS_DATABASE_URL", "CDS_REDIS_URL", "CDS_REPORTS_PASSWORD"):
        monkeypatch.setenv(name, "s3cret")
    assert "s3cret" not in repr(load_settings())
    monkeypatch.setenv("CDS_COMMENT_KEYS", "s3cret")
    with pytest.raises(SettingError, match=r"^CDS_COMMENT_KEYS: expected Fernet keys") as caught:
        load_settings()
    assert "s3cret" not in str(caught.value)


def test_the_table_of_settings_is_complete():
    """Every setting has a row in the README, with its default and its meaning."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(CDS_\w+)` \| (.*) \|$", text, re.MULTILINE))
    expected = {}
    for name, field in Settings.model_fields.items():
        value = field.default
        value = value.get_secret_value() if isinstance(value, SecretStr) else value
        default = f"`{str(value).lower() if isinstance(value, bool) else value}`"
        shown = default if value not in ("", None) else "empty"
        expected[PREFIX + name.upper()] = f"{shown} | {field.description}"
    assert rows == expected
