"""The command line of fdtcp.

Decides its spellings, those that PhEDEx-like callers use included (BACKEND_CONTRACT.md), and what may not be said
together.  The values of a transfer's options are read by `fdtcp.model.options`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Final

from fdtcp.errors import UsageError
from fdtcp.model.options import MEANINGLESS, OLD_OPTIONS
from fdtcp.units import parse_duration
from fdtcp.value import dataclass

if TYPE_CHECKING:
    from typing import NoReturn

_EPILOG: Final = """\
A file is named fdt://host:port/path (port 8444 if left out).  A copyjobfile has a line FROM_PFN TO_PFN for each file,
or is a JSON list of {"source": ..., "destination": ...}.  Exit codes: 0 all files done or skipped because the same is
there; 2 something else exists; 3 permission; 1 any other or a mixture; 64 the command itself cannot be acted on.
`fdtcp demo` shows a whole transfer between two daemons on this machine.  Jobs that were begun with --detach are for
`fdtcp attach|status|cancel|renew ID@host:port` and `fdtcp rate ID@host:port SIZE`; status and rate are also for those
that run in another terminal, which says their names."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What the user asked for.  `given` holds the texts of the options of a transfer by name, old names included."""

    pair: tuple[str, str] | None
    copyjob: str | None
    report: str | None = None
    json: str | None = None
    log_file: str | None = None
    config: str | None = None
    debug: str = "INFO"
    timeout: float | None = None
    proxy: str | None = None
    account: str | None = None
    source_account: str | None = None
    destination_account: str | None = None
    token: str | None = None
    monitor_id: str = ""
    is_delegated: bool = False
    is_detached: bool = False
    delegate_hours: float | None = None
    given: dict[str, str] = field(default_factory=dict)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting with 2, which would mean "exists" to a caller."""
        raise UsageError(message, remedy=f"{self.prog} --help shows what can be said")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print the installed version; asking for it costs 20 ms, so nobody else does."""
        from importlib.metadata import version

        print(f"fdtcp {version('fdtcp')}")
        parser.exit()


def parse_arguments(arguments: Sequence[str]) -> CommandLine:
    """Read the command line.  Raises UsageError; --help and --version print and exit with 0."""
    parser = _build()
    found = vars(parser.parse_args(arguments))
    names, copyjob = found["names"], found["copyjobfile"]
    if copyjob is not None and names:
        raise UsageError("name two files or a copyjobfile, not both")
    if copyjob is None and len(names) != 2:
        raise UsageError(
            f"a source and a destination are needed, and there are {len(names)} names",
            remedy="give two, or a --copyjobfile; fdtcp --help shows what can be said",
        )
    _check_detached(found)
    given = {name: found[name] for name in (*_NEW, *_FLAGS, *OLD_OPTIONS) if found.get(name) is not None}
    return CommandLine(
        pair=(names[0], names[1]) if names else None,
        copyjob=copyjob,
        report=found["report"],
        json=found["json"],
        log_file=found["logFile"],
        config=found["config"],
        debug=found["debug"].upper(),
        timeout=parse_timeout(found["timeout"]),
        proxy=found["x509userproxy"],
        account=found["account"],
        source_account=found["source_account"],
        destination_account=found["destination_account"],
        token=found["token"],
        monitor_id=found["monID"],
        is_delegated=found["delegate"],
        is_detached=found["detach"],
        delegate_hours=parse_hours(found["delegate_hours"]),
        given=given,
    )


def _check_detached(found: Mapping[str, object]) -> None:
    """Refuse what only somebody who stays can have."""
    if found["detach"] and found["delegate"]:
        raise UsageError("--detach hands over a proxy already: leave --delegate out")
    for option in ("report", "json"):
        if found["detach"] and found[option] is not None:
            raise UsageError(f"--{option} has nothing to say before the job ends", remedy="give it to fdtcp attach")
    if found["delegate_hours"] is not None and not (found["detach"] or found["delegate"]):
        raise UsageError("--delegate-hours belongs to --delegate or --detach")


def parse_hours(text: str | None) -> float | None:
    """Read the value of --delegate-hours.  Raises UsageError."""
    if text is None:
        return None
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    # A year is longer than any certificate of a user; written so that NaN fails too.
    if not 0 < hours <= 8784:
        raise UsageError(f"--delegate-hours: {text!r} is not a number of hours such as 24")
    return hours


def parse_timeout(text: str | None) -> float | None:
    """Read the value of --timeout.  Raises UsageError."""
    if text is None:
        return None
    try:
        seconds = parse_duration(text)
    except ValueError as exc:
        raise UsageError(f"--timeout: {exc}") from exc
    # A day is longer than anybody waits; infinity would be no deadline.
    if not 0 < seconds <= 86400:
        raise UsageError(f"--timeout: {text} must be more than 0 and at most a day")
    return seconds


