"""
Half an hour of what a hospital sends: valid, invalid, slow, cut off; memory flat, no wrong answer.

`make soak` runs the whole; `make soak SOAK_SECONDS=60` a minute of it. Everything runs on loopback:
the real server with two workers and signed callers, a FHIR server beside it, and a few threads that
call. Exits 1 on any wrong answer, or when memory grows.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

from cds_service.app import load_clinical_content
from cds_service.hooks.catalogue import services
from cds_service.pipeline import Pipeline
from tests.callers import STRANGER, claims, token, trust_file
from tests.golden.cases import all_cases
from tests.processes import running
from tests.servers import chart, serving

CALLERS = 4
GROWTH = 1.10  # of memory, from the end of the first third to the last tenth
SLACK_MB = 12  # that short runs may grow, while caches fill
JSON = {"Content-Type": "application/json"}


@dataclass
class Tally:
    """What happened so far."""

    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, kind: str, took: float, problem: str | None) -> None:
        with self.lock:
            self.answers[kind] += 1
            self.seconds.setdefault(kind, []).append(took)
            if problem:
                self.wrong.append(f"{kind}: {problem}")


@dataclass(frozen=True)
class Chart:
    """A case with the cards that it gets today."""

    address: str
    body: dict[str, Any]
    topics: list[str]


class Caller:
    """One thread that calls, over a connection that it keeps."""

    def __init__(self, base: str, fhir: str, charts: list[Chart], read: Chart, tally: Tally,
                 seed: int) -> None:  # fmt: skip
        self._base, self._fhir, self._charts, self._read = base, fhir, charts, read
        self._tally, self._random = tally, random.Random(seed)
        self._kept = http.client.HTTPConnection(urlsplit(base).netloc, timeout=10)

    def run(self, until: float) -> None:
        mix: list[tuple[Callable[[], str | None], int]] = [
            (self.chart, 60), (self.from_server, 8), (self.feedback, 10), (self.no_token, 4),
            (self.stranger, 3), (self.replay, 3), (self.not_json, 3), (self.lacks_data, 3),
            (self.nowhere, 2), (self.slow, 1), (self.cut_off, 1), (self.pages, 2),
        ]  # fmt: skip
        kinds, weights = [kind for kind, _ in mix], [weight for _, weight in mix]
        while time.monotonic() < until:
            (kind,) = self._random.choices(kinds, weights)
            started = time.monotonic()
            try:
                problem = kind()
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._kept.close()
                problem = f"{type(error).__name__} {error}"
            self._tally.note(kind.__name__, time.monotonic() - started, problem)

    def _post(self, address: str, body: Any, headers: dict[str, str]) -> tuple[int, bytes]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._kept.request("POST", address, data, {**JSON, **headers})
        answer = self._kept.getresponse()
        return answer.status, answer.read()

    def _signed(self, address: str, **options: Any) -> dict[str, str]:
        now = int(time.time())
        sent = claims(aud=f"{self._base}{address}", iat=now, exp=now + 60)
        return {"Authorization": f"Bearer {token(sent, **options)}"}

    def _judged(self, asked: Chart, body: dict[str, Any]) -> str | None:
        status, data = self._post(asked.address, body, self._signed(asked.address))
        if status != 200:
            return f"status {status}"
        got = [card["source"]["topic"]["code"] for card in json.loads(data)["cards"]]
        return None if got == asked.topics else f"{got} instead of {asked.topics}"

    def chart(self) -> str | None:
        asked = self._random.choice(self._charts)
        return self._judged(asked, asked.body)

    def from_server(self) -> str | None:
        bare = {name: value for name, value in self._read.body.items() if name != "prefetch"}
        granted = {"access_token": "t", "token_type": "Bearer"}
        body = bare | {"fhirServer": self._fhir, "fhirAuthorization": granted}
        return self._judged(self._read, body)

    def feedback(self) -> str | None:
        address = f"{self._charts[0].address}/feedback"
        item = {"card": f"card-{self._random.random()}", "outcome": "overridden"}
        status, _ = self._post(address, {"feedback": [item]}, self._signed(address))
        return None if status == 204 else f"status {status}"

    def _expect(self, wanted: int, address: str, body: Any, headers: dict[str, str]) -> str | None:
        status, data = self._post(address, body, headers)
        if status != wanted or b'"OperationOutcome"' not in data:
            return f"status {status} instead of {wanted}"
        return None

    def no_token(self) -> str | None:
        asked = self._random.choice(self._charts)
        return self._expect(401, asked.address, asked.body, {})

    def stranger(self) -> str | None:
        asked = self._random.choice(self._charts)
        return self._expect(401, asked.address, asked.body,
                            self._signed(asked.address, key=STRANGER))  # fmt: skip

    def replay(self) -> str | None:
        """Without Redis each worker remembers by itself: the second worker may let it in once."""
        asked = self._random.choice(self._charts)
        headers = self._signed(asked.address)
        codes = [self._post(asked.address, asked.body, headers)[0] for _ in range(3)]
        return None if codes[0] == 200 and codes.count(200) <= 2 else f"statuses {codes}"

    def not_json(self) -> str | None:
        address = self._charts[0].address
        return self._expect(400, address, b'{"hook": "patient-view", ', self._signed(address))

    def lacks_data(self) -> str | None:
        asked = self._random.choice(self._charts)
        body = asked.body | {"prefetch": {}}
        return self._expect(412, asked.address, body, self._signed(asked.address))

    def nowhere(self) -> str | None:
        address = "/cds-services/none"
        return self._expect(404, address, {}, self._signed(address))

    def pages(self) -> str | None:
        for path in ("/cds-services", "/health", "/metrics", "/reports/feedback?format=json"):
            self._kept.request("GET", path)
            answer = self._kept.getresponse()
            answer.read()
            if answer.status != 200:
                return f"status {answer.status} of {path}"
        return None

    def _raw(self, address: str, length: int) -> socket.socket:
        host, port = urlsplit(self._base).netloc.split(":")
        head = "".join(f"{name}: {value}\r\n" for name, value in
                       {**JSON, **self._signed(address), "Host": host,
                        "Content-Length": str(length)}.items())  # fmt: skip
        connection = socket.create_connection((host, int(port)), timeout=10)
        connection.sendall(f"POST {address} HTTP/1.1\r\n{head}\r\n".encode())
        return connection

    def slow(self) -> str | None:
        """A client that takes two seconds to send its body."""
        asked = self._random.choice(self._charts)
        data = json.dumps(asked.body).encode()
        with self._raw(asked.address, len(data)) as connection:
            for start in range(0, len(data), len(data) // 8 + 1):
                connection.sendall(data[start : start + len(data) // 8 + 1])
                time.sleep(0.25)
            first = connection.recv(64)
        return None if first.startswith(b"HTTP/1.1 200") else f"answer {first!r}"

    def cut_off(self) -> str | None:
        """A client that goes away in the middle of its body."""
        asked = self._random.choice(self._charts)
        with self._raw(asked.address, 100_000) as connection:
            connection.sendall(b'{"hook":')
        return None


def charts_of_today() -> list[Chart]:
    """Cases with the cards that the service's own code gives them today."""
    content = load_clinical_content()
    pipeline = Pipeline(content, icon="http://localhost/icon.png", max_cards=5)
    known = {service.hook: service for service in services(content)}
    found = []
    for case in all_cases()[::7]:
        body = (case.folder / "request.json").read_bytes()
        answer = pipeline.answer(known[case.hook], body, date.today())
        topics = [card["source"]["topic"]["code"] for card in answer.cards]
        found.append(Chart(f"/cds-services/lam-tsc-{case.hook}", json.loads(body), topics))
    return found


