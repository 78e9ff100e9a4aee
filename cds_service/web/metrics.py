"""Counts and durations for Prometheus; labels are ids of our own, never anything of a patient."""

from __future__ import annotations

from pathlib import Path

from flask import Response

from cds_service.web.logs import Call

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """
    The metrics of one process.

    Where `PROMETHEUS_MULTIPROC_DIR` is set they are added up over all processes.
    """

    def __init__(self) -> None:
        """Make the metrics."""
        # Imported here: the library settles on import whether processes add up, and the process
        # that starts the workers must be able to say so first.
        import prometheus_client as prometheus

        self._prometheus = prometheus
        registry = self._registry = prometheus.CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> prometheus.Counter:
            return prometheus.Counter(name, text, labels, registry=registry)

        self._calls = counter("cds_calls", "Calls, by answer.", "service", "issuer", "status")
        self._seconds = prometheus.Histogram(
            "cds_call_seconds", "Time to answer.", ["service"], buckets=_SECONDS, registry=registry
        )
        self._outcomes = counter(
            "cds_outcomes", "What rules answered: recommended, undetermined or failed.",
            "recommendation", "outcome",
        )  # fmt: skip
        self._reads = counter(
            "cds_fhir_reads", "Prefetch keys asked of FHIR servers, by result.", "key", "result"
        )
        self._waited = prometheus.Histogram(
            "cds_fhir_seconds", "Time that calls waited for FHIR servers.", buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._refused = counter("cds_refused_callers", "Callers not let in.", "reason")
        self._feedback = counter("cds_feedback", "Feedback kept.", "outcome")
        self._lost = counter("cds_shown_lost", "Cards shown that could not be noted.")

    def observe(self, call: Call, response: Response, route: str) -> None:
        """Count one call that is answered."""
        fields = call.fields
        service = fields.get("service", route)
        issuer = fields.get("issuer", "")
        self._calls.labels(service, issuer, str(response.status_code)).inc()
        self._seconds.labels(service).observe(call.seconds)
        for kind in ("recommended", "undetermined", "failed"):
            for name in fields.get(kind, ()):
                self._outcomes.labels(name, kind).inc()
        problems = fields.get("fhirProblems", {})
        for key in fields.get("fhirRead", ()):
            self._reads.labels(key, problems.get(key, "ok")).inc()
        if "fhirMs" in fields:
            self._waited.observe(fields["fhirMs"] / 1000)

    def refused(self, reason: str) -> None:
        """Count a caller that was not let in."""
        self._refused.labels(reason).inc()

    def kept(self, outcome: str) -> None:
        """Count a new fact of feedback."""
        self._feedback.labels(outcome).inc()

    def lost(self, count: int) -> None:
        """Count cards that could not be noted."""
        self._lost.inc(count)

    def page(self, shared: Path | None) -> tuple[bytes, str]:
        """The page that Prometheus reads, and its type; `shared` adds up all processes."""
        registry = self._registry
        if shared is not None:
            from prometheus_client.multiprocess import MultiProcessCollector

            registry = self._prometheus.CollectorRegistry()
            MultiProcessCollector(registry, path=str(shared))  # type: ignore[no-untyped-call]
        kind = self._prometheus.CONTENT_TYPE_LATEST
        return self._prometheus.generate_latest(registry), kind
