"""Settings from the environment: defaults, clear refusals, and a complete table in the README."""

from __future__ import annotations

import re

import pytest

from cds_service.errors import SettingError
from cds_service.settings import PREFIX, Settings, load_settings
from tests.support import ROOT


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    import os

    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


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
        ("CDS_CLIENT_AUTH", "required", "not available yet"),
        ("CDS_CLIENT_AUTH", "optional", "not available yet"),
        ("CDS_CLIENT_AUTH", "no", "expected off"),
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
    monkeypatch.setenv("CDS_ALLOWED_ORIGINS", "https://a.org, http://localhost:3000")
    settings = load_settings()
    assert settings.base_url == "https://cds.example.org/v1/lam"
    assert settings.path_prefix == "/v1/lam"
    assert settings.origins == ["https://a.org", "http://localhost:3000"]


def test_the_table_of_settings_is_complete():
    """Every setting has a row in the README, with its default and its meaning."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(CDS_\w+)` \| (.*) \|$", text, re.MULTILINE))
    expected = {}
    for name, field in Settings.model_fields.items():
        default = (
            f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
        )
        shown = default if field.default != "" else "empty"
        expected[PREFIX + name.upper()] = f"{shown} | {field.description}"
    assert rows == expected
