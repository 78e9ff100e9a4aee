"""Reads the trust file, checked by its JSON Schema; a fault stops the start with one line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from cds_service.errors import SettingError
from cds_service.trust.model import FhirServer, Issuer, KeySource, SmartClient, Trust

_RECOMMENDED = frozenset({"ES384", "RS384"})


def load_trust(path: Path) -> Trust:
    """
    Read a trust file.

    Raises SettingError that names the member at fault and what belongs there.
    """
    document = _document(path)
    issuers: dict[str, tuple[Issuer, ...]] = {}
    for entry in document["issuers"]:
        issuer = _issuer(entry, path)
        issuers[issuer.iss] = (*issuers.get(issuer.iss, ()), issuer)
    anonymous = _servers(document.get("anonymous", {}), path)
    trust = Trust(issuers, anonymous)
    _check_that_entries_differ(trust, path)
    return trust


def _document(path: Path) -> Any:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _fault(path, f"cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise _fault(path, f"is not JSON: {error}") from None
    schema = files("cds_service.trust") / "schemas" / "trust.schema.json"
    validator = Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))
    worst = best_match(validator.iter_errors(document))
    if worst is not None:
        place = ".".join(str(part) for part in worst.absolute_path) or "the whole file"
        raise _fault(path, f"{place}: {worst.message}")
    return document


def _issuer(entry: Mapping[str, Any], path: Path) -> Issuer:
    keys = entry["keys"]
    file = path.parent / keys["file"] if "file" in keys else None
    source = KeySource(keys.get("url"), file, keys.get("private", False))
    if source.url:
        _check_transport(source.url, source.private, path)
    return Issuer(
        iss=entry["iss"],
        name=entry["name"],
        keys=source,
        algorithms=frozenset(entry.get("algorithms", _RECOMMENDED)),
        audiences=tuple(entry.get("audiences", ())),
        tenants=frozenset(entry.get("tenants", ())),
        longest_life=entry.get("longest_life_seconds", 3600),
        leeway=entry.get("leeway_seconds", 30),
        refuses_replay=entry.get("refuse_replay", True),
        client_profile=entry.get("client_profile"),
        fhir_servers=_servers(entry, path),
    )


def _servers(entry: Mapping[str, Any], path: Path) -> tuple[FhirServer, ...]:
    servers = []
    for sent in entry.get("fhir_servers", ()):
        private = sent.get("private", False)
        _check_transport(sent["url"], private, path)
        post = sent.get("search") == "post"
        url, smart = sent["url"].rstrip("/"), _smart(sent)
        servers.append(FhirServer(url, sent.get("version"), post, private, smart))
    return tuple(servers)


def _smart(entry: Mapping[str, Any]) -> SmartClient | None:
    sent = entry.get("smart")
    if sent is None:
        return None
    origins, framed_by = tuple(sent.get("origins", ())), tuple(sent.get("framed_by", ()))
    return SmartClient(sent["client_id"], origins, framed_by)


def _check_transport(url: str, private: bool, path: Path) -> None:
    """Tokens and keys travel in the clear only inside a network that was said to be private."""
    if url.startswith("http://") and not private:
        raise _fault(path, f"{url}: write https, or add private for a network of your own")


def _check_that_entries_differ(trust: Trust, path: Path) -> None:
    names = [issuer.name for group in trust.issuers.values() for issuer in group]
    _check_unique(names, "name", path)
    for iss, group in trust.issuers.items():
        if len(group) > 1 and not all(issuer.tenants for issuer in group):
            raise _fault(path, f"{iss}: several entries of one iss each need tenants")
        _check_unique([tenant for issuer in group for tenant in issuer.tenants], "tenant", path)


def _check_unique(values: Iterable[str], what: str, path: Path) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise _fault(path, f"{what} {value!r} stands in two entries")
        seen.add(value)


def _fault(path: Path, text: str) -> SettingError:
    return SettingError(f"CDS_TRUST_FILE={path}: {text}")
