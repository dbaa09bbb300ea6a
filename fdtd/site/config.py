"""The daemon's configuration: which keys exist, what they default to, and the frozen values they become.

Decides the configspec that `etc/fdtd.conf` shows commented out (a test holds the two together).  What the values mean
for a running daemon is decided where they are used; what cannot work at all in this process is refused here.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, fields
from typing import Any, Final

from authsvc import siterules
from authsvc.recognition import SiteRules
from authsvc.service_words import DEFAULT_PORT as ACCOUNT_PORT
from authsvc.siterules import site_rules
from fdtcp.errors import BadSettings
from fdtcp.model.order import Mapped
from fdtcp.settings import Sections, load_settings, parse_absolute
from fdtd.site.limits import BOUNDS, Choice, EncryptLimit, Limit, Limits, ReverseLimit
from fdtd.site.memory import parse_memory
from fdtd.storage.mapping import parse_backend

DEFAULT_CONFIG: Final = "/etc/fdtcp/fdtd.conf"

SPEC: Final = f"""
[service]
listen = listen_list(default=list("0.0.0.0:8444"))
advertise = string(default="")
log_dir = absolute(default="/var/log/fdtd")
state_dir = absolute(default="/var/lib/fdtd")
run_dir = absolute(default="/run/fdtd")
log_level = option("DEBUG", "INFO", "WARNING", "ERROR", default="INFO")
[security]
certificate = absolute(default="/etc/grid-security/fdt/fdtcert.pem")
key = absolute(default="/etc/grid-security/fdt/fdtkey.pem")
ca_dir = absolute(default="/etc/grid-security/certificates")
gridmap = absolute(default="/etc/grid-security/grid-mapfile")
fqanmap = absolute_if_any(default="")
{siterules.SPEC.rstrip()}
[accounts]
source = account_source(default="file")
cache = duration(default="1m")
stale = duration(default="1h")
mode = option("sudo", "root", "same", default="sudo")
min_uid = integer(min=1, default=1000)
allow_root_self = boolean(default=no)
sudo = absolute(default="/usr/bin/sudo")
launcher = absolute(default="/usr/libexec/fdtd/mover")
[tokens]
[[__many__]]
issuer = string
keys = absolute
audiences = string_list(min=1)
base_path = absolute(default="/")
[data]
interfaces = interface_list(default=list())
port_range = ports(default="54321-54400")
peers = network_list(default=list())
total_rate = size(default="0")
[paths]
read = absolute_list(default=list("/"))
write = absolute_list(default=list("/"))
[storage]
__many__ = backend
[session]
client_grace = duration(default="30s")
max_sessions = integer(min=1, default=100)
max_sessions_per_user = integer(min=1, default=20)
max_memory = memory(default="25%")
max_memory_per_user = memory(default="10%")
max_state_per_user = size(default="2GiB")
outcomes_kept = duration(default="24h")
[detached]
allowed = boolean(default=yes)
sources = network_list(default=list())
[resume]
keep = duration(default="7d")
[monitoring]
statsd = receiver(default="")
apmon = receiver(default="")
[limits]
[[streams]]
min = count(default="1")
max = count(default="64")
default = count(default="0")
overridable = boolean(default=yes)
[[block_size]]
min = size(default="256KiB")
max = size(default="64MiB")
default = size(default="4MiB")
overridable = boolean(default=yes)
[[rate_limit]]
min = size(default="0")
max = size(default="0")
default = size(default="0")
overridable = boolean(default=yes)
[[buffer_size]]
min = size(default="0")
max = size(default="64MiB")
default = size(default="0")
overridable = boolean(default=yes)
[[readers]]
min = count(default="0")
max = count(default="0")
default = count(default="0")
overridable = boolean(default=yes)
[[writers]]
min = count(default="0")
max = count(default="0")
default = count(default="0")
overridable = boolean(default=yes)
[[sync]]
default = option("file", "batch", "none", default="batch")
overridable = boolean(default=yes)
[[direct]]
default = option("auto", "yes", "no", default="auto")
overridable = boolean(default=yes)
[[verify]]
default = option("flight", "disk", default="flight")
overridable = boolean(default=yes)
[[encrypt]]
default = option("off", "on", "required", default="off")
overridable = boolean(default=yes)
[[reverse]]
source = option("allowed", "refused", "required", default="allowed")
destination = option("allowed", "refused", "required", default="allowed")
accounts = string_list(default=list())
""".strip().splitlines()

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Where commands arrive, and where the daemon keeps its own files."""

    listen: tuple[tuple[str, int], ...]
    advertise: str
    log_dir: str
    state_dir: str
    run_dir: str
    log_level: str


