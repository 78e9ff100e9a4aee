"""
Measures the service against the bare floor and the naive way, in one run on one machine.

Rounds go over all servers in turn, so that a slow minute of the machine hits each of them; the
median of the rounds is reported. Needs wrk (Debian: apt-get install wrk).

usage: python benchmarks/run.py [--seconds N] [--rounds N] [--server granian|gunicorn] [--smoke]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.bodies import request_body  # noqa: E402
from cds_service.settings import Settings  # noqa: E402

ADDRESS = "/cds-services/lam-tsc-patient-view"
SERVERS = {
    "service, today": "benchmarks.service:today_app",
    "service, fresh charts": "benchmarks.service:fresh_app",
    "(a) floor: orjson, fixed card": "benchmarks.naive:floor_app",
    "(a) floor, frozen too": "benchmarks.naive:frozen_floor_app",
    "(b) naive: every entry a model": "benchmarks.naive:naive_app",
}
BODIES = {"small": (5, 10), "large": (20, 200)}
CONNECTIONS = (1, 8, 32)
THREADS = str(Settings().threads)  # as served; the naive way is faster alone, and gets one
Cell = dict[str, float]


def main() -> int:
    options = _options()
    if shutil.which("wrk") is None:
        print("wrk is missing: apt-get install wrk")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        files = _write_bodies(Path(folder))
        cells = _measure(options, files)
    _report(cells)
    return _judge(cells) if not options.smoke else _sound(cells)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--server", choices=("granian", "gunicorn"), default="granian")
    parser.add_argument("--smoke", action="store_true", help="one short round, no goal")
    options = parser.parse_args()
    if options.smoke:
        options.seconds, options.rounds = 1, 1
    return options


def _write_bodies(folder: Path) -> dict[str, Path]:
    files = {}
    for name, (conditions, observations) in BODIES.items():
        files[name] = folder / f"{name}.json"
        files[name].write_bytes(request_body(conditions, observations))
    return files


def _measure(options: argparse.Namespace, files: dict[str, Path]) -> dict[tuple, Cell]:
    rounds: dict[tuple, list[Cell]] = {}
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
        for name, target in SERVERS.items():
            with _running(target, options.server) as base:
                for body, path in files.items():
                    for connections in CONNECTIONS:
                        cell = _load(base, path, connections, options.seconds)
                        rounds.setdefault((name, body, connections), []).append(cell)
    return {key: _median(cells) for key, cells in rounds.items()}


def _median(cells: list[Cell]) -> Cell:
    return {name: statistics.median(cell[name] for cell in cells) for name in cells[0]}


@contextmanager
def _running(target: str, server: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    bin_folder = Path(sys.executable).parent
    if server == "granian":
        threads = "1" if "naive_app" in target else THREADS
        command = [bin_folder / "granian", "--interface", "wsgi", "--factory", "--workers", "1",
                   "--blocking-threads", threads, "--backpressure", "1024", "--no-ws", "--port",
                   str(port), "--log-level", "error", target]  # fmt: skip
    else:
        command = [bin_folder / "gunicorn", "--workers", "1", "--bind", f"127.0.0.1:{port}",
                   "--log-level", "error", f"{target}()"]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CDS_")}
    with tempfile.TemporaryDirectory() as folder:
        environment |= {
            "PYTHONPATH": str(ROOT),
            "CDS_CLIENT_AUTH": "off",
            "CDS_DATABASE_URL": f"sqlite:///{folder}/cds-service.db",
            "CDS_RATE_LIMIT": "100000000 per minute",
        }
        process = subprocess.Popen(
            [str(part) for part in command], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
        )
        try:
            _wait(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def _wait(port: int) -> None:
    for _ in range(300):
        try:
            urlopen(f"http://127.0.0.1:{port}/nowhere", timeout=1)
        except OSError as error:
            if getattr(error, "code", None):  # an HTTP error: somebody answers
                return
            time.sleep(0.1)
    raise TimeoutError("the server did not come up")


def _load(base: str, body: Path, connections: int, seconds: int) -> Cell:
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        "--timeout",
        "20s",
        "--latency",
        "-s",
        "benchmarks/load.lua",
    ]
    environment = {**os.environ, "BODY": str(body), "EXPECT": '"cards":[{'}
    for duration in (1, seconds):  # the first is a warm-up
        done = subprocess.run(
            [*command, f"-d{duration}s", base + ADDRESS],
            cwd=ROOT, env=environment, check=True, capture_output=True, text=True,
            timeout=duration + 30,
        )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def _report(cells: dict[tuple, Cell]) -> None:
    print("\nRequests/s (p50 ms / p99 ms), one worker; the median of the rounds\n")
    for body in BODIES:
        print(f"| {body} body | 1 connection | 8 connections | 32 connections |")
        print("|---|---|---|---|")
        for name in SERVERS:
            row = [_shown(cells[name, body, c]) for c in CONNECTIONS]
            print(f"| {name} | {' | '.join(row)} |")
        print()


def _shown(cell: Cell) -> str:
    return f"{cell['rate']:.0f} ({cell['p50']:.2f} / {cell['p99']:.2f})"


def _judge(cells: dict[tuple, Cell]) -> int:
    """The goals, on the large body: 30 times (b), 1.0 times (a), p99 at most three times p50."""
    floor = cells["(a) floor: orjson, fixed card", "large", 8]["rate"]
    naive = cells["(b) naive: every entry a model", "large", 8]["rate"]
    met = _sound(cells) == 0
    for name in list(SERVERS)[:2]:
        ours, alone = cells[name, "large", 8]["rate"], cells[name, "large", 1]
        spread = alone["p99"] / alone["p50"]
        print(f"{name}: {ours / naive:.1f} times naive (goal 30), {ours / floor:.2f} times the "
              f"floor (goal 1.0), p99/p50 alone {spread:.2f} (goal at most 3)")  # fmt: skip
        if name == "service, today":
            met = met and ours >= 30 * naive and ours >= floor and spread <= 3
    return 0 if met else 1


def _sound(cells: dict[tuple, Cell]) -> int:
    wrong = sum(cell["bad"] for cell in cells.values())
    print(f"wrong answers: {wrong:.0f}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
