"""A throw-away CA with hosts, users and proxies, made once for a test session.

    pki = Pki(directory)                        # ~0.3 s: three keys
    pki.host, pki.user, pki.proxy               # Credentials; the host is good for the loopback addresses and names
    pki.certificates                            # the CA directory
    pki.make_proxy("limited", limited=True)     # a few ms each: all proxies share one key

`tests.authsvc.hostile` makes certificates that no CA of ours would make.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from authsvc import ca
from authsvc.credentials import Credential

HOST_NAMES = ("localhost", "127.0.0.1", "127.0.0.2", "127.0.0.3", "::1")
USER = "Test User"


class Pki:
    """One lab CA below `directory`, with lazily made hosts, users and proxies."""

    def __init__(self, directory: str | os.PathLike[str], *, organisation: str = "fdt-test") -> None:
        self.directory = os.fspath(directory)
        self.organisation = organisation
        self.lab = ca.init_ca(self.directory, organisation=organisation)
        self.certificates = self.lab.certificates
        self.user_dn = f"/O={organisation}/CN={USER}"

    @cached_property
    def proxy_key(self) -> ca.Key:
        return ca.new_key()

    @cached_property
    def host(self) -> Credential:
        return ca.issue_host(self.lab, HOST_NAMES[0], HOST_NAMES[1:])

    @cached_property
    def user(self) -> Credential:
        return ca.issue_user(self.lab, USER)

    @cached_property
    def proxy(self) -> Credential:
        return self.make_proxy("proxy")

    def make_host(self, name: str, addresses: Sequence[str] = ()) -> Credential:
        return ca.issue_host(self.lab, name, addresses, force=True)

    def make_user(self, common_name: str) -> Credential:
        return ca.issue_user(self.lab, common_name, force=True)

    def make_proxy(
        self,
        name: str,
        parent: Credential | None = None,
        *,
        hours: float = 1.0,
        limited: bool = False,
        path_length: int | None = None,
    ) -> Credential:
        """Make a proxy of `parent` (default: the user) in a file of its own."""
        path = os.path.join(self.directory, f"{name}.proxy")
        return ca.issue_proxy(
            parent or self.user,
            path,
            hours=hours,
            limited=limited,
            path_length=path_length,
            key=self.proxy_key,
        )

    def expired_proxy(self, name: str = "expired") -> Credential:
        """Make a proxy that ended a minute ago."""
        chain, key = ca.load(self.user)
        now = dt.datetime.now(dt.UTC)
        made, made_key = ca.load(self.proxy)
        builder = x509.CertificateBuilder().subject_name(made[0].subject).issuer_name(made[0].issuer)
        builder = builder.public_key(made_key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - dt.timedelta(hours=2)).not_valid_after(now - dt.timedelta(minutes=1))
        for extension in made[0].extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        path = os.path.join(self.directory, f"{name}.proxy")
        return self.store(path, [builder.sign(key, hashes.SHA256()), *chain], made_key)

    def store(self, path: str, chain: Sequence[x509.Certificate], key: ca.Key) -> Credential:
        """Write a proxy file: first certificate, key, rest of the chain."""
        first, *rest = (ca.encode_certificate(certificate) for certificate in chain)
        ca.write_file(path, first + ca.encode_key(key) + b"".join(rest), 0o600, force=True)
        return Credential(path, path)
