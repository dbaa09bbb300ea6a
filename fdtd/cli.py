"""The command `fdtd`: the daemon in the foreground, its check, its status.

Decides arguments, exit codes and what is printed: one line when the daemon is ready, one line when it cannot start.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from fdtcp.errors import FdtError, Status
from fdtd.site.config import DEFAULT_CONFIG, Settings, load_config


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit as all usage errors do: argparse's own 2 means something else among the transfer's exit codes."""
        self.print_usage(sys.stderr)
        print(f"fdtd: {message}", file=sys.stderr)
        raise SystemExit(int(Status.USAGE))


def run() -> NoReturn:
    """Be the program."""
    raise SystemExit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.version:
            from fdtd.service import package_version

            print(f"fdtd {package_version()}")
            return 0
        settings = load_config(options.config)
        if options.status:
            return _show_status(settings)
        if options.rate is not None:
            return _set_rate(settings, options.rate)
        return _check(settings, options.config) if options.check else _serve(settings)
    except FdtError as exc:
        print(f"fdtd: {exc}", file=sys.stderr)
        return int(exc.status)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fdtd", description="The daemon of a storage host: reads and writes files for fdtcp.")
    parser.add_argument("--config", default=DEFAULT_CONFIG, metavar="FILE", help=f"default: {DEFAULT_CONFIG}")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--check", action="store_true", help="check the configuration and the credentials, then exit")
    action.add_argument("--status", action="store_true", help="show what the running daemon does, as JSON")
    action.add_argument(
        "--rate",
        type=_rate,
        metavar="SIZE|none",
        help="what the running daemon's jobs together may send, and receive, in bytes per second, until it ends",
    )
    action.add_argument("--version", action="store_true", help="print the version")
    return parser


def _rate(text: str) -> int:
    """Read a rate.  Raises ValueError."""
    from fdtcp.units import parse_size

    return 0 if text == "none" else parse_size(text)


def _check(settings: Settings, path: str) -> int:
    from authsvc.credentials import Credential, explain
    from fdtd.daemon import Daemon
    from fdtd.site.interfaces import data_addresses

    bad = explain(Credential(settings.security.certificate, settings.security.key))
    if bad is not None:
        raise bad
    Daemon(settings).check()
    addresses = data_addresses(settings.data.interfaces)
    print(f"fdtd: {path} is good; data addresses: {', '.join(addresses)}")
    return 0


def _serve(settings: Settings) -> int:
    from fdtd.daemon import Daemon, make_directories
    from fdtd.operation.logs import logging_to

    # What the daemon makes is for its own account and group.
    os.umask(0o027)
    make_directories(settings)
    with logging_to(settings.service):
        try:
            Daemon(settings).run(lambda where: print(f"fdtd ready: listening on {where}", flush=True))
        except FdtError as exc:
            logging.getLogger("fdtd").error("event=not-started code=%s reason=%r", exc.code, exc.reason)
            raise
        except Exception:  # noqa: BLE001  # the process boundary: the traceback goes to the log, one line to the person
            logging.getLogger("fdtd").critical("event=bug trace=%r", traceback.format_exc())
            print(f"fdtd: a bug ended the daemon; {settings.service.log_dir}/fdtd.log has it", file=sys.stderr)
            return int(Status.GENERAL)
    return 0


def _show_status(settings: Settings) -> int:
    from fdtd.operation.admin import ask_status

    print(json.dumps(ask_status(settings.service.run_dir), indent=2))
    return 0


def _set_rate(settings: Settings, rate: int) -> int:
    from fdtd.operation.admin import ask_rate

    print(json.dumps(ask_rate(settings.service.run_dir, rate)))
    return 0


if __name__ == "__main__":
    run()
