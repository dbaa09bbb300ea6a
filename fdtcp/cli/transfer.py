"""One run of fdtcp that moves files.

Decides its order: report, configuration, the whole copyjob, credential; only then anything is connected.  Errors before
the copyjob is read are usage errors and leave an empty report; from then on every end writes a complete one.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

from fdtcp.channels import Identity, accounts_by_side
from fdtcp.cli.arguments import CommandLine
from fdtcp.cli.config import load_config
from fdtcp.cli.output import Log
from fdtcp.cli.progress import choose_display
from fdtcp.cli.summary import greet, name_jobs, say_failures, sum_up
from fdtcp.errors import BadCopyjob, FdtError, Phase, Side, UsageError
from fdtcp.model.copyjob import parse_copyjob
from fdtcp.model.job import Job, group
from fdtcp.model.options import Options, choose, find_meaningless
from fdtcp.model.order import Outcome
from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer
from fdtcp.report import ReportFile, exit_code, write_atomically
from fdtcp.result import Result, collect, encode_json, fail_all
from fdtcp.runner import Runner
from fdtcp.value import dataclass

# A million lines with long names; it is held in memory as a whole.
MAX_COPYJOB_BYTES: Final = 1 << 30


def transfer(line: CommandLine, log: Log, should_stop: Callable[[], bool]) -> int:
    """Move the files and return the exit code.  Raises UsageError if nothing was even tried."""
    check_distinct(line)
    with ExitStack() as stack:
        if line.log_file is not None:
            log.add_file(line.log_file)
        report = stack.enter_context(ReportFile(line.report)) if line.report is not None else None
        config = load_config(line.config, os.environ)
        options = choose(line.given, config.transfer)
        transfers = _read_transfers(line)
        if meaningless := find_meaningless(line.given):
            log.say(f"warning: accepted, but without meaning here: {', '.join(meaningless)}")
        accounts = accounts_by_side(line.account or config.account, line.source_account, line.destination_account)
        identity = Identity(line.proxy, config.ca_dir, accounts, config.peers, line.token, config.trust)
        run = Run(transfers, options, identity, line.timeout or config.timeout, report, log)
        if line.is_detached:
            from fdtcp.cli.detach import detach

            return detach(run, line.delegate_hours)
        if line.is_delegated:
            from fdtcp.cli.detach import delegate

            return delegate(run, line, should_stop)
        return conclude(run.move(should_stop), line, report, log)


@dataclass(frozen=True, slots=True)
class Run:
    """What is shared while the jobs run."""

    transfers: Sequence[Transfer]
    options: Options
    identity: Identity
    contact: float
    report: ReportFile | None
    log: Log

    def move(self, should_stop: Callable[[], bool]) -> Result:
        """Run all jobs; a user without a credential fails all files at once."""
        began, began_at = time.time(), time.monotonic()
        jobs = group(self.transfers)
        greet(self.transfers, jobs, self.log)
        try:
            if (warning := self.identity.warning()) is not None:
                self.log.say(f"warning: {warning}")
        except FdtError as exc:
            return fail_all(self.transfers, exc.problem(Side.CLIENT, Phase.AUTHENTICATE), began=began)
        runner = Runner(jobs, self.options, self.identity.open, contact=self.contact, on_final=self._note_final)
        name_jobs(runner.jobs, self.log)
        with choose_display(self.log, runner.jobs) as display:
            results = runner.run(should_stop, display.look)
        seconds = time.monotonic() - began_at
        return collect(self.transfers, results, began=began, seconds=seconds, is_stopped=should_stop())

    def _note_final(self, job: Job, outcomes: Sequence[Outcome]) -> None:
        if self.report is not None:
            self.report.append(job.transfers, outcomes)


def conclude(result: Result, line: CommandLine, report: ReportFile | None, log: Log) -> int:
    """Say and write what a run came to; return its exit code."""
    say_failures(result, log)
    # Both are tried: who gets one of them knows more than who gets none.
    written = [_write_report(report, result, log), _write_json(line, result, log)]
    code = exit_code(result.outcomes, is_report_whole=all(written))
    sum_up(result, code, line.report, log)
    return code


def check_distinct(line: CommandLine) -> None:
    """Refuse to empty a file that is still to be read, or to write two things into one."""
    named = {
        "--copyjobfile": line.copyjob,
        "--report": line.report,
        "--json": None if line.json == "-" else line.json,
        "--logFile": line.log_file,
        "--config": line.config,
    }
    seen: dict[str, str] = {}
    for option, path in named.items():
        # Several things may go to one terminal or into nothing.
        if path is None or (os.path.exists(path) and not os.path.isfile(path)):
            continue
        other = seen.setdefault(os.path.realpath(path), option)
        if other != option:
            raise UsageError(f"{other} and {option} name the same file {path}", remedy="give each a file of its own")


def _read_transfers(line: CommandLine) -> Sequence[Transfer]:
    if line.pair is not None:
        source, destination = (Pfn.parse(os.fsencode(name)) for name in line.pair)
        return (Transfer(source, destination),)
    assert line.copyjob is not None, "the command line has one of both"
    try:
        with open(line.copyjob, "rb") as file:
            content = file.read(MAX_COPYJOB_BYTES + 1)
    except OSError as exc:
        raise BadCopyjob(f"cannot read {line.copyjob}: {exc.strerror}", remedy="check the path") from exc
    if len(content) > MAX_COPYJOB_BYTES:
        raise BadCopyjob(f"{line.copyjob} has more than {MAX_COPYJOB_BYTES} bytes", remedy="cut it into several")
    return parse_copyjob(content, line.copyjob)


def _write_report(report: ReportFile | None, result: Result, log: Log) -> bool:
    if report is None:
        return True
    try:
        report.finish(result.transfers, result.outcomes)
    except OSError as exc:
        log.say(f"cannot write the report {report.path}: {exc.strerror}")
        return False
    return True


def _write_json(line: CommandLine, result: Result, log: Log) -> bool:
    if line.json is None:
        return True
    pieces = encode_json(result, line.monitor_id)
    try:
        if line.json == "-":
            sys.stdout.writelines(piece.decode("ascii") for piece in pieces)
            sys.stdout.flush()
        else:
            write_atomically(os.path.realpath(line.json), pieces)
    except OSError as exc:
        log.say(f"cannot write the result {line.json}: {exc.strerror}")
        return False
    return True
