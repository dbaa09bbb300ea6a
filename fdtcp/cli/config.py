"""The client's configuration file, etc/fdtcp.conf.

Decides which keys exist; the options of a transfer are those of the command line, which wins.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Final

from fdtcp.channels import DEFAULT_CA_DIR
from fdtcp.model.options import PARSERS
from fdtcp.value import dataclass

if TYPE_CHECKING:
    from authsvc.authorities import TrustRules

DEFAULT_CONFIG: Final = "/etc/fdtcp/fdtcp.conf"
# A dead host must not cost a caller minutes, and a live one answers in milliseconds even across an ocean.
DEFAULT_TIMEOUT_S: Final = 10.0

# Lists come as text with commas here, so that one parser serves file and command line.
_LISTS: Final = ("source_addresses", "destination_addresses")
SPEC: Final = (
    "[client]",
    f"timeout = duration(default={DEFAULT_TIMEOUT_S})",
    'ca_dir = string(default="")',
    'account = string(default="")',
    # As in authsvc.siterules; most users have no file, and should not pay for that module.
    'signing_policy = option("required", "if-present", "off", default="required")',
    'crl = option("required", "if-present", "off", default="if-present")',
    'expired_crl = option("refuse", "accept", default="refuse")',
    "[transfer]",
    *(f"{name} = {f'{name}_list' if name in _LISTS else name}(default=None)" for name in PARSERS),
    "[peers]",
    "__many__ = string",
)


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file; `transfer` has only the options that it sets.  Without a file `trust` is None: the usual."""

    timeout: float = DEFAULT_TIMEOUT_S
    ca_dir: str = DEFAULT_CA_DIR
    account: str | None = None
    transfer: Mapping[str, object] = field(default_factory=dict)
    peers: Mapping[str, str] = field(default_factory=dict)
    trust: TrustRules | None = None


def load_config(path: str | None, environ: Mapping[str, str]) -> Config:
    """Read the file at `path`, or the default one if it is there.

    X509_CERT_DIR wins over the file's ca_dir.  Raises BadSettings that names all bad keys.
    """
    ca_dir = environ.get("X509_CERT_DIR", "")
    if path is None and not os.path.exists(DEFAULT_CONFIG):
        return Config(ca_dir=ca_dir or DEFAULT_CA_DIR)
    # ConfigObj takes a few milliseconds; most users have no file.
    from authsvc.siterules import trust_rules
    from fdtcp.settings import load_settings

    sections = load_settings(path or DEFAULT_CONFIG, SPEC, PARSERS)
    client = sections["client"]
    return Config(
        float(client["timeout"]),
        ca_dir or client["ca_dir"] or DEFAULT_CA_DIR,
        client["account"] or None,
        {name: _flatten(value) for name, value in sections["transfer"].items() if value is not None},
        {host.lower(): dn for host, dn in sections["peers"].items()},
        trust_rules(client),
    )


def _flatten(value: object) -> object:
    """Make one tuple of a list of tuples, which is what a list of address texts becomes."""
    return tuple(word for words in value for word in words) if isinstance(value, list) else value
