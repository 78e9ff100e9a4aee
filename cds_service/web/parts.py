"""The parts that routes share, made once for a process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cds_service.feedback.recorder import Recorder
from cds_service.feedback.store import Store
from cds_service.hooks.catalogue import Service
from cds_service.pipeline import Pipeline
from cds_service.settings import Settings
from cds_service.web.audit import Audit
from cds_service.web.guard import Guard
from cds_service.web.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Parts:
    """What a running service is made of."""

    settings: Settings
    pipeline: Pipeline
    offered: Mapping[str, Service]
    guard: Guard
    store: Store
    recorder: Recorder
    metrics: Metrics
    audit: Audit | None
