"""Runs of fdtcp whose job is the destination's: begun and left (--detach), or begun and watched (--delegate).

Decides what a signal means to each.  Who detaches has said all; who delegates watches his job as any other, and a
signal stops it: only the loss of this program does not.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing

from fdtcp.cli.arguments import CommandLine
from fdtcp.cli.output import Log
from fdtcp.cli.progress import choose_display
from fdtcp.cli.summary import greet
from fdtcp.cli.transfer import Run, conclude
from fdtcp.errors import Fault, FdtError, Phase, Side, Status, UsageError
from fdtcp.following import Following
from fdtcp.handover import DELEGATE_HOURS, check_one_destination, hand_over
from fdtcp.model.job import group
from fdtcp.model.order import Outcome
from fdtcp.model.ticket import Ticket
from fdtcp.model.transfer import Transfer
from fdtcp.report import ReportFile
from fdtcp.result import Result, fail_all


def detach(run: Run, hours: float | None) -> int:
    """Hand the job over and print its ticket, which is all that standard output gets.  Raises FdtError."""
    greet(run.transfers, group(run.transfers), run.log)
    ticket = _hand_over(run, hours)
    sys.stdout.write(f"{ticket}\n")
    sys.stdout.flush()
    run.log.say(f"the job goes on at {ticket.address}; see how with: {come_back(ticket)}")
    return int(Status.GOOD)


def delegate(run: Run, line: CommandLine, should_stop: Callable[[], bool]) -> int:
    """Hand the job over and watch it to its end; a job that cannot be handed over fails all files at once."""
    check_one_destination(run.transfers)
    began = time.time()
    greet(run.transfers, group(run.transfers), run.log)
    try:
        ticket = _hand_over(run, line.delegate_hours)
    except UsageError:
        raise
    except FdtError as exc:
        side = exc.side or (Side.CLIENT if exc.fault is Fault.USER else Side.DESTINATION)
        result = fail_all(run.transfers, exc.problem(side, Phase.AUTHENTICATE), began=began)
        return conclude(result, line, run.report, run.log)
    run.log.say(f"if this program is lost, come back with: {come_back(ticket)}")
    with closing(
        Following(ticket, run.identity.open, contact=run.contact, on_final=append_to(run.report))
    ) as following:
        following.recall(run.transfers)
        return follow(following, line, run.report, run.log, should_stop)


def follow(
    following: Following, line: CommandLine, report: ReportFile | None, log: Log, should_stop: Callable[[], bool]
) -> int:
    """Watch the job, say what it came to and return the exit code; a result that was said here is forgotten there."""
    result = _watch(following, log, should_stop, is_cancelled_by_signal=line.is_delegated)
    code = conclude(result, line, report, log)
    if None not in result.outcomes:
        try:
            following.forget()
        except FdtError as exc:
            # It goes by itself; whoever attaches until then sees the same.
            log.note(f"the daemon keeps the result: {exc}")
    return code


def _watch(following: Following, log: Log, should_stop: Callable[[], bool], *, is_cancelled_by_signal: bool) -> Result:
    """Show the job until it ends, or a signal comes; return what is known then."""
    was_cancelled = False
    with choose_display(log, following.jobs) as display:
        try:
            is_ended = following.run(should_stop, display.look)
            if not is_ended and is_cancelled_by_signal:
                was_cancelled = True
                is_ended = following.cancel(display.look)
        except FdtError as exc:
            log.say(f"lost sight of the job: {exc}")
            is_ended = False
    if not is_ended:
        word = "is being stopped" if was_cancelled else "goes on"
        log.say(f"the job {word} at {following.ticket.address}; come back with: {come_back(following.ticket)}")
    return following.result(is_stopped=not is_ended)


def come_back(ticket: Ticket) -> str:
    """Return the command that shows the job again."""
    return f"fdtcp attach {ticket}"


def append_to(report: ReportFile | None) -> Callable[[Sequence[Transfer], Sequence[Outcome]], None]:
    """Return what notes outcomes in the report as they come."""

    def note(transfers: Sequence[Transfer], outcomes: Sequence[Outcome]) -> None:
        if report is not None:
            report.append(transfers, outcomes)

    return note


def _hand_over(run: Run, hours: float | None) -> Ticket:
    ticket, not_after = hand_over(
        run.transfers, run.options, run.identity, hours=hours or DELEGATE_HOURS, contact=run.contact
    )
    until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(not_after))
    run.log.say(f"the destination may act as you until {until}")
    if hours is not None and not_after < time.time() + hours * 3600 - 60:
        run.log.say("warning: that is when your own proxy ends, earlier than asked for")
    return ticket
