"""The commands for jobs that were detached: `fdtcp attach`, `status`, `cancel`, `renew` and `rate`.

Decides that coming back looks as if one had stayed: the same output, report and exit code.  A result that was written
down here is forgotten at the daemon, another stays there for a day.  `status` and `rate` are also for jobs that an
fdtcp in another terminal drives: who asks need not know how a job was begun.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from typing import Final

from fdtcp.attended import attended
from fdtcp.channels import Identity, accounts_by_side
from fdtcp.cli.arguments import CommandLine, Parser, add_common, parse_hours, parse_timeout
from fdtcp.cli.config import load_config
from fdtcp.cli.detach import append_to, follow
from fdtcp.cli.output import Log, complain
from fdtcp.cli.progress import describe
from fdtcp.cli.signals import Signals
from fdtcp.cli.summary import greet
from fdtcp.cli.transfer import check_distinct
from fdtcp.contract import WatchReply
from fdtcp.detached import FollowReply
from fdtcp.errors import FdtError, RemoteProblem, Status, UsageError
from fdtcp.following import Following
from fdtcp.handover import DELEGATE_HOURS, renew
from fdtcp.model.job import group
from fdtcp.model.ticket import Ticket
from fdtcp.report import ReportFile
from fdtcp.stages import Stage
from fdtcp.thirdparty import UNKNOWN_SESSION, Progress
from fdtcp.units import format_bit_rate, format_rate, format_size, parse_size

COMMANDS: Final = ("attach", "status", "cancel", "renew", "rate")
_WHAT: Final = {
    "attach": "Watch a detached job to its end, as if it had been begun here.  Ctrl-C leaves it again.",
    "status": "Say in one line how a job is: running, done, failed or cancelled, how far, and what limit holds.",
    "renew": "Give a detached job another proxy of yours, before the one that it has ends.",
    "rate": "Let a job go on faster or slower, from now on.",
    "cancel": "Stop a detached job; what is not final then has failed.",
}


def main(command: str, arguments: Sequence[str]) -> int:
    """Run one of the commands and return its exit code."""
    signals = Signals()
    try:
        ticket, line, rate = _parse(command, arguments)
    except UsageError as exc:
        with Log(sys.stdout) as log:
            complain(exc, log)
        return int(Status.USAGE)
    with Log(sys.stderr if line.json == "-" else sys.stdout, is_debug=line.debug == "DEBUG") as log:
        try:
            return _run(command, ticket, line, rate, log, signals.is_caught)
        except FdtError as exc:
            complain(exc, log)
            return int(Status.USAGE if isinstance(exc, UsageError) else Status.GENERAL)


def _run(command: str, ticket: Ticket, line: CommandLine, rate: int, log: Log, should_stop: Callable[[], bool]) -> int:
    check_distinct(line)
    with ExitStack() as stack:
        if line.log_file is not None:
            log.add_file(line.log_file)
        report = stack.enter_context(ReportFile(line.report)) if line.report is not None else None
        config = load_config(line.config, os.environ)
        accounts = accounts_by_side(line.account or config.account)
        identity = Identity(line.proxy, config.ca_dir, accounts, config.peers, trust=config.trust)
        contact = line.timeout or config.timeout
        following = stack.enter_context(
            closing(Following(ticket, identity.open, contact=contact, on_final=append_to(report)))
        )
        if command == "attach":
            following.recall()
            greet(following.transfers, group(following.transfers), log)
            return follow(following, line, report, log, should_stop)
        if command == "renew":
            renew(ticket, identity, hours=line.delegate_hours or DELEGATE_HOURS, contact=contact)
        if command == "cancel":
            following.recall()
            following.cancel()
        try:
            if command == "rate":
                following.change_rate(rate)
            status = _say_status(following.look(0.0))
        except RemoteProblem as exc:
            if command not in ("status", "rate") or exc.remote.code != UNKNOWN_SESSION:
                raise
            # Not a detached one; if it is nobody's, the daemon says so again.
            with attended(ticket, identity.open, contact=contact) as job:
                if command == "rate":
                    job.change_rate(rate)
                status = _say_attended(job.look())
        print(status, flush=True)
        return int(Status.GOOD)


def _say_status(reply: FollowReply) -> str:
    done, skipped, failed, total, moved = (
        sum(getattr(part, name) for part in reply.parts) for name in ("done", "skipped", "failed", "total", "moved")
    )
    whole = Progress(Stage.MOVING, reply.files, done, skipped, failed, total, moved, ())
    if not reply.ended:
        word = "running"
    elif reply.cancelled:
        word = "cancelled"
    else:
        word = "done" if whole.done + whole.skipped == reply.files else "failed"
    rate = whole.moved / reply.seconds if reply.seconds > 0 else 0.0
    until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(reply.not_after))
    limit = _say_limit([part.rate for part in reply.parts])
    tail = f"{limit}; acts as you until {until}" if word == "running" else ""
    return f"{word}: {describe([whole], rate)}{tail}"


def _say_attended(reply: WatchReply) -> str:
    limit = "" if reply.ended else _say_limit([reply.rate])
    return f"{'ended' if reply.ended else 'running'}: {format_size(reply.moved)} moved{limit}"


def _say_limit(rates: Sequence[int | None]) -> str:
    """Say what limit holds for all parts of a job together, if one does."""
    known = [rate for rate in rates if rate]
    if not known or len(known) < len(rates):
        return ""
    return f"; at most {format_rate(sum(known))} ({format_bit_rate(sum(known))})"


def _parse_rate(text: str) -> int:
    try:
        return 0 if text == "none" else parse_size(text)
    except ValueError as exc:
        raise UsageError(f"rate: {exc}, and not none") from exc


def _parse(command: str, arguments: Sequence[str]) -> tuple[Ticket, CommandLine, int]:
    parser = Parser(
        prog=f"fdtcp {command}",
        description=_WHAT[command],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    printed = (
        "what fdtcp printed, also one that runs" if command in ("status", "rate") else "what fdtcp --detach printed"
    )
    add("ticket", metavar="ID@host:port", help=printed)
    if command == "rate":
        add("rate", metavar="SIZE|none", help="bytes per second for each pair of hosts, within the sites' limits")
    if command == "attach":
        add("-r", "--report", metavar="F", help="write a line for each file: FROM TO STATUS DETAIL")
        add("--json", metavar="F", help="write the whole result as JSON (-: to standard output, the log to stderr)")
        add("--monID", metavar="ID", default="", help="a name of the caller's, repeated in the result")
    if command == "renew":
        add("--delegate-hours", metavar="H", help="how long the proxy shall last (default: 12, or your proxy's end)")
    add_common(parser, "the")
    add("--account", metavar="NAME", help="the account to be mapped to, if the site allows several")
    found = vars(parser.parse_args(arguments))
    line = CommandLine(
        pair=None,
        copyjob=None,
        report=found.get("report"),
        json=found.get("json"),
        log_file=found["logFile"],
        config=found["config"],
        debug=found["debug"].upper(),
        timeout=parse_timeout(found["timeout"]),
        proxy=found["x509userproxy"],
        account=found["account"],
        monitor_id=found.get("monID", ""),
        delegate_hours=parse_hours(found.get("delegate_hours")),
    )
    return Ticket.parse(found["ticket"]), line, _parse_rate(found.get("rate", "none"))
