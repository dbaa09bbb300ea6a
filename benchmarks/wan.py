"""Memory to memory over a long wire: fdtcp with default options (streams: automatic) beside the best hand-tuned iperf3.

Decides what hand-tuned means: iperf3 is tried with several numbers of streams, and the best of them takes part.  fdtcp
moves what that one would move in the same time, so that both begin as slowly.  Both hosts are network namespaces
(tests/helpers/wan.py) with a wire in user space of 1 Gbit/s and 50 ms of queue between them; the daemons run in the
namespaces, and fdtcp beside the source; commands go over a short wire.  It takes part both ways round: who connects
shall make no difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.contest import Contest
from benchmarks.peers.fdt import Fdtcp
from benchmarks.peers.flows import Iperf3
from benchmarks.targets import OURS
from benchmarks.work import Flow
from fdtcp.cli.lab import LabHost
from tests.helpers.wan import NETWORK, End, Wan


def over_wire(
    rtt_s: float, loss: float, tried: Sequence[int], seconds: float, congestion: str = ""
) -> Iterator[Contest]:
    """Yield the contest over a wire with that round trip and loss (a fraction of packets), which is there meanwhile.

    `congestion` is the congestion control of both; without it they take the kernel's.
    """
    options = ("--congestion", congestion) if congestion else ()
    with Wan(rtt_s, loss) as wire:
        hosts = (_host("source", wire.near), _host("destination", wire.far))
        iperf3 = Iperf3(hosts=hosts, congestion=congestion)
        rates = {streams: iperf3.run(Flow(streams, 0, seconds)).rate for streams in tried}
        best = max(rates, key=rates.__getitem__)
        peers = (
            Iperf3(f"iperf3 -P {best}", hosts=hosts, streams=best, congestion=congestion),
            Fdtcp(options=options, hosts=hosts, networks=NETWORK),
            Fdtcp(f"{OURS} --reverse", (*options, "--reverse"), hosts=hosts, networks=NETWORK),
        )
        work = Flow(0, int(rates[best] * seconds), seconds)
        yield Contest(name_of(rtt_s, loss), work, peers)


def name_of(rtt_s: float, loss: float) -> str:
    """Return what the contest over that wire is called."""
    return f"wan {rtt_s * 1000:.0f} ms {loss:.1%}"


def _host(name: str, end: End) -> LabHost:
    return LabHost(name, end.control, (end.data,), end.command)
