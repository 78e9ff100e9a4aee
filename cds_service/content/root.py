"""Where `cards/` and `fixtures/` are: in the wheel, or beside the package in a checkout."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def cards_root() -> Path:
    """The folder of the clinical content."""
    return _root("cards")


def fixtures_root() -> Path:
    """The folder of the synthetic patients."""
    return _root("fixtures")


def _root(name: str) -> Path:
    package = Path(str(files("cds_service")))
    bundled = package / name
    return bundled if bundled.is_dir() else package.parent / name
