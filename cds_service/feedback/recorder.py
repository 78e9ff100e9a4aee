"""Notes what was shown without making anybody wait: in batches, on a thread of its own."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from multiprocessing.util import Finalize

from cds_service.errors import Unavailable
from cds_service.feedback.model import Shown
from cds_service.feedback.store import Store, oldest_kept

log = logging.getLogger(__name__)

_ROOM = 20_000  # cards that may wait; beyond that, what was shown is counted as lost
_BATCH = 100  # cards a time: while they are written, a clinician may wait for the interpreter
_PAUSE = 0.5  # seconds, for a batch to fill
_BREATH = 0.01  # seconds between two full batches
_SWEEP = 3600.0  # seconds between two deletions of what is too old


class Recorder:
    """Writes what it is given; one for a process. `lost` is told how many cards were not noted."""

    def __init__(self, store: Store, retention_days: int, lost: Callable[[int], None]) -> None:
        """Start nothing yet: a thread would not survive a fork."""
        self._store, self._days, self._lost = store, retention_days, lost
        self._waiting: queue.Queue[Shown | None] = queue.Queue(_ROOM)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._swept = 0.0

    def note(self, cards: Iterable[Shown]) -> None:
        """Note cards, soon."""
        if self._thread is None:
            self._start()
        for card in cards:
            try:
                self._waiting.put_nowait(card)
            except queue.Full:
                self._lost(1)

    def flush(self) -> None:
        """Write what waits, and end."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            self._waiting.put(None)
            thread.join(10)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="recorder")
                self._thread.start()
                # A worker that is a forked process runs these and no other exit handlers.
                Finalize(None, self.flush, exitpriority=100)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            batch, is_last = self._batch()
            if batch:
                self._write(batch)
            self._sweep()

    def _batch(self) -> tuple[list[Shown], bool]:
        """What waits, as soon as something does and a moment has passed."""
        found = [self._waiting.get()]
        if found[0] is not None:
            time.sleep(_PAUSE if self._waiting.qsize() < _BATCH else _BREATH)
        while len(found) < _BATCH:
            try:
                found.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        cards = [card for card in found if card is not None]
        return cards, len(cards) < len(found)

    def _write(self, batch: list[Shown]) -> None:
        try:
            self._store.note_shown(batch)
        except Unavailable:
            self._lost(len(batch))

    def _sweep(self) -> None:
        """Delete what is older than it may be."""
        if time.monotonic() - self._swept < _SWEEP and self._swept:
            return
        self._swept = time.monotonic()
        now = datetime.now(UTC).replace(tzinfo=None)
        try:
            gone = self._store.forget(oldest_kept(now, self._days))
            log.info("retention", extra={"fields": {"deletedRows": gone}})
        except Unavailable:
            self._swept = 0.0
