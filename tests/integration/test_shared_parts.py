"""Redis and PostgreSQL for several replicas: shared, killed, and come back."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context

import pytest
import requests
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from cds_service.errors import Unavailable
from cds_service.feedback.comments import CommentBox
from cds_service.feedback.report import report
from cds_service.feedback.store import Store
from cds_service.feedback.tables import metadata
from cds_service.trust.replay import RedisMemory
from tests.callers import bearer, claims, trust_file
from tests.contract.test_feedback import LONG_AGO, fact, item, shown
from tests.processes import Redis, certificate, found, free_port, running, wait_until_up
from tests.rows import facts
from tests.support import ROOT, SERVICE, case_request

NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  include {snippet};
}}
"""


@pytest.fixture(scope="module")
def replicas(redis_server, postgres, tmp_path_factory):
    """Two replicas of two workers behind nginx, as in deploy/, with one Redis and one database."""
    folder = tmp_path_factory.mktemp("replicas")
    port, trust = free_port(), trust_file(folder)
    base = f"https://127.0.0.1:{port}"
    shared = {
        "CDS_CLIENT_AUTH": "required", "CDS_TRUST_FILE": str(trust), "CDS_PUBLIC_URL": base,
        "CDS_REDIS_URL": redis_server.url, "CDS_DATABASE_URL": postgres.url, "CDS_WORKERS": "2",
    }  # fmt: skip
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("REQUESTS_CA_BUNDLE", str(certificate(folder)))
        bases = [stack.enter_context(running(**shared))[0] for _ in range(2)]
        stack.callback(_nginx(folder, port, bases))
        yield base, bases


def _nginx(folder, port, bases):
    """The configuration that deploy/ ships, with addresses and a certificate of the test."""
    text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    servers = "\n".join(f"server {base.removeprefix('http://')};" for base in bases)
    text = text.replace("server cds:8080;", servers).replace("/etc/nginx/tls", str(folder))
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;")
    (folder / "snippet.conf").write_text(text)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, snippet=folder / "snippet.conf"))
    process = subprocess.Popen(
        [found("nginx", "/usr/sbin/nginx"), "-p", folder, "-c", folder / "nginx.conf"]
    )
    wait_until_up(f"https://127.0.0.1:{port}/health/live", process)

    def stop():
        process.terminate()
        process.wait(10)

    return stop


def audience(base, path=SERVICE):
    return claims(aud=f"{base}{path}")


def ask(url, base, **changed):
    headers = bearer(audience(base) | changed)
    return requests.post(f"{url}{SERVICE}", json=case_request(), headers=headers, timeout=10)


@pytest.mark.conformance("C146")
def test_a_token_is_refused_by_every_replica_after_its_first_use(replicas):
    base, bases = replicas
    for first in (base, *bases):
        headers = bearer(audience(base))
        codes = [requests.post(f"{url}{SERVICE}", json=case_request(), headers=headers,
                               timeout=10).status_code
                 for url in (first, *[base] * 6, *bases)]  # fmt: skip
        assert codes == [200] + [401] * 8


def test_one_token_sent_to_all_at_the_same_time_is_let_in_once(replicas):
    base, _ = replicas
    headers = bearer(audience(base))

    def send(_):
        return requests.post(f"{base}{SERVICE}", json=case_request(), headers=headers, timeout=10)

    with ThreadPoolExecutor(16) as pool:
        codes = [answer.status_code for answer in pool.map(send, range(16))]
    assert sorted(codes) == [200] + [401] * 15


def test_feedback_given_to_any_replica_is_in_one_report(replicas, postgres):
    base, bases = replicas
    uuids = [ask(url, base).json()["cards"][0]["uuid"] for url in (*bases, base)]
    path = f"{SERVICE}/feedback"
    for url, card in zip((*bases, base), uuids, strict=True):
        for _ in range(2):
            answer = requests.post(
                f"{url}{path}", json={"feedback": [item(card=card)]},
                headers=bearer(audience(base, path)), timeout=10,
            )  # fmt: skip
            assert answer.status_code == 204
    for _ in range(50):  # what was shown is noted a moment later
        rows = [row for row in facts(postgres.url) if row["card"] in uuids]
        if all(row["recommendation"] for row in rows):
            break
        time.sleep(0.1)
    assert [row["recommendation"] for row in rows] == ["start-mtor-inhibitor"] * 3
    store = Store(postgres.url, CommentBox([]))
    assert sum(row.overridden for row in report(store, LONG_AGO)) == 3
    store.close()


