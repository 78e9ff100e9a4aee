"""A SMART authorisation server with its FHIR server: strict about PKCE, scopes and tokens."""

from __future__ import annotations

import base64
import hashlib
import secrets
from contextlib import contextmanager
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.servers import Reply, bundle, chart, serving

CORS = {
    "Access_Control_Allow_Origin": "*",
    "Access_Control_Allow_Headers": "authorization, content-type, accept",
    "Access_Control_Allow_Methods": "GET, POST, OPTIONS",
}


class SmartServer:
    """
    What the tests set, and what came.

    `faults` maps a resource type to the status it is answered with; `requests` holds the parameters
    of every authorisation request, `tokens` every token that was handed out.
    """

    def __init__(self, prefetch, templates, version="4.0.1", methods=("S256",), context=None):
        self._chart = chart(prefetch, templates, version)
        self.methods, self.context = list(methods), context or {}
        self.faults: dict[str, int] = {}
        self.requests, self.tokens, self._codes = [], [], {}
        self.denies = False

    def answer(self, reply: Reply, path: str) -> None:
        """One request."""
        if reply.command == "OPTIONS":
            reply.send(204, b"", **CORS)
            return
        address = urlsplit(path)
        known = {
            "/fhir/.well-known/smart-configuration": self._discover,
            "/auth/authorize": self._authorize,
            "/auth/token": self._token,
        }
        known.get(address.path, self._resource)(reply, path)

    def _discover(self, reply: Reply, _: str) -> None:
        base = f"http://{reply.headers['Host']}"
        told = {
            "authorization_endpoint": f"{base}/auth/authorize",
            "token_endpoint": f"{base}/auth/token",
            "code_challenge_methods_supported": self.methods,
            "capabilities": ["launch-ehr", "launch-standalone", "client-public", "permission-v2"],
        }
        reply.send(body=told, kind="application/json", **CORS)

    def _authorize(self, reply: Reply, path: str) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        self.requests.append(asked)
        back = {"state": asked["state"]}
        if self.denies:
            back |= {"error": "access_denied", "error_description": "The user said no"}
        else:
            back["code"] = secrets.token_urlsafe()
            self._codes[back["code"]] = asked
        reply.send(302, b"", Location=f"{asked['redirect_uri']}?{urlencode(back)}")

    def _token(self, reply: Reply, _: str) -> None:
        form = parse_qs(reply.server.asked[-1][3].decode())
        asked = self._codes.pop(form["code"][0], None)
        verifier = form.get("code_verifier", [""])[0]
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        challenge = asked and asked.get("code_challenge")
        sound = (
            asked is not None
            and asked["code_challenge_method"] == "S256"
            and digest.rstrip(b"=").decode() == challenge
            and form["redirect_uri"][0] == asked["redirect_uri"]
        )
        if not sound:
            reply.send(400, {"error": "invalid_grant"}, kind="application/json", **CORS)
            return
        self.tokens.append(secrets.token_urlsafe())
        told = {"access_token": self.tokens[-1], "token_type": "Bearer", "expires_in": 300,
                "scope": asked["scope"], "patient": "synthetic", **self.context}  # fmt: skip
        reply.send(body=told, kind="application/json", **CORS)

    def _resource(self, reply: Reply, path: str) -> None:
        kind = urlsplit(path).path.split("/")[2]
        token = (reply.headers.get("Authorization") or "").removeprefix("Bearer ")
        fault = self.faults.get(kind)
        if kind != "metadata" and token not in self.tokens:
            fault = 401
        # One handler answers all requests of a connection: what is changed here is put back.
        reply.send = lambda *sent, **named: Reply.send(reply, *sent, **named, **CORS)
        try:
            if fault:
                issue = {"severity": "error", "code": "forbidden"}
                reply.send(fault, {"resourceType": "OperationOutcome", "issue": [issue]})
            else:
                self._chart(reply, path)
        finally:
            del reply.send


@contextmanager
def smart(prefetch, templates, **options):
    """A running server, and the base of its FHIR API."""
    server = SmartServer(prefetch, templates, **options)
    with serving(server.answer) as (base, asked):
        server.asked = asked
        yield server, base


__all__ = ["SmartServer", "bundle", "smart"]
