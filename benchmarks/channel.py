"""What authentication adds to a transfer: connect + mutual TLS with a proxy + map + first call, on loopback.

    python -m benchmarks.channel [ROUNDS]

The daemon runs as a process of its own, as it does in life; 200 silent strangers are connected during the second half.
"""

from __future__ import annotations

import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack

from authsvc import ca
from authsvc.channel import Acceptor, Connection
from authsvc.credentials import Credential
from authsvc.gridmap import GridmapFile

HOST = "127.0.0.2"
STRANGERS = 200
# The budget of the design: authentication that costs more gets switched off.
BUDGET_MS = 25.0


def serve(directory: str, cert: str, key: str) -> None:
    """Be the daemon until stdin closes; print the port first."""
    gridmap = GridmapFile(os.path.join(directory, "grid-mapfile"))
    acceptor = Acceptor(
        listen=[(HOST, 0)],
        credential=Credential(cert, key),
        ca_dir=ca.LabCa(directory).certificates,
        authorise=lambda identity, _requested: gridmap.accounts_of(identity.dn)[0],
        handler_for=lambda _caller: lambda _name, argument: argument,
        version="benchmark",
    )
    acceptor.start()
    print(acceptor.addresses[0][1], flush=True)
    for _ in sys.stdin:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
    acceptor.stop()


def measure(port: int, credential: Credential, ca_dir: str, rounds: int) -> tuple[float, float, float]:
    """Return median and worst time of a first call, and the median of a later one, in ms."""
    first: list[float] = []
    later: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        deadline = time.monotonic() + 10
        with Connection.open(HOST, port, credential=credential, ca_dir=ca_dir, deadline=deadline) as connection:
            connection.call("echo", {}, 10)
            first.append(time.perf_counter() - start)
            start = time.perf_counter()
            connection.call("echo", {}, 10)
            later.append(time.perf_counter() - start)
    return statistics.median(first) * 1e3, max(first) * 1e3, statistics.median(later) * 1e3


def main(rounds: int) -> int:
    """Measure with and without strangers; exit status 1 if the budget is exceeded."""
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        lab = ca.init_ca(directory)
        host = ca.issue_host(lab, HOST)
        proxy = ca.issue_proxy(ca.issue_user(lab, "Some Body"), os.path.join(directory, "proxy"))
        with open(os.path.join(directory, "grid-mapfile"), "w", encoding="utf-8") as file:
            file.write('"/O=fdt-lab/CN=Some Body" somebody\n')
        daemon = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.channel", "serve", directory, host.cert_path, host.key_path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        assert daemon.stdin is not None
        assert daemon.stdout is not None
        stack.callback(daemon.stdin.close)
        port = int(daemon.stdout.readline())
        median, worst, later = measure(port, proxy, lab.certificates, rounds)
        print(f"connect + TLS + map + first call: median {median:.1f} ms, worst {worst:.1f} ms of {rounds}")
        print(f"a later call: median {later:.2f} ms")
        before = _resident(daemon)
        for _ in range(STRANGERS):
            stack.enter_context(socket.create_connection((HOST, port)))
        crowded, worst, _ = measure(port, proxy, lab.certificates, rounds)
        grown = (_resident(daemon) - before) / 1024
        print(f"among {STRANGERS} silent strangers: median {crowded:.1f} ms, worst {worst:.1f} ms; +{grown:.0f} MB")
    return 0 if median < BUDGET_MS else 1


def _resident(daemon: subprocess.Popen[str]) -> int:
    assert daemon.stdin is not None
    assert daemon.stdout is not None
    daemon.stdin.write("\n")
    daemon.stdin.flush()
    return int(daemon.stdout.readline())


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(*sys.argv[2:])
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50))