@dataclass(frozen=True, slots=True)
class SecuritySettings:
    """The daemon's credential, the authorities that it trusts, the maps to accounts, and the rules for callers.

    An empty `fqanmap` means that there is none.
    """

    certificate: str
    key: str
    ca_dir: str
    gridmap: str
    fqanmap: str
    rules: SiteRules


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """Who knows the accounts, and how a mover gets to run as the mapped one.

    `source` is the host and port of the site's account service, None for the files of this host; its answers are used
    for `cache` seconds, and for `stale` seconds while it does not answer.
    """

    mode: str
    min_uid: int
    allow_root_self: bool
    sudo: str
    launcher: str
    source: tuple[str, int] | None = None
    cache: float = 60.0
    stale: float = 3600.0


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """An issuer of bearer tokens that the site accepts, the file of its public keys, and where its paths begin."""

    issuer: str
    keys: str
    audiences: tuple[str, ...]
    base_path: str


@dataclass(frozen=True, slots=True)
class DataSettings:
    """The networks that carry the bytes."""

    interfaces: tuple[str, ...]
    port_range: tuple[int, int]  # both inclusive
    peers: tuple[Network, ...]
    total_rate: int = 0  # bytes per second each way, over all jobs; 0: no limit


@dataclass(frozen=True, slots=True)
class PathSettings:
    """The directories below which users may read and write."""

    read: tuple[str, ...]
    write: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How long the daemon waits for a lost client, and how much it does at once; times in seconds."""

    client_grace: float
    max_sessions: int
    max_sessions_per_user: int
    max_memory: int  # bytes
    max_memory_per_user: int
    max_state_per_user: int
    outcomes_kept: float


@dataclass(frozen=True, slots=True)
class DetachedSettings:
    """Whether users may leave whole jobs to this daemon, and at which sources it may then call as the user."""

    allowed: bool = True
    sources: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class MonitoringSettings:
    """Who hears how transfers go: host and port, None for nobody."""

    statsd: tuple[str, int] | None
    apmon: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole file."""

    service: ServiceSettings
    security: SecuritySettings
    accounts: AccountSettings
    data: DataSettings
    paths: PathSettings
    session: SessionSettings
    keep_partials: float  # seconds, 0: never keep
    monitoring: MonitoringSettings
    limits: Limits
    issuers: tuple[IssuerSettings, ...] = ()
    detached: DetachedSettings = DetachedSettings()
    storage: tuple[Mapped, ...] = ()  # directories that have another storage behind them


def load_config(path: str) -> Settings:
    """Read and check the file; an empty `path` gives the defaults.  Raises BadSettings that names all bad keys."""
    sections = load_settings(path, SPEC, _CHECKS)
    rules = site_rules(sections["security"])
    settings = Settings(
        ServiceSettings(**_tuples(sections["service"])),
        SecuritySettings(rules=rules, **sections["security"]),
        AccountSettings(**sections["accounts"]),
        DataSettings(**_tuples(sections["data"])),
        PathSettings(**_tuples(sections["paths"])),
        SessionSettings(**sections["session"]),
        sections["resume"]["keep"],
        MonitoringSettings(**sections["monitoring"]),
        _limits(sections["limits"]),
        tuple(IssuerSettings(**_tuples(section)) for section in sections["tokens"].values()),
        DetachedSettings(**_tuples(sections["detached"])),
        _storage(sections["storage"], path),
    )
    _check_whole(settings, path or "defaults")
    return settings


def is_loopback_only(settings: Settings) -> bool:
    """Say whether strangers on a network cannot reach any of the listeners."""
    return all(ipaddress.ip_address(host).is_loopback for host, _ in settings.service.listen)


