"""The command `authsvc`: the site service, checks, renewal, and the lab CA.

Decides the command line and what it prints; what a command does is loaded when it is needed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from fdtcp.errors import FdtError, Status, UsageError
from fdtcp.units import parse_duration

if TYPE_CHECKING:
    from typing import NoReturn, TypeAlias

    Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"  # noqa: SLF001  # argparse has no public name for it


DEFAULT_CONFIG: Final = "/etc/fdtcp/authsvc.conf"


class _Parser(argparse.ArgumentParser):
    """A parser whose usage errors have the status that fdtcp's have: argparse's own 2 would mean "exists"."""

    def error(self, message: str) -> NoReturn:
        """Print usage and message, and exit with 64."""
        self.print_usage(sys.stderr)
        self.exit(Status.USAGE, f"{self.prog}: {message}\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _Parser(prog="authsvc", description="Certificates, proxies and accounts for fdtcp and fdtd.")
    groups = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_serve(groups)
    _add_check(groups)
    _add_renew(groups)
    _add_lab(groups)
    return parser


def _add_serve(groups: Commands) -> None:
    serve = groups.add_parser("serve", help="be the site's account service, which fdtd asks for accounts")
    serve.add_argument("--config", metavar="FILE", default=DEFAULT_CONFIG, help=f"default: {DEFAULT_CONFIG}")
    serve.set_defaults(action=_serve)


def _add_check(groups: Commands) -> None:
    check = groups.add_parser(
        "check",
        help="one look at a host's or a user's credentials",
        description="One look at credentials. Exit codes as of Nagios: 0 good, 1 warning, 2 critical, 3 unknown.",
    )
    which = check.add_mutually_exclusive_group()
    which.add_argument("--config", metavar="FILE", help="look at a host: what this fdtd.conf or authsvc.conf names")
    which.add_argument("--cert", metavar="FILE", help="look at this certificate (with --key)")
    which.add_argument("--proxy", metavar="FILE", help="look at this proxy (default: the user's, as fdtcp finds it)")
    add = check.add_argument
    add("--key", metavar="FILE", help="the key of --cert")
    add("--ca-dir", metavar="DIR", help="default: $X509_CERT_DIR, else /etc/grid-security/certificates")
    add("--gridmap", metavar="FILE", help="look at this grid-mapfile, too")
    add("--fqanmap", metavar="FILE", help="look at this FQAN map, too")
    add("--warning", metavar="TIME", type=_duration, help="default: 14d for a certificate, 1h for a proxy")
    add("--critical", metavar="TIME", type=_duration, help="default: 3d for a certificate, 10m for a proxy")
    add("--json", action="store_true", help="tell it to a program")
    check.set_defaults(action=_check)


def _add_renew(groups: Commands) -> None:
    renew = groups.add_parser("renew", help="renew proxies from a MyProxy server, as authsvc.conf says")
    renew.add_argument("names", metavar="NAME", nargs="*", help="sections of [renew] (default: all)")
    renew.add_argument("--config", metavar="FILE", default=DEFAULT_CONFIG, help=f"default: {DEFAULT_CONFIG}")
    renew.add_argument("--force", action="store_true", help="renew even what has enough time left")
    renew.set_defaults(action=_renew)


def _add_lab(groups: Commands) -> None:
    lab = groups.add_parser("ca", help="a certificate authority for a laboratory or a test")
    commands = lab.add_subparsers(metavar="ACTION", required=True)

    init = commands.add_parser("init", help="make a CA in a directory")
    init.add_argument("directory", metavar="DIR")
    init.add_argument("--organisation", metavar="NAME", default="fdt-lab", help="the O= of all its names")
    init.add_argument("--force", action="store_true", help="replace the CA that is there")
    init.set_defaults(action=_init)

    host = commands.add_parser("host", help="make a host's certificate")
    host.add_argument("directory", metavar="DIR")
    host.add_argument("name", metavar="NAME", help="the name or address by which clients call the host")
    host.add_argument("addresses", metavar="ADDRESS", nargs="*", help="further names and addresses of the host")
    host.add_argument("--force", action="store_true", help="replace the certificate that is there")
    host.set_defaults(action=_host)

    user = commands.add_parser("user", help="make a user's certificate")
    user.add_argument("directory", metavar="DIR")
    user.add_argument("common_name", metavar="COMMON_NAME", help='for example "Some Body"')
    user.add_argument("--force", action="store_true", help="replace the certificate that is there")
    user.set_defaults(action=_user)

    proxy = commands.add_parser("proxy", help="make a proxy of a certificate or of another proxy")
    proxy.add_argument("--cert", required=True, metavar="FILE", help="the certificate, or a proxy file")
    proxy.add_argument("--key", metavar="FILE", help="its key (default: in the same file)")
    proxy.add_argument("--out", required=True, metavar="FILE", help="the proxy file to write; replaces an older proxy")
    proxy.add_argument("--force", action="store_true", help="replace what is there even if it is no proxy")
    proxy.add_argument("--hours", type=_hours, default=12.0, metavar="H", help="its lifetime (default: 12)")
    proxy.add_argument("--limited", action="store_true", help="make a limited proxy")
    proxy.add_argument("--path-length", type=_count, metavar="N", help="allow at most N proxies of this proxy")
    proxy.set_defaults(action=_proxy)


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status."""
    options = build_parser().parse_args(arguments)
    try:
        return int(options.action(options) or Status.GOOD)
    except FdtError as exc:
        print(f"authsvc: {exc} [{exc.code}]", file=sys.stderr)
        return exc.status
    except OSError as exc:
        print(f"authsvc: {exc.filename or ''}: {exc.strerror or exc}", file=sys.stderr)
        return Status.GENERAL


