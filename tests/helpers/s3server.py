"""A real S3 server (moto) in a process of its own, with one bucket."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

BUCKET = "bucket"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "account", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
DEADLINE_S = 30.0

# moto's own program says its port nowhere, so the kernel could not choose it.
PROGRAM = """
from werkzeug.serving import make_server
from moto.server import DomainDispatcherApplication, create_backend_app
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextmanager
def s3_server() -> Iterator[str]:
    """Yield the endpoint's URL."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        endpoint = f"http://127.0.0.1:{int(process.stdout.readline())}"
        request(endpoint, "PUT", f"/{BUCKET}")
        yield endpoint
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def request(endpoint: str, method: str, path: str, data: bytes | None = None) -> bytes:
    """Make one request as S3 takes it; the server asks for no signature."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            plain = urllib.request.Request(endpoint + path, data, method=method)  # noqa: S310  # our own server
            with urllib.request.urlopen(plain, timeout=DEADLINE_S) as answer:  # noqa: S310  # our own server
                return bytes(answer.read())
        except urllib.error.HTTPError:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
