"""Reads the JSON and CSV files of `cards/`, and checks each against the schema of its kind."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from cds_service.content.model import Product
from cds_service.domain.snapshot import Sex
from cds_service.domain.spirometry import Coefficients, ReferenceTable

Document = dict[str, Any]

SINGLE_FILES = ("sources", "phrases", "quantities", "code-systems")
FOLDERS = {
    "recommendations": "card",
    "notices": "card",
    "thresholds": "threshold",
    "value_sets": "value-set",
    "acts": "act",
}
REFERENCE_VALUES = {
    "fev1": "reference_values/gli-global-2022-fev1.csv",
    "fev1-fvc": "reference_values/gli-global-2022-fev1-fvc.csv",
}
_PRODUCTS = "drug_products.csv"


class Files:
    """The parsed files of a content folder, with the faults met while reading them."""

    def __init__(self, root: Path) -> None:
        """Read everything at once: a start-up either has all of the content or none."""
        self.root = root
        self.faults: list[str] = []
        self._schemas = {path.name.removesuffix(".schema.json"): self._parse(path)
                         for path in sorted(root.glob("schema/*.schema.json"))}  # fmt: skip
        self.single = {name: self._read(root / f"{name}.json", name) for name in SINGLE_FILES}
        self.folders = {
            folder: dict(self._read_folder(folder, kind)) for folder, kind in FOLDERS.items()
        }
        self.reference_tables = {
            name: self._read_reference_table(path) for name, path in REFERENCE_VALUES.items()
        }
        self.products = self._read_products()
        self.version = _version(root)

    def _read_folder(self, folder: str, kind: str) -> Iterator[tuple[str, Document]]:
        for path in sorted((self.root / folder).glob("*.json")):
            document = self._read(path, kind)
            if document and document.get("id") != path.stem:
                self.fault(path, f"id: must be the name of the file, {path.stem!r}")
            if document:
                yield path.stem, document

    def _read(self, path: Path, kind: str) -> Document:
        """The document, or an empty one after its faults are noted."""
        document = self._parse(path)
        if not document:
            return {}
        errors = sorted(
            Draft202012Validator(self._schemas.get(kind) or {}).iter_errors(document),
            key=lambda error: [str(part) for part in error.path],
        )
        for error in errors:
            where = "/".join(str(part) for part in error.path) or "the whole file"
            self.fault(path, f"{where}: {error.message[:200]}")
        return {} if errors else document

    def _parse(self, path: Path) -> Document:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self.fault(path, "the file is missing")
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            self.fault(path, f"is not JSON: {error}")
        else:
            return document if isinstance(document, dict) else {}
        return {}

    def _read_reference_table(self, name: str) -> ReferenceTable:
        path = self.root / name
        try:
            rows = _rows(path)
            return {sex: _coefficients([r for r in rows if r["sex"] == sex]) for sex in Sex}
        except (OSError, KeyError, ValueError, IndexError) as error:
            self.fault(path, f"cannot be read: {type(error).__name__} {error}")
            return {}

    def _read_products(self) -> list[Product]:
        path = self.root / _PRODUCTS
        try:
            return [_product(row) for row in _rows(path)]
        except (OSError, KeyError, ValueError) as error:
            self.fault(path, f"cannot be read: {type(error).__name__} {error}")
            return []

    def fault(self, path: Path, text: str) -> None:
        """Note one fault: which file, where in it, and what is wrong."""
        self.faults.append(f"cards/{path.relative_to(self.root).as_posix()}: {text}")


def _version(root: Path) -> str:
    """A short digest of all that is read, by name and content."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in (".json", ".csv"):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0")
            digest.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()[:12]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _product(row: Mapping[str, str]) -> Product:
    names = tuple(name.strip() for name in row["ingredients"].split(";"))
    return Product(row["rxnorm"], row["name"], names, row["mg"], row["per"])


def _coefficients(rows: list[Mapping[str, str]]) -> Coefficients:
    first = rows[0]
    return Coefficients(
        m_intercept=float(first["m_intercept"]),
        m_ln_height=float(first["m_ln_height_cm"]),
        m_ln_age=float(first["m_ln_age"]),
        s_intercept=float(first["s_intercept"]),
        s_ln_age=float(first["s_ln_age"]),
        l_intercept=float(first["l_intercept"]),
        l_ln_age=float(first["l_ln_age"]),
        ages=[float(row["age_years"]) for row in rows],
        m_spline=[float(row["m_spline"]) for row in rows],
        s_spline=[float(row["s_spline"]) for row in rows],
    )