def megabytes(parent: int) -> float:
    """Resident memory of all workers."""
    listed = subprocess.run(
        ["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False
    )
    pages = 0
    for worker in listed.stdout.split():
        with suppress(OSError):
            pages += int(Path(f"/proc/{worker}/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def watch(parent: int, until: float) -> Iterator[tuple[float, float]]:
    """Memory every few seconds: the moment, and the megabytes."""
    started = time.monotonic()
    while time.monotonic() < until:
        time.sleep(min(5.0, max(0.1, until - time.monotonic())))
        yield time.monotonic() - started, megabytes(parent)


def run(seconds: float) -> int:
    """Run it; the exit code."""
    charts, tally = charts_of_today(), Tally()
    read = next(c for c in charts if c.address.endswith("patient-view") and c.topics)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        templates = dict(services(load_clinical_content())[0].prefetch)
        fhir, _ = stack.enter_context(serving(chart(read.body["prefetch"], templates)))
        trust = trust_file(folder, fhir_servers=[{"url": fhir, "private": True}])
        base, process = stack.enter_context(running(
            CDS_WORKERS="2", CDS_CLIENT_AUTH="required", CDS_TRUST_FILE=str(trust),
            CDS_RATE_LIMIT="1000000 per minute", CDS_LOG_LEVEL="warning", CDS_DEADLINE_MS="5000",
            CDS_AUDIT_FILE=str(folder / "audit.jsonl"),
        ))  # fmt: skip
        until = time.monotonic() + seconds
        callers = [
            threading.Thread(target=Caller(base, fhir, charts, read, tally, n).run, args=(until,))
            for n in range(CALLERS)
        ]
        for caller in callers:
            caller.start()
        memory = []
        for moment, size in watch(process.pid, until):
            memory.append(size)
            if len(memory) % 12 == 0:
                print(f"{moment:6.0f} s  {size:6.1f} MB  {tally.answers.total():8} calls  "
                      f"{len(tally.wrong)} wrong", flush=True)  # fmt: skip
        for caller in callers:
            caller.join(20)
    return tell(tally, memory, seconds)


def tell(tally: Tally, memory: list[float], seconds: float) -> int:
    """Print what was measured; 1 when something was wrong."""
    print("\n| Kind | Calls | Median ms | 99 % ms |\n| --- | --- | --- | --- |")
    for kind, times in sorted(tally.seconds.items()):
        late = statistics.quantiles(times, n=100)[98] if len(times) > 1 else times[0]
        print(
            f"| {kind} | {len(times)} | {1e3 * statistics.median(times):.1f} | {1e3 * late:.1f} |"
        )
    third, tenth = len(memory) // 3, max(1, len(memory) // 10)
    before = statistics.median(memory[max(0, third - tenth) : third + 1])
    after = statistics.median(memory[-tenth:])
    grown = after > max(before * GROWTH, before + SLACK_MB)
    print(f"\n{tally.answers.total()} calls in {seconds:.0f} s, {len(tally.wrong)} wrong")
    print(f"memory of two workers: {before:.0f} MB after a third, {after:.0f} MB at the end")
    for problem, count in Counter(tally.wrong).most_common(20):
        print(f"WRONG {count} times: {problem}")
    if grown:
        print("WRONG: memory grows")
    return 1 if tally.wrong or grown else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800)
    sys.exit(run(parser.parse_args().seconds))
