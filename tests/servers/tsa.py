"""A time stamping authority: OpenSSL's `ts` behind HTTP (RFC 3161, 3.4), with an authority of its own."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

_CONFIG: Final = """\
[tsa]
default_tsa = one
[one]
dir = {dir}
serial = $dir/serial
signer_cert = $dir/tsa.pem
signer_key = $dir/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = {digests}
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""
_SIGNER: Final = (
    "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n"
)


@dataclass
class Tsa:
    """A running authority. `ca` is its root in PEM; `answer` replaces what it answers, `status` its HTTP status.

    With `chain` the root is embedded in answers as well, out of DER's order.
    """

    url: str
    ca: Path
    folder: Path
    answer: bytes | None = None
    status: int = 200
    chain: bool = False
    queries: list[bytes] = field(default_factory=list)

    def reply(self, query: bytes, *, digests: str = "sha256, sha512") -> bytes:
        """What OpenSSL answers."""
        config = self.folder / "tsa.cnf"
        text = _CONFIG.format(dir=self.folder, digests=digests)
        config.write_text(text + (f"certs = {self.ca}\n" if self.chain else ""))
        (self.folder / "query.tsq").write_bytes(query)
        command = ["ts", "-reply", "-config", str(config), "-queryfile", "query.tsq", "-out", "reply.tsr"]
        openssl(*command, cwd=self.folder)
        return (self.folder / "reply.tsr").read_bytes()


def openssl(*args: str, cwd: Path) -> None:
    """Run OpenSSL, which must succeed."""
    done = subprocess.run(["openssl", *args], cwd=cwd, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def make_authority(folder: Path) -> Path:
    """A root and a signer of time stamps in `folder`. Returns the root's certificate."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    root = [*key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Example Time Stamping Root", "-days", "3650"]
    openssl("req", "-x509", *root, cwd=folder)
    openssl("req", *key, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=Example Time Stamping", cwd=folder)
    (folder / "ext.cnf").write_text(_SIGNER)
    signing = ["-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650"]
    openssl("x509", *signing, "-extfile", "ext.cnf", "-out", "tsa.pem", cwd=folder)
    (folder / "serial").write_text("01\n")
    return folder / "ca.pem"


@contextlib.contextmanager
def serve_tsa(folder: Path) -> Iterator[Tsa]:
    """An authority whose files lie in `folder`."""
    folder = folder.resolve()  # OpenSSL runs in it
    ca = make_authority(folder)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                tsa.queries.append(query)
                body = tsa.reply(query) if tsa.answer is None else tsa.answer
            self.send_response(tsa.status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its base's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tsa = Tsa(f"http://127.0.0.1:{server.server_port}/tsr", ca, folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield tsa
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
