"""The suites: which contests there are, with whom and how large.

Decides with which of its own options a peer takes part: those that its manual recommends for such work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.contest import Contest
from benchmarks.data import DISK, Files
from benchmarks.figures import Figure
from benchmarks.peers.base import Peer
from benchmarks.peers.fdt import Fdtcp
from benchmarks.peers.flows import Iperf3, Nuttcp
from benchmarks.peers.gridftp import GridFtp
from benchmarks.peers.local import Cp, Dd, TarNc
from benchmarks.peers.rclone import Rclone
from benchmarks.peers.rsync import Rsync
from benchmarks.peers.xrootd import Xrootd
from benchmarks.targets import GRIDFTP_SUMS, NO_SUM, OURS
from benchmarks.wan import over_wire
from benchmarks.work import Flow
from fdtcp.units import GIB, KIB, MIB

_SMALL: Final = 16 * KIB
# Pacing costs half of a host's own rate, so fdtcp does not pace within a host; nor may others.
CONGESTION: Final = "cubic"


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the contests are: bytes of a large file, numbers of small ones, seconds of a flow."""

    large: int = 8 * GIB
    small: int = 20_000
    many: int = 200_000
    medium: int = 2_000  # files of 1 MiB
    tiny_rounds: int = 20
    flow: int = 16 * GIB
    flow_s: float = 4.0
    wan_tried: tuple[int, ...] = (1, 4, 8, 16, 32, 64)
    wan_s: float = 10.0
    wan_congestion: str = ""
    scaling_rounds: int = 3
    scaling_files: tuple[int, ...] = (1, 10, 100, 1_000, 100_000)
    scaling_streams: tuple[int, ...] = (1, 2, 4, 8, 16)


# A few minutes on two cores, and half a gigabyte of memory.
QUICK: Final = Scale(
    large=512 * MIB,
    small=2_000,
    many=20_000,
    medium=200,
    tiny_rounds=5,
    flow=2 * GIB,
    flow_s=1.0,
    wan_tried=(8, 16),
    wan_s=4.0,
    scaling_rounds=1,
    scaling_files=(1, 10, 100, 1_000, 10_000),
    scaling_streams=(1, 4, 16),
)


def large(scale: Scale) -> Iterator[Contest]:
    """Copy one large file from the page cache to a tmpfs, with checksum and without."""
    others = (Rsync(), Rclone("rclone", 4), Xrootd("xrdcp"), Xrootd("xrdcp, no checksum", has_sums=False), TarNc())
    peers = (Cp(), Fdtcp(), _without_sum(), *_gridftp_of_large(), *_gridftp_with_sums("-p 1"), *others)
    yield Contest("large", Files(1, scale.large, source=DISK), peers)