def format_endpoint(host: str, port: int) -> str:
    """Write host and port as people and `listen` do: [::1]:8444."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _check_whole(settings: Settings, path: str) -> None:
    """Refuse what no single key shows."""
    if not settings.service.listen:
        raise BadSettings(f"{path}: [service] listen: at least one address:port is needed")
    for name in ("read", "write"):
        if not getattr(settings.paths, name):
            raise BadSettings(f"{path}: [paths] {name}: at least one directory is needed; / allows all")
    for part in fields(Limits):
        option = part.name
        limit: Limit | Choice | ReverseLimit = getattr(settings.limits, option)
        if isinstance(limit, ReverseLimit) and limit.contradiction:
            raise BadSettings(f"{path}: [limits] [[{option}]] {limit.contradiction}")
        if not isinstance(limit, Limit):
            continue
        if (limit.max or option not in BOUNDS) and limit.min > limit.max:
            raise BadSettings(f"{path}: [limits] [{option}] min: {limit.min} is more than max, {limit.max}")


def _limits(section: Sections) -> Limits:
    """Read what the site says of each option: a number has bounds, a word has none."""
    found: dict[str, Any] = {  # Any: which of the two it is, the configspec says
        name: Limit(**values) if "min" in values else Choice(**values)
        for name, values in section.items()
        if "overridable" in values
    }
    found["reverse"] = ReverseLimit(**_tuples(section["reverse"]))
    found["encrypt"] = EncryptLimit(**section["encrypt"])
    return Limits(**found)


def _tuples(section: Sections) -> dict[str, Any]:  # Any: the configspec says what a key holds
    return {key: tuple(value) if isinstance(value, list) else value for key, value in section.items()}


def _storage(section: Sections, path: str) -> tuple[Mapped, ...]:
    """Read the map of directories; here the keys are values, too."""
    mapped = []
    for prefix, backend in section.items():
        try:
            if not isinstance(backend, str):
                raise ValueError("one back end for a directory; quote a value with a comma in it")
            mapped.append(Mapped(parse_absolute(prefix).encode("utf-8", "surrogateescape"), backend))
        except ValueError as exc:
            raise BadSettings(f"{path}: [storage] {prefix}: {exc}") from exc
    return tuple(mapped)


def _account_source(text: str) -> tuple[str, int] | None:
    if text == "file":
        return None
    match = re.fullmatch(
        r"authsvc://(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9.\-]+))(?::(?P<port>\d{1,5}))?/?", text
    )
    port = int(match["port"] or ACCOUNT_PORT) if match else 0
    if match is None or not 0 < port < 65536:
        raise ValueError(f"{text!r} is neither file nor a service: write for example authsvc://auth.example.org:8445")
    return match["six"] or match["host"], port


def _interface(text: str) -> str:
    # IFNAMSIZ is 16 with the final zero; an address is anything that ipaddress reads.
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.:@-]{0,14}", text):
        raise ValueError(f"{text!r} is neither a numeric address nor an interface name such as eth0")
    return text


def _ports(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d{1,5})\s*-\s*(\d{1,5})\s*", text)
    if match is None or not 1024 <= int(match[1]) <= int(match[2]) <= 65535:
        raise ValueError(f"{text!r} is not a range of ports from 1024 to 65535: write for example 54321-54400")
    return int(match[1]), int(match[2])


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text.strip(), strict=True)
    except ValueError:
        raise ValueError(f"{text!r} is not a network: write for example 192.0.2.0/24 or 2001:db8::/32") from None


def _receiver(text: str) -> tuple[str, int] | None:
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    if not (colon and host.strip("[]") and re.fullmatch(r"\d{1,5}", port) and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} is not a host and a port: write for example collector.example.org:8125")
    return host.strip("[]"), int(port)


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text.strip()):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


_CHECKS: Final = {
    "account_source": _account_source,
    "interface": _interface,
    "ports": _ports,
    "network": _network,
    "receiver": _receiver,
    "count": _count,
    "memory": parse_memory,
    "backend": parse_backend,
}
