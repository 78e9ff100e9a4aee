"""The real server: it starts, answers in time, takes several workers, and drains."""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from benchmarks.bodies import request_body
from tests.processes import SERVE, running
from tests.support import SERVICE, assert_valid, case_request


@pytest.fixture(scope="module")
def server():
    with running(CDS_WORKERS="2") as (base, _):
        yield base


def test_it_answers_like_the_application(server):
    services = requests.get(f"{server}/cds-services", timeout=5).json()
    assert_valid("discovery", services)
    body = case_request("start-mtor-inhibitor/chylous-effusion")
    answer = requests.post(f"{server}{SERVICE}", json=body, timeout=5)
    assert answer.headers["Content-Type"] == "application/json"
    assert_valid("response", answer.json())
    assert "start-mtor-inhibitor" in answer.text


def test_errors_of_every_kind_come_through_the_real_server(server):
    url = f"{server}{SERVICE}"
    assert requests.post(url, data=b"{", headers={"Content-Type": "application/json"},
                         timeout=5).status_code == 400  # fmt: skip
    assert requests.post(url, data=b"x", timeout=5).status_code == 415
    assert requests.get(url, timeout=5).status_code == 405
    assert requests.post(f"{url}/x", json={}, timeout=5).status_code == 404
    assert requests.post(url, json=case_request() | {"prefetch": {}}, timeout=5).status_code == 412


def test_a_body_over_the_limit_is_refused_however_it_is_sent():
    with running(CDS_MAX_BODY_BYTES="20000") as (base, _):
        url, headers = f"{base}{SERVICE}", {"Content-Type": "application/json"}
        body = b" " * 30_000
        assert requests.post(url, data=body, headers=headers, timeout=5).status_code == 413
        pieces = (body[i : i + 1000] for i in range(0, len(body), 1000))
        assert requests.post(url, data=pieces, headers=headers, timeout=5).status_code == 413
        small = json.dumps(case_request()).encode()
        chunks = (small[i : i + 1000] for i in range(0, len(small), 1000))
        assert requests.post(url, data=chunks, headers=headers, timeout=5).status_code == 200


def test_clients_that_stall_do_not_hold_up_the_others(server):
    host, port = server.removeprefix("http://").split(":")
    head = (
        f"POST {SERVICE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Content-Length: 100000\r\n\r\n{"
    )
    stalled = [socket.create_connection((host, int(port))) for _ in range(3)]
    try:
        for connection in stalled:
            connection.sendall(head.encode())
        time.sleep(0.2)
        for _ in range(10):
            assert requests.post(f"{server}{SERVICE}", json=case_request(), timeout=3).ok
    finally:
        for connection in stalled:
            connection.close()


@pytest.mark.conformance("C156")
def test_a_large_chart_is_answered_well_within_half_a_second(server):
    body = request_body(conditions=20, observations=200)
    url, headers = f"{server}{SERVICE}", {"Content-Type": "application/json"}
    with requests.Session() as session:
        for _ in range(5):
            session.post(url, data=body, headers=headers, timeout=5)
        times = []
        for _ in range(100):
            start = time.perf_counter()
            assert session.post(url, data=body, headers=headers, timeout=5).ok
            times.append(time.perf_counter() - start)
    assert statistics.quantiles(times, n=20)[-1] < 0.5


def test_calls_under_way_are_answered_after_sigterm():
    body = request_body(conditions=20, observations=2000)
    with running() as (base, process), ThreadPoolExecutor(8) as pool:
        url, headers = f"{base}{SERVICE}", {"Content-Type": "application/json"}
        calls = [pool.submit(requests.post, url, data=body, headers=headers, timeout=30)
                 for _ in range(8)]  # fmt: skip
        time.sleep(0.15)
        process.send_signal(signal.SIGTERM)
        answers = []
        for call in calls:
            try:
                answers.append(call.result())
            except requests.ConnectionError:
                continue  # it had not reached the server yet
        assert process.wait(30) == 0
        assert answers
        assert all(answer.ok and "cards" in answer.json() for answer in answers)


def test_a_wrong_setting_stops_the_start_with_one_line():
    done = subprocess.run(
        SERVE,
        env={**os.environ, "CDS_CLIENT_AUTH": "required"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "CDS_TRUST_FILE: missing" in done.stderr


def test_the_log_is_json_and_names_no_patient():
    with running() as (base, process):
        requests.post(f"{base}{SERVICE}", json=case_request(), timeout=5)
        log = process.end()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert any(line["event"] == "call" and line.get("recommended") for line in lines)
    assert "synthetic" not in log
