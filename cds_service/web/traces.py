"""Optional OpenTelemetry traces: one span per call, and one for the wait for the FHIR server."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Any

from flask import Response, request

from cds_service import __version__
from cds_service.errors import SettingError
from cds_service.web.logs import Call, Observer


def observer(setting: str, provider: Any = None) -> Observer | None:
    """
    What sends a span for each call; None when traces are off.

    Spans are made once a call is answered, out of the same fields as the log line: no library
    looks at addresses or bodies, which hold ids of patients. `provider` is for tests.
    Raises SettingError when the libraries are not installed.
    """
    if setting == "off":
        return None
    check(setting)
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

    tracer = (provider or _provider()).get_tracer("cds_service", __version__)

    def observe(call: Call, response: Response, route: str) -> None:
        end = time.time_ns()
        start = end - int(call.seconds * 1e9)
        attributes = {
            "http.request.method": request.method,
            "http.route": route,
            "http.response.status_code": response.status_code,
            "cds.correlation_id": call.id,
            **_attributes(call),
        }
        span = tracer.start_span(
            f"{request.method} {route}",
            extract({name.lower(): value for name, value in request.headers}),
            SpanKind.SERVER,
            attributes,
            start_time=start,
        )
        if "fhirMs" in call.fields:
            child = tracer.start_span(
                "read FHIR server", set_span_in_context(span), SpanKind.CLIENT,
                {"cds.keys": list(call.fields.get("fhirRead", ())),
                 "cds.problems": list(call.fields.get("fhirProblems", {}).values())},
                start_time=start,
            )  # fmt: skip
            child.end(start + int(call.fields["fhirMs"] * 1e6))
        if response.status_code >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)

    return observe


def check(setting: str) -> None:
    """Raise SettingError when traces are wanted and the libraries are not installed."""
    if setting != "off" and find_spec("opentelemetry") is None:
        raise SettingError(
            "CDS_TRACES='otlp': the libraries are missing; pip install 'lam-tsc-cds-service"
            "[tracing]'"
        )


def _attributes(call: Call) -> dict[str, Any]:
    wanted = {"issuer": "cds.issuer", "service": "cds.service", "recommended": "cds.recommended"}
    return {name: call.fields[key] for key, name in wanted.items() if key in call.fields}


def _provider() -> Any:
    """Sends in batches where the `OTEL_` variables say."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": "lam-tsc-cds-service"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
