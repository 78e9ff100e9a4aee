"""What we compare with: the bare floor, and the naive way of reading FHIR."""

from __future__ import annotations

import gc
import json

import orjson
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.patient import Patient
from flask import Flask, Response, request

_ADDRESS = "/cds-services/<service_id>"
_CARD = {
    "summary": "A fixed card",
    "indicator": "info",
    "source": {"label": "benchmark"},
}
_LAM = {"277844007", "J84.81"}


def floor_app() -> Flask:
    """The bare floor: Flask, one orjson decode, a fixed card."""
    app = Flask("floor")
    card = orjson.dumps({"cards": [_CARD]})

    @app.post(_ADDRESS)
    def call(**_: str) -> Response:
        orjson.loads(request.get_data(cache=False))
        return Response(card, mimetype="application/json")

    return app


def frozen_floor_app() -> Flask:
    """The bare floor with our own trick: start-up objects out of garbage collection."""
    return _frozen(floor_app())


def naive_app() -> Flask:
    """The naive way: every entry of every Bundle becomes a fhir.resources model."""
    app = Flask("naive")

    @app.post(_ADDRESS)
    def call(**_: str) -> Response:
        prefetch = json.loads(request.get_data(cache=False))["prefetch"]
        Patient.model_validate(prefetch["patient"])
        conditions = Bundle.model_validate(prefetch["conditions"]).entry
        observations = Bundle.model_validate(prefetch["observations"]).entry
        body = {"cards": [_CARD] if _has_lam(conditions) and _fev1(observations) else []}
        return Response(orjson.dumps(body), mimetype="application/json")

    return app


def _has_lam(entries: list) -> bool:
    codings = [coding for entry in entries for coding in entry.resource.code.coding]
    return any(coding.code in _LAM for coding in codings)


def _fev1(entries: list) -> list:
    return sorted(
        (entry.resource.effectiveDateTime, entry.resource.valueQuantity.value)
        for entry in entries
        if entry.resource.code.coding[0].code == "20150-9"
    )


def _frozen(app: Flask) -> Flask:
    gc.collect()
    gc.freeze()
    return app