_NEW: Final = {
    "checksum": ("none|adler32|crc32", "end-to-end checksum (default: adler32)"),
    "sync": ("file|batch|none", "when files are made safe: each by itself, several at once (default), or not at all"),
    "direct": (
        "auto|yes|no",
        "write past the page cache: what is much for the memory there (default), all, or nothing",
    ),
    "verify": (
        "flight|disk",
        "what is compared with the source's checksum: what has arrived (default), or also what the disk gives back",
    ),
    "on_exists": (
        "skip-same|overwrite|update|fail",
        "what to do when the destination exists: skip the same file and leave another alone (default), replace it, "
        "replace it unless it is the same (by time or size), or leave it alone",
    ),
    "same_by": (
        "checksum|time|size",
        "what makes an existing file the same: its content (default), its size and time, or its size; with the latter "
        "two neither its content nor its safety is looked at",
    ),
    "streams": ("N", "data streams of a job (default: the site chooses)"),
    "block_size": ("SIZE", "bytes that are checked and sent anew at once (default: 4MiB)"),
    "rate_limit": ("SIZE", "bytes per second of a job (default: no limit)"),
    "stream_rate": ("SIZE", "bytes per second of each stream, paced by the source's kernel (default: no limit)"),
    "readers": ("N", "files of one device that are read at the same time (default: as many as there are streams)"),
    "writers": ("N", "files of one device that are written at the same time (default: as many as there are streams)"),
    "congestion": ("NAME", "TCP congestion control of the streams, such as cubic or bbr"),
    "buffer_size": ("SIZE", "socket buffers (default: the kernel tunes them)"),
    "zero_size": ("SIZE", "how long /dev/zero is taken to be (default: 8GiB)"),
    "resume": (
        "auto|never|require",
        "go on with what an earlier attempt has made safe of a file if that can be done (default), start it over, or "
        "fail rather than lose it",
    ),
    "keep_partials": (
        "yes|no",
        "keep what is safe of unfinished files for the next attempt, which needs a checksum to go on (default: yes)",
    ),
    "stall_timeout": ("S", "a stream without a byte for so long is dead (default: 30s)"),
    "connect_timeout": ("S", "how long a stream may take to connect (default: 10s)"),
    "source_addresses": ("A,B", "use only these data addresses of the source"),
    "destination_addresses": ("A,B", "use only these data addresses of the destination"),
}

# Flags that are words of an option which the configuration knows, too.
_FLAGS: Final = {
    "encrypt": {
        "--encrypt": ("yes", "encrypt the data streams (default: as the sites say)"),
        "--no-encrypt": ("no", "do not, where the sites leave it to users"),
    },
    "reverse": {"--reverse": ("yes", "let the destination connect to the source: for firewalls that want it so")},
}


def add_common(parser: argparse.ArgumentParser, which: str) -> None:
    """Add what every command takes; `which` daemon has to let us in, "a" or "the"."""
    add = parser.add_argument
    add("-l", "--logFile", metavar="F", help="append the log to this file, too")
    add("-c", "--config", metavar="F", help="read this configuration (default: /etc/fdtcp/fdtcp.conf)")
    add("-d", "--debug", metavar="LEVEL", default="INFO", help="DEBUG: tell each step of each job as well")
    add("-t", "--timeout", metavar="S", help=f"how long {which} daemon may take to let us in (default: 10s)")
    add("-x", "--x509userproxy", metavar="F", help="the proxy (default: $X509_USER_PROXY, else /tmp/x509up_u<uid>)")


def _build() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fdtcp",
        usage="fdtcp [options] SOURCE DESTINATION | fdtcp [options] --copyjobfile F | fdtcp demo [options]\n"
        "       fdtcp attach|status|cancel|renew [options] ID@host:port | fdtcp rate [options] ID@host:port SIZE|none",
        description="Move files between two storage hosts; the bytes go from the one to the other, not through here.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="PFN", help="the source and the destination of one file")
    add("--version", action=_Version, nargs=0, help="show the version and exit")
    add("-f", "--copyjobfile", metavar="F", help="the list of files to move")
    add("-r", "--report", metavar="F", help="write a line for each file: FROM TO STATUS DETAIL")
    add("--json", metavar="F", help="write the whole result as JSON (-: to standard output, the log goes to stderr)")
    add_common(parser, "a")
    add("--account", metavar="NAME", help="the account to be mapped to at both sites, if they allow several")
    add("--source-account", metavar="NAME", help="the same at the site of the source only")
    add("--destination-account", metavar="NAME", help="the same at the site of the destination only")
    add("--token", metavar="F", help="limit the run to what this bearer token allows (discover: the usual places)")
    add("--monID", metavar="ID", default="", help="a name of the caller's for this run; it is repeated in the result")
    alone = parser.add_argument_group("jobs that go on without this program")
    alone.add_argument("--delegate", action="store_true", help="let the destination go on if this program is lost")
    alone.add_argument(
        "--detach", action="store_true", help="leave at once; standard output has the job's ID@host:port"
    )
    alone.add_argument(
        "--delegate-hours",
        metavar="H",
        help="how long the destination may act as you (default: 12, or the proxy's end)",
    )
    how = parser.add_argument_group("how files are moved")
    for name, (metavar, text) in _NEW.items():
        how.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar=metavar, help=text)
    for name, flags in _FLAGS.items():
        for flag, (word, text) in flags.items():
            how.add_argument(flag, dest=name, action="store_const", const=word, help=text)
    old = parser.add_argument_group("options of the ancestor")
    old.add_argument("--customClientIP", metavar="A,B", help="as --source-addresses")
    old.add_argument("--customServerIP", metavar="A,B", help="as --destination-addresses")
    old.add_argument("--rateLimit", metavar="KB/S", help="as --rate-limit, in KB per second")
    old.add_argument("--windowSize", metavar="N[K|M]", help="as --buffer-size")
    old.add_argument("--readersCount", "--readerrsCount", dest="readersCount", metavar="N", help="as --readers")
    old.add_argument("--writersCount", metavar="N", help="as --writers")
    old.add_argument("--bufferSize", metavar="KB", help="as --block-size, in KB, brought within 256 KB and 64 MB")
    for name in MEANINGLESS:
        old.add_argument(f"--{name}", metavar="X", help="accepted with a warning, changes nothing")
    return parser