def test_what_only_the_house_may_see_is_not_passed_on(replicas):
    base, _ = replicas
    for path in ("/metrics", "/reports/feedback", "/health", "/health/ready"):
        assert requests.get(f"{base}{path}", timeout=10).status_code == 404
    assert requests.get(f"{base}/cds-services", timeout=10).status_code == 200


@pytest.mark.conformance("C135")
def test_only_tls_from_version_1_2_on(replicas):
    base, _ = replicas
    port = int(base.rpartition(":")[2])
    for version, is_taken in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)):
        context = ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # so that it is the server who refuses
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", port), 5) as plain:
            try:
                context.wrap_socket(plain, server_hostname="127.0.0.1").close()
            except ssl.SSLError:
                assert not is_taken
            else:
                assert is_taken
    answer = requests.get(base.replace("https", "http"), timeout=5, allow_redirects=False)
    assert answer.status_code == 400


def test_metrics_add_up_the_workers(replicas):
    with running(CDS_WORKERS="2") as (base, _):
        for _ in range(20):
            requests.post(f"{base}{SERVICE}", json=case_request(), timeout=10)
        text = requests.get(f"{base}/metrics", timeout=10).text
    wanted = 'cds_calls_total{issuer="anonymous",service="lam-tsc-patient-view",status="200"} 20.0'
    assert wanted in text


@pytest.mark.conformance("C146")
def test_without_redis_callers_are_refused_and_with_it_again_let_in(tmp_path):
    redis = Redis()
    trust = trust_file(tmp_path)
    with running(CDS_CLIENT_AUTH="required", CDS_TRUST_FILE=str(trust), CDS_REDIS_URL=redis.url
                 ) as (base, process):  # fmt: skip
        assert ask(base, base).status_code == 200
        ready = requests.get(f"{base}/health/ready", timeout=10)
        assert ready.json()["checks"]["replayMemory"] == "shared"
        redis.kill()
        started = time.monotonic()
        answer = ask(base, base)
        assert answer.status_code == 503
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert time.monotonic() - started < 2
        ready = requests.get(f"{base}/health/ready", timeout=10)
        assert (ready.status_code, ready.json()["status"]) == (503, "failed")
        assert ready.json()["checks"]["replayMemory"] == "unavailable"
        assert requests.get(f"{base}/health", timeout=10).json()["status"] == "failed"
        assert requests.get(f"{base}/health/live", timeout=10).status_code == 200
        redis.start()
        assert ask(base, base).status_code == 200
        log = process.end()
        assert "Redis unavailable: callers are refused" in log
    redis.kill()


def test_redis_killed_and_restarted_under_load(tmp_path):
    redis, codes, stop = Redis(), [], threading.Event()
    shared = {"CDS_CLIENT_AUTH": "required", "CDS_TRUST_FILE": str(trust_file(tmp_path)),
              "CDS_REDIS_URL": redis.url, "CDS_RATE_LIMIT": "100000 per minute"}  # fmt: skip

    def call(base):
        while not stop.is_set():
            codes.append((time.monotonic(), ask(base, base).status_code))

    with running(**shared) as (base, _):
        callers = [threading.Thread(target=call, args=(base,)) for _ in range(3)]
        for caller in callers:
            caller.start()
        time.sleep(0.7)
        redis.kill()
        time.sleep(1)
        redis.start()
        started = time.monotonic()
        time.sleep(1)
        stop.set()
        for caller in callers:
            caller.join(10)
    redis.kill()
    assert {code for _, code in codes} == {200, 503}
    late = [code for moment, code in codes if moment > started + 0.6]
    assert late
    assert set(late) == {200}


def test_tokens_are_forgotten_when_they_expire(redis_server):
    memory = RedisMemory(redis_server.url)
    soon = int(time.time())
    assert memory.is_first_use("x", "short", soon)
    assert memory.is_first_use("x", "long", soon + 60)
    time.sleep(2.1)
    assert memory.is_first_use("x", "short", soon + 60)
    assert not memory.is_first_use("x", "long", soon + 60)
    assert memory.state() == "shared"


