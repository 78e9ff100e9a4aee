"""Real programs that tests start on loopback, and stop: the service and what it works with."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support import ROOT

SERVE = [sys.executable, "-c", "from cds_service.cli import main; main()", "serve"]
FHIR_SERVER = ROOT / "tests" / "integration" / "fhir_server"


def free_port() -> int:
    """A port of loopback that is free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service(subprocess.Popen):
    """`cds-service serve`; what it logs goes to a file, since a full pipe would stop it."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as stream:
            super().__init__(SERVE, env=environment, stderr=stream)

    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text(encoding="utf-8")

    def end(self) -> str:
        """Stop it, as an orchestrator does; all that it has logged."""
        if self.poll() is None:
            self.terminate()
        self.wait(30)
        return self.log()


@contextmanager
def running(**changed: str) -> Iterator[tuple[str, Service]]:
    """`cds-service serve` on a free port of loopback: its base URL, and the process."""
    with TemporaryDirectory(prefix="cds-service-tests-") as folder:
        port = free_port()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CDS_")}
        environment |= {
            "CDS_PORT": str(port),
            "CDS_CLIENT_AUTH": "off",
            "CDS_DATABASE_URL": f"sqlite:///{folder}/cds-service.db",
        } | changed
        process = Service(environment, Path(folder) / "log")
        base = f"http://127.0.0.1:{port}"
        try:
            wait_until_up(f"{base}/health/live", process)
            yield base, process
        finally:
            process.end()


def wait_until_up(url: str, process: subprocess.Popen) -> None:
    """Wait until something answers, for half a minute."""
    for _ in range(300):
        assert process.poll() is None, process.args
        with suppress(requests.ConnectionError):
            if requests.get(url, timeout=1).status_code < 500:
                return
        time.sleep(0.1)
    raise AssertionError(f"{url} did not come up")


def found(name: str, *elsewhere: str) -> str:
    """The path of a program; the test is skipped, and says how to get it, if it is not there."""
    path = shutil.which(name) or next((p for p in elsewhere if Path(p).exists()), None)
    package = {"redis-server": "redis-server", "nginx": "nginx-light", "node": "nodejs npm"}[name]
    if path is None:
        pytest.skip(f"needs {name}: apt-get install {package}")
    return path


def certificate(folder: Path) -> Path:
    """A certificate for loopback, with its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "tls.key").write_bytes(key.private_bytes(pem, *plain))
    (folder / "tls.crt").write_bytes(made.public_bytes(pem))
    return folder / "tls.crt"


class Redis:
    """A Redis server that can be killed and started again."""

    def __init__(self) -> None:
        self._program, self.port = found("redis-server"), free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        options = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
        self._process = subprocess.Popen(
            [self._program, "--port", str(self.port), *options], stdout=subprocess.DEVNULL
        )
        for _ in range(100):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)


class Postgres:
    """A PostgreSQL server in a folder of its own, that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"))  # where Debian puts it
        if not installed:
            pytest.skip("needs PostgreSQL: apt-get install postgresql")
        self._bin = installed[-1]
        self._data, self.port = folder / "data", free_port()
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"
        self._as = {"user": "postgres"} if os.geteuid() == 0 else {}  # it refuses to be root
        if self._as:
            for path in (folder, *folder.parents):
                if path.stat().st_uid == 0 and path.is_relative_to("/tmp") and path != Path("/tmp"):
                    path.chmod(0o755)
            shutil.chown(folder, "postgres")
        subprocess.run(
            [self._bin / "initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, cwd="/", **self._as,
        )  # fmt: skip
        self.start()

    def start(self) -> None:
        options = [f"-p{self.port}", "-h127.0.0.1", f"-k{self._data}"]
        self._process = subprocess.Popen(
            [self._bin / "postgres", "-D", self._data, *options],
            stderr=subprocess.DEVNULL, cwd="/", **self._as,
        )  # fmt: skip
        ready = [self._bin / "pg_isready", "-q", f"-p{self.port}", "-h127.0.0.1"]
        for _ in range(200):
            if subprocess.run(ready, check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError("PostgreSQL did not come up")

    def kill(self) -> None:
        """As by a power cut, as far as the server is concerned."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(20)


class FhirServer:
    """The FHIR server of Medplum on loopback."""

    def __init__(self) -> None:
        node = found("node")
        if not (FHIR_SERVER / "node_modules").is_dir():
            pytest.skip("needs the FHIR server: make fhir-server")
        port = free_port()
        self.base = f"http://127.0.0.1:{port}/charts"
        self.process = subprocess.Popen(
            [node, "server.mjs", str(port)], cwd=FHIR_SERVER, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until_up(f"{self.base}/none/fhir/metadata", self.process)

    def load(self, name: str, resources: list[dict]) -> str:
        """Make a chart; its base."""
        requests.put(f"{self.base}/{name}", json=resources, timeout=10).raise_for_status()
        return f"{self.base}/{name}/fhir"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)
