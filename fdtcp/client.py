"""The client for Python programs: the same transfers as the command's, without its report and its signals.

    from fdtcp import Client

    result = Client().transfer([("fdt://se1.example.org/data/a", "fdt://se2.example.org/data/a")])
    for transfer, outcome in zip(result.transfers, result.outcomes):
        ...

Decides what a program may leave out.  It changes nothing that belongs to the whole process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import Final

from fdtcp.channels import DEFAULT_CA_DIR, Identity, accounts_by_side
from fdtcp.errors import BadCopyjob
from fdtcp.model.copyjob import check_doubles
from fdtcp.model.job import group
from fdtcp.model.options import Options
from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer
from fdtcp.result import Result, collect
from fdtcp.runner import Runner
from fdtcp.value import dataclass

# The same as the command's default: a live daemon answers in milliseconds even across an ocean.
DEFAULT_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Client:
    """Who moves files, and how.

    `proxy` is the user's proxy file (None: $X509_USER_PROXY, else /tmp/x509up_u<uid>), `ca_dir` the directory of CA
    certificates ("": $X509_CERT_DIR, else the usual place), `timeout` the seconds within which a daemon has to let us
    in, `peers` maps hosts to the DNs of their certificates where these do not have the host's name.  `account` is asked
    for at both sides, `source_account` and `destination_account` at one; `token` is the file of a bearer token.
    """

    proxy: str | None = None
    ca_dir: str = ""
    account: str | None = None
    timeout: float = DEFAULT_TIMEOUT_S
    options: Options = field(default_factory=Options)
    peers: Mapping[str, str] = field(default_factory=dict)
    source_account: str | None = None
    destination_account: str | None = None
    token: str | None = None

    def transfer(
        self, pairs: Iterable[tuple[str | bytes, str | bytes]], should_stop: Callable[[], bool] = lambda: False
    ) -> Result:
        """Move files and return when all are final, or a few seconds after `should_stop` says so.

        `pairs` are Pfns, as text (as in `os.fsencode`) or as bytes.  What befalls single files is in their outcomes;
        raises BadPfn or BadCopyjob before anything moves, and BadCredential if there is no usable proxy.
        """
        transfers = tuple(
            Transfer(Pfn.parse(os.fsencode(source)), Pfn.parse(os.fsencode(destination)))
            for source, destination in pairs
        )
        if not transfers:
            raise BadCopyjob("no file is named", remedy="give at least one pair")
        check_doubles(transfers)
        ca_dir = self.ca_dir or os.environ.get("X509_CERT_DIR") or DEFAULT_CA_DIR
        accounts = accounts_by_side(self.account, self.source_account, self.destination_account)
        identity = Identity(self.proxy, ca_dir, accounts, self.peers, self.token)
        identity.find()
        began, began_at = time.time(), time.monotonic()
        jobs = Runner(group(transfers), self.options, identity.open, contact=self.timeout).run(should_stop)
        seconds = time.monotonic() - began_at
        return collect(transfers, jobs, began=began, seconds=seconds, is_stopped=should_stop())
