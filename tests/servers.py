"""HTTP servers on loopback that tests read from: well behaved, and in every way not."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FHIR = "application/fhir+json"


class Asked(list):
    """The requests that came: method, path with query, headers, body."""

    @property
    def paths(self) -> list[str]:
        """What was asked, but for the version of the server."""
        return [path for _, path, _, _ in self if not path.endswith("/metadata")]


class Reply(BaseHTTPRequestHandler):
    """One request; `answer` of the server decides what it gets."""

    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        try:
            self.server.answer(self, self.path)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST = do_OPTIONS = _handle  # noqa: N815 - names of the library

    def handle(self) -> None:
        """A client that goes away is what many tests are about."""
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, *_: Any) -> None:
        """Tests are quiet."""

    def send(self, status: int = 200, body: Any = b"", kind: str = FHIR, **headers: str) -> None:
        """A whole answer; what is not bytes is sent as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)


Answer = Callable[[Reply, str], None]


@contextmanager
def serving(answer: Answer) -> Iterator[tuple[str, Asked]]:
    """A server on loopback: its base, and what it was asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Reply)
    server.daemon_threads = True
    server.answer, server.asked = answer, Asked()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/fhir", server.asked
    finally:
        server.shutdown()
        server.server_close()


def bundle(*resources: Any, **more: Any) -> dict[str, Any]:
    """A searchset."""
    entry = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "searchset", "entry": entry} | more


def chart(prefetch: dict[str, Any], templates: dict[str, str], version: str = "4.0.1") -> Answer:
    """
    A FHIR server that holds what a request carries as prefetch.

    It knows each search by its template, and so also shows that the same addresses are asked.
    """
    known: dict[str, Any] = {"/fhir/metadata": {"resourceType": "CapabilityStatement",
                                                "fhirVersion": version}}  # fmt: skip
    for key, template in templates.items():
        path = template.replace("{{context.patientId}}", "synthetic")
        known[f"/fhir/{path}"] = prefetch.get(key) or bundle()

    def answer(reply: Reply, path: str) -> None:
        found = known.get(path)
        if found is None:
            reply.send(404, {"resourceType": "OperationOutcome"})
        else:
            reply.send(body=found)

    return answer


def drip(reply: Reply, _: str) -> None:
    """A byte every tenth of a second, for ten seconds at most."""
    reply.send_response(200)
    reply.send_header("Content-Type", FHIR)
    reply.send_header("Content-Length", "100000")
    reply.end_headers()
    for _ in range(100):
        reply.wfile.write(b" ")
        reply.wfile.flush()
        time.sleep(0.1)


def hang(reply: Reply, _: str) -> None:
    """Nothing at all for a while."""
    time.sleep(3)


def cut_off(reply: Reply, _: str) -> None:
    """The connection ends in the middle of the body."""
    reply.send_response(200)
    reply.send_header("Content-Type", FHIR)
    reply.send_header("Content-Length", "100000")
    reply.end_headers()
    reply.wfile.write(b'{"resourceType": "Bundle", "entry": [')
    reply.wfile.flush()
    reply.close_connection = True
    reply.connection.close()


def html(reply: Reply, _: str) -> None:
    """A page for people, as a proxy sends it."""
    reply.send(200, b"<html>Please log in</html>", "text/html")


def huge(reply: Reply, _: str) -> None:
    """A page of 100 MB."""
    piece = b" " * 1_000_000
    reply.send_response(200)
    reply.send_header("Content-Type", FHIR)
    reply.send_header("Content-Length", str(100 * len(piece)))
    reply.end_headers()
    for _ in range(100):
        reply.wfile.write(piece)


_BOMB = gzip.compress(b" " * 100_000_000, 6)


def gzip_bomb(reply: Reply, _: str) -> None:
    """A few kilobytes that unfold to 100 MB."""
    reply.send(200, _BOMB, FHIR, Content_Encoding="gzip")


def redirect(reply: Reply, _: str) -> None:
    """To the place where clouds keep their secrets."""
    reply.send(302, b"", Location="http://169.254.169.254/latest/meta-data/")


def status(code: int, **headers: str) -> Answer:
    """An error with an OperationOutcome."""
    outcome = {"resourceType": "OperationOutcome", "issue": [{"diagnostics": "s3cret"}]}
    return lambda reply, _: reply.send(code, outcome, **headers)


def endless_pages(reply: Reply, path: str) -> None:
    """Each page names a next one."""
    number = int(path.partition("page=")[2] or 0)
    base = f"http://{reply.headers['Host']}/fhir"
    link = [{"relation": "next", "url": f"{base}/Condition?page={number + 1}"}]
    reply.send(body=bundle(link=link))


def next_elsewhere(reply: Reply, _: str) -> None:
    """The next page is on another server."""
    link = [{"relation": "next", "url": "http://169.254.169.254/fhir/Condition?page=2"}]
    reply.send(body=bundle(link=link))


def not_json(reply: Reply, _: str) -> None:
    """Says that it is FHIR, and is not."""
    reply.send(200, b"{{{{")


def deep(reply: Reply, _: str) -> None:
    """JSON nested beyond reason."""
    reply.send(200, b'{"a":' * 100_000)


def random_bytes(reply: Reply, _: str) -> None:
    """Not even text."""
    reply.send(200, b"{\xff\xfe\x00")
