"""The ceilings of the network: iperf3 and nuttcp, which send what is in their memory and drop what arrives."""

from __future__ import annotations

import json
import re
from math import ceil
from typing import Final

from benchmarks.metering import CommandFailed, Meter
from benchmarks.peers.base import Peer, free_port, wait_announced, wait_listening
from benchmarks.peers.fdt import LOOPBACK
from benchmarks.work import DESTINATION, SOURCE, Flow, Measurement, Work
from fdtcp.cli.lab import LabHost

_BITS: Final = 8
_NUTTCP_MEGABYTE: Final = 1 << 20


class Iperf3(Peer):
    """iperf3 from the first host to a data address of the second; `streams` instead of the work's, if given."""

    programs = ("iperf3",)
    packages = ("iperf3",)

    def __init__(
        self,
        label: str = "iperf3",
        *,
        hosts: tuple[LabHost, LabHost] = LOOPBACK,
        streams: int = 0,
        congestion: str = "",
    ) -> None:
        super().__init__(label)
        self._hosts = hosts
        self._streams = streams
        self._congestion = ("--congestion", congestion) if congestion else ()

    def run(self, work: Work) -> Measurement:
        """Send for the work's seconds.  What the receiver has counted is what has moved."""
        assert isinstance(work, Flow)
        near, far = self._hosts
        streams = self._streams or work.streams
        address, port = far.data[0], str(free_port())
        server = [*far.command, "iperf3", "--server", "--one-off", "--forceflush", "--bind", address, "--port", port]
        client = [*near.command, "iperf3", "--client", address, "--port", port, "--json", *self._congestion]
        client += ["--parallel", str(streams), "--time", str(work.seconds)]
        with Meter() as meter:
            receiver = meter.start(DESTINATION, server)
            wait_announced(receiver.output, r"listening on (\d+)", receiver.process)
            said = meter.run(SOURCE, client)
            meter.wait(receiver)
        received = json.loads(said)["end"]["sum_received"]
        return _measurement(meter, received["bytes"], received["bits_per_second"] / _BITS, streams)


class Nuttcp(Peer):
    """nuttcp on loopback; it has no option for the congestion control and takes the kernel's."""

    programs = ("nuttcp",)
    packages = ("nuttcp",)

    def __init__(self, label: str = "nuttcp") -> None:
        super().__init__(label)

    def run(self, work: Work) -> Measurement:
        """Send for the work's seconds.  What it reports is what its receiver has counted."""
        assert isinstance(work, Flow)
        address, control, data = LOOPBACK[1].data[0], str(free_port()), str(free_port())
        client = [
            "nuttcp",
            "-P",
            control,
            "-p",
            data,
            f"-T{ceil(work.seconds)}",
            f"-N{work.streams}",
            "-fparse",
            address,
        ]
        with Meter() as meter:
            receiver = meter.start(DESTINATION, ["nuttcp", "-1", "--nofork", "-P", control])
            wait_listening(int(control), receiver.process)
            said = meter.run(SOURCE, client)
            meter.wait(receiver)
        found = dict(re.findall(r"(\w+)=([\d.]+)", said))
        try:
            size, seconds = float(found["megabytes"]) * _NUTTCP_MEGABYTE, float(found["real_seconds"])
        except KeyError:
            raise CommandFailed(f"nuttcp says {said.strip()!r}") from None
        return _measurement(meter, int(size), size / seconds, work.streams)


def _measurement(meter: Meter, size: int, rate: float, streams: int) -> Measurement:
    """Return what was measured; rate is bytes a second."""
    if size <= 0 or rate <= 0:
        raise CommandFailed("nothing has arrived")
    return Measurement(size, 1, meter.seconds, size / rate, "its own report", meter.usage, streams)