def four(scale: Scale) -> Iterator[Contest]:
    """Copy four files of a quarter each: one a stream."""
    gridftp = [GridFtp(f"gridftp -cc {files}", ["-cc", str(files)]) for files in (2, 4)]
    gridftp += _gridftp_with_sums("-cc 2")
    others = (Rsync(), Rclone("rclone", 4), Xrootd("xrdcp --parallel 4", ["--parallel", "4"]), TarNc())
    peers = (Cp(), Fdtcp(), _streams(4), *gridftp, *others)
    yield Contest("four", Files(4, scale.large // 4, source=DISK), peers)


def ext4(scale: Scale) -> Iterator[Contest]:
    """Copy one large file to a disk, until it would survive a loss of power."""
    peers = (Cp("cp + syncfs"), Fdtcp(), Dd(), Dd("dd oflag=direct", ("oflag=direct",)), GridFtp("gridftp + syncfs"))
    yield Contest("ext4", Files(1, scale.large, destination=DISK, is_durable=True), peers)


def small(scale: Scale) -> Iterator[Contest]:
    """Copy many small files; ten times as many; and files of 1 MiB."""
    others = (Rsync(), Rclone("rclone", 16), Xrootd("xrdcp --parallel 4", ["--parallel", "4"]), TarNc())
    peers = (Cp(), Fdtcp(), *_gridftp_of_small(), *others)
    yield Contest("small", Files(scale.small, _SMALL), peers, Figure.FILES)
    yield Contest("small-many", Files(scale.many, _SMALL), (Cp(), Fdtcp()), Figure.FILES)
    yield Contest("small-1MiB", Files(scale.medium, MIB), peers)


def memory(scale: Scale) -> Iterator[Contest]:
    """Send from memory to memory: what the network and the programs on it can do when no storage takes part."""
    for streams in (1, 4):
        # fdtcp takes cubic on loopback by itself; without a namespace of our own its peers have to be told.
        options = ("--congestion", CONGESTION)
        summing = Fdtcp(OURS, options)
        peers = (Iperf3(congestion=CONGESTION), Nuttcp(), Fdtcp(NO_SUM, (*options, "--checksum", "none")), summing)
        yield Contest(f"memory-{streams}", Flow(streams, scale.flow, scale.flow_s), peers)


def scaling(scale: Scale) -> Iterator[Contest]:
    """Look for cliffs: what a GB costs with more streams, and a file with more files."""
    for streams in scale.scaling_streams:
        peers = (Fdtcp(OURS, ("--streams", str(streams))),)
        files = Files(1, scale.large // 4)
        yield Contest(f"streams-{streams}", files, peers, rounds=scale.scaling_rounds)
    for count in scale.scaling_files:
        peers = (Fdtcp(),)
        yield Contest(f"files-{count}", Files(count, _SMALL), peers, Figure.FILES, scale.scaling_rounds)


def tiny(scale: Scale) -> Iterator[Contest]:
    """Copy one file of a byte: what a transfer costs before anything has moved."""
    peers = (Cp(), Fdtcp(), GridFtp("gridftp"), GridFtp("gridftp, GSI, third party", third_party=True, gsi=True))
    yield Contest("tiny", Files(1, 1), peers, Figure.WHOLE, scale.tiny_rounds)


def third_party(scale: Scale) -> Iterator[Contest]:
    """Copy from server to server, as we always do: one large file, and many small ones."""
    files = Files(1, scale.large, source=DISK)
    peers = [GridFtp(f"gridftp -p {streams}", ["-p", str(streams)], third_party=True) for streams in (1, 4)]
    yield Contest("third-party-large", files, (Fdtcp(), _without_sum(), *peers))
    many: tuple[Peer, ...] = (Fdtcp(), GridFtp("gridftp -cc 4 -pp", ["-cc", "4", "-pp"], third_party=True))
    yield Contest("third-party-small", Files(scale.small, _SMALL), many, Figure.FILES)


def wan(scale: Scale) -> Iterator[Contest]:
    """Send over long wires of 1 Gbit/s, beside the best number of streams that iperf3 can be given; needs root."""
    for rtt_s in (0.02, 0.05, 0.1):
        for loss in (0.0, 0.001):
            yield from over_wire(rtt_s, loss, scale.wan_tried, scale.wan_s, scale.wan_congestion)


SUITES: Final[dict[str, Callable[[Scale], Iterator[Contest]]]] = {
    "large": large,
    "four": four,
    "ext4": ext4,
    "small": small,
    "tiny": tiny,
    "memory": memory,
    "scaling": scaling,
    "wan": wan,
    "third-party": third_party,
}
# What runs if nothing else is said: all that has targets.
DEFAULT: Final = ("memory", "large", "four", "ext4", "small", "tiny")


def _without_sum() -> Fdtcp:
    return Fdtcp(NO_SUM, ["--checksum", "none"])


def _streams(number: int) -> Fdtcp:
    return Fdtcp(f"{OURS} --streams {number}", ["--streams", str(number)])


def _gridftp_of_large() -> list[GridFtp]:
    return [GridFtp(f"gridftp -p {streams}", ["-p", str(streams)]) for streams in (1, 4)]


def _gridftp_with_sums(options: str) -> list[GridFtp]:
    """Return those that sum each file at both ends: with the cheapest sum, and with the one that it takes unasked."""
    given = options.split()
    return [
        GridFtp(f"{GRIDFTP_SUMS} {options}, third party", given, third_party=True, checksum="ADLER32"),
        GridFtp(f"gridftp with md5 {options}", given, checksum="MD5"),
    ]


def _gridftp_of_small() -> list[GridFtp]:
    options = ["-cc", "4", "-pp"]
    return [
        GridFtp("gridftp"),
        GridFtp("gridftp -cc 4 -pp", options),
        GridFtp("gridftp -cc 4 -pp, GSI", options, gsi=True),
    ]
