"""The configuration file of authsvc: the site service, and the proxies that are renewed.

Decides which keys exist and what they default to; `etc/authsvc.conf` shows them commented out.
"""

from __future__ import annotations

import re
from typing import Any, Final

from authsvc.authorities import TrustRules
from authsvc.service_words import DEFAULT_PORT
from authsvc.siterules import TRUST_SPEC, trust_rules
from fdtcp.errors import BadSettings
from fdtcp.settings import Sections, load_settings
from fdtcp.value import dataclass

DEFAULT_CONFIG: Final = "/etc/fdtcp/authsvc.conf"

SPEC: Final = f"""
[service]
listen = listen_list(default=list("0.0.0.0:{DEFAULT_PORT}"))
callers = dn_list(default=list())
log_level = option("DEBUG", "INFO", "WARNING", "ERROR", default="INFO")
[security]
certificate = absolute(default="/etc/grid-security/fdt/fdtcert.pem")
key = absolute(default="/etc/grid-security/fdt/fdtkey.pem")
ca_dir = absolute(default="/etc/grid-security/certificates")
{TRUST_SPEC.rstrip()}
[accounts]
gridmap = absolute(default="/etc/grid-security/grid-mapfile")
fqanmap = absolute_if_any(default="")
[renew]
[[__many__]]
proxy = absolute
server = host
port = integer(min=1, max=65535, default=7512)
username = word(default="")
credential = word(default="")
vo = vo(default="")
lifetime = duration(default="12h")
when_left = duration(default="6h")
certificate = absolute_if_any(default="")
key = absolute_if_any(default="")
""".strip().splitlines()


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Where questions arrive, and the DNs of the hosts that may ask."""

    listen: tuple[tuple[str, int], ...]
    callers: tuple[str, ...]
    log_level: str


@dataclass(frozen=True, slots=True)
class SecuritySettings:
    """The service's credential, the authorities that it trusts, and what is asked of them."""

    certificate: str
    key: str
    ca_dir: str
    trust: TrustRules


@dataclass(frozen=True, slots=True)
class MapSettings:
    """The maps that the answers come from; an empty `fqanmap` means that there is none."""

    gridmap: str
    fqanmap: str


@dataclass(frozen=True, slots=True)
class RenewSettings:
    """One proxy that is renewed from a MyProxy server, as who, under which name, with whose certificate.

    `proxy` is the file; it is renewed when it has less than `when_left` seconds, for `lifetime` seconds.
    """

    name: str
    proxy: str
    server: str
    port: int
    username: str
    credential: str
    vo: str
    lifetime: float
    when_left: float
    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole file."""

    service: ServiceSettings
    security: SecuritySettings
    accounts: MapSettings
    renew: tuple[RenewSettings, ...]


def load_config(path: str) -> Settings:
    """Read and check the file; an empty `path` gives the defaults.  Raises BadSettings that names all bad keys."""
    sections = load_settings(path, SPEC, _CHECKS)
    trust = trust_rules(sections["security"])
    security = SecuritySettings(trust=trust, **sections["security"])
    if not sections["service"]["listen"]:
        raise BadSettings(f"{path}: [service] listen: at least one address:port is needed")
    return Settings(
        ServiceSettings(**_tuples(sections["service"])),
        security,
        MapSettings(**sections["accounts"]),
        tuple(_renewal(name, section, security) for name, section in sections["renew"].items()),
    )


def _renewal(name: str, section: Sections, security: SecuritySettings) -> RenewSettings:
    """Take the host's own certificate where a renewal names none."""
    section["certificate"] = section["certificate"] or security.certificate
    section["key"] = section["key"] or security.key
    return RenewSettings(name, **section)


def _tuples(section: Sections) -> dict[str, Any]:  # Any: the configspec says what a key holds
    return {key: tuple(value) if isinstance(value, list) else value for key, value in section.items()}


def _dn(text: str) -> str:
    if not re.match(r"/[A-Za-z0-9.]+=.", text) or not text.isprintable():
        raise ValueError(f'{text!r} is not a DN: write for example "/DC=org/DC=example/CN=se.example.org", in quotes')
    return text


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.\-]*|[0-9a-fA-F:]+", text):
        raise ValueError(f"{text!r} is not a host's name or address")
    return text


def _word(text: str) -> str:
    # These become arguments of a program: nothing that could be read as an option.
    if text and not re.fullmatch(r"[A-Za-z0-9_/][A-Za-z0-9_.@=:/ -]*", text):
        raise ValueError(f"{text!r} has characters that such a name does not have")
    return text


def _vo(text: str) -> str:
    if text and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(:/[A-Za-z0-9_.\-/=]+)?", text):
        raise ValueError(f"{text!r} is not a VO: write for example cms, or cms:/cms/Role=production")
    return text


_CHECKS: Final = {"dn": _dn, "host": _host, "word": _word, "vo": _vo}