def test_one_rate_for_all_replicas(redis_server, tmp_path):
    trust = trust_file(tmp_path)
    port = free_port()
    shared = {"CDS_CLIENT_AUTH": "required", "CDS_TRUST_FILE": str(trust),
              "CDS_REDIS_URL": redis_server.url.replace("/0", "/1"),
              "CDS_RATE_LIMIT": "4 per hour", "CDS_PUBLIC_URL": f"http://127.0.0.1:{port}",
              }  # fmt: skip
    base = shared["CDS_PUBLIC_URL"]
    with running(**shared) as (one, _), running(**shared) as (two, _):
        codes = [ask(url, base).status_code for url in (one, two) * 3]
    assert codes == [200] * 4 + [429] * 2


def check(url):
    """What a replica does when it starts."""
    store = Store(url, CommentBox([]))
    store.check()
    store.close()
    return "ok"


def test_replicas_that_start_at_once_migrate_one_after_the_other(postgres):
    url = postgres.url.rpartition("/")[0] + "/migrated"
    admin = Store(postgres.url, CommentBox([]))
    with admin._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CREATE DATABASE migrated")
    admin.close()
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(check, [url] * 4)) == ["ok"] * 4


def test_the_tables_are_those_that_the_code_knows(postgres, tmp_path):
    for url in (postgres.url, f"sqlite:///{tmp_path}/x.db"):
        store = Store(url, CommentBox([]))
        store.check()
        with store._engine.connect() as connection:
            difference = compare_metadata(MigrationContext.configure(connection), metadata)
        store.close()
        assert difference == []


def test_postgresql_keeps_what_sqlite_keeps(postgres):
    store = Store(postgres.url, CommentBox([]))
    when = LONG_AGO.replace(year=2020)
    store.note_shown([shown("p1", when)])
    assert store.keep([fact("p1", when)]) == [fact("p1", when)]
    assert store.keep([fact("p1", when)]) == []
    assert store.forget(when.replace(year=2021)) == 2
    store.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_nothing_acknowledged_is_lost(kind, postgres, tmp_path):
    """The service, or its database, is killed under load: what was answered 204 is there after."""
    url = postgres.url if kind == "postgresql" else f"sqlite:///{tmp_path}/feedback.db"
    acknowledged, stop = [], threading.Event()

    def give(base, worker):
        number = 0
        while not stop.is_set():
            number += 1
            card = f"{kind}-{worker}-{number}"
            try:
                answer = requests.post(f"{base}{SERVICE}/feedback",
                                       json={"feedback": [item(card=card)]}, timeout=5)  # fmt: skip
            except requests.RequestException:
                return
            if answer.status_code == 204:
                acknowledged.append(card)
            else:
                assert answer.status_code == 503
                time.sleep(0.05)

    with running(CDS_DATABASE_URL=url) as (base, process):
        threads = [threading.Thread(target=give, args=(base, n)) for n in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        if kind == "postgresql":
            postgres.kill()
            time.sleep(0.5)
            postgres.start()
            time.sleep(1)
        _kill_all(process)
        stop.set()
        for thread in threads:
            thread.join()
    there = {row["card"] for row in facts(url)}
    assert len(acknowledged) > 20
    assert set(acknowledged) <= there


def _kill_all(process):
    """The workers too, as kill -9 on the whole service."""
    workers = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    process.send_signal(signal.SIGKILL)
    for worker in workers:
        subprocess.run(["kill", "-9", worker], check=False)


def test_what_was_shown_is_noted_before_the_end(tmp_path):
    url = f"sqlite:///{tmp_path}/feedback.db"
    with running(CDS_DATABASE_URL=url, CDS_WORKERS="2") as (base, process):
        for _ in range(30):
            requests.post(f"{base}{SERVICE}", json=case_request(), timeout=10)
        process.end()
    store = Store(url, CommentBox([]))
    (counted,) = store.shown_since(LONG_AGO)
    store.close()
    assert counted["shown"] == 30


def test_the_database_comes_back_without_a_restart(postgres):
    store = Store(postgres.url, CommentBox([]))
    store.check()
    postgres.kill()
    with pytest.raises(Unavailable, match="database"):
        store.check()
    postgres.start()
    store.check()
    store.close()


def test_the_audit_file_has_a_line_for_every_call(tmp_path):
    path = tmp_path / "audit.jsonl"
    service = running(CDS_AUDIT_FILE=str(path), CDS_WORKERS="2")
    with service as (base, _), ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda _: requests.post(f"{base}{SERVICE}", json=case_request(),
                                                  timeout=10), range(200)):  # fmt: skip
            pass
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 200
    assert len({line["correlationId"] for line in lines}) == 200
    assert all(line["cards"][0]["recommendation"] == "start-mtor-inhibitor" for line in lines)
    assert "synthetic" not in path.read_text()