def run() -> None:
    """Be the program."""
    sys.exit(main(sys.argv[1:]))


def _serve(options: argparse.Namespace) -> None:
    from authsvc.service_config import load_config
    from authsvc.service_program import serve

    serve(load_config(options.config), lambda where: print(f"authsvc ready: listening on {where}", flush=True))


def _check(options: argparse.Namespace) -> int:
    from authsvc.check_program import check
    from authsvc.findings import format_json, format_text, worst

    findings = check(options)
    print(format_json(findings) if options.json else format_text(findings))
    return worst(findings)


def _renew(options: argparse.Namespace) -> int:
    from authsvc.renewal import renew
    from authsvc.service_config import load_config

    settings = load_config(options.config)
    known = {one.name: one for one in settings.renew}
    if unknown := [name for name in options.names if name not in known]:
        raise UsageError(f"{options.config} has no [renew] section {', '.join(unknown)}")
    status = Status.GOOD
    for name in options.names or known:
        try:
            done = renew(known[name], settings.security.ca_dir, time.time(), force=options.force)
        except FdtError as exc:
            # The others may have more luck.
            print(f"authsvc: {exc} [{exc.code}]", file=sys.stderr)
            status = max(status, exc.status)
            continue
        what = "renewed" if done.is_new else "has enough time left"
        print(f"{done.name}: {done.path} {what}, good until {done.end:%Y-%m-%d %H:%M} UTC")
        if done.warning:
            print(f"authsvc: warning: {done.name}: {done.warning}", file=sys.stderr)
    return status


def _init(options: argparse.Namespace) -> None:
    from authsvc import ca

    made = ca.init_ca(options.directory, organisation=options.organisation, force=options.force)
    print(f"CA made in {made.directory}; whoever is to trust it copies {made.certificates} and sets")
    print(f"    export X509_CERT_DIR={made.certificates}")


def _host(options: argparse.Namespace) -> None:
    from authsvc import ca

    made = ca.issue_host(ca.LabCa(options.directory), options.name, options.addresses, force=options.force)
    print(f"host certificate: {made.cert_path}")
    print(f"its key:          {made.key_path} (name both in fdtd.conf; the key belongs to fdtd's account, mode 0600)")


def _user(options: argparse.Namespace) -> None:
    from authsvc import ca
    from authsvc.identity import subject_dn

    made = ca.issue_user(ca.LabCa(options.directory), options.common_name, force=options.force)
    chain, _ = ca.load(made)
    print(f"user certificate: {made.cert_path}, key: {made.key_path}; line for a grid-mapfile:")
    print(f'    "{subject_dn(chain[0])}" ACCOUNT')
    print("make a proxy of it:")
    print(f"    authsvc ca proxy --cert {made.cert_path} --key {made.key_path} --out /tmp/x509up_u$(id -u)")


def _proxy(options: argparse.Namespace) -> None:
    from authsvc import ca
    from authsvc.credentials import Credential

    parent = Credential(options.cert, options.key or options.cert)
    made = ca.issue_proxy(
        parent,
        options.out,
        hours=options.hours,
        limited=options.limited,
        path_length=options.path_length,
        force=options.force,
    )
    chain, _ = ca.load(made)
    print(f"proxy: {made.cert_path}, good until {chain[0].not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    print(f"    export X509_USER_PROXY={made.cert_path}")


def _hours(text: str) -> float:
    value = float(text)
    if not 0 < value <= 24 * 366:
        raise argparse.ArgumentTypeError("must be more than 0 and at most a year")
    return value


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value
