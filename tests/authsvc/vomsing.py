"""A VO's server that gives any attributes to anybody, good and hostile; written by hand, byte for byte."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding

from authsvc import attributecert, ca
from authsvc.der import INTEGER, OCTETS, OID, SEQUENCE, SET, encode_oid, wrap
from tests.authsvc.hostile import SHA1_WITH_RSA, SHA256_WITH_RSA, Forge, Plan
from tests.helpers.pki import Pki

VO = "testvo"
HOST = "voms.example.org"
FQANS = (f"/{VO}/Role=NULL/Capability=NULL", f"/{VO}/prod/Role=admin")
HOUR = dt.timedelta(hours=1)
_BIT_STRING, _GENERALIZED_TIME, _BOOLEAN = 0x03, 0x18, 0x01


@dataclass(frozen=True)
class Grant:
    """What one attribute certificate says; the defaults are honest."""

    holder: x509.Certificate
    signer: x509.Certificate
    key: ca.Key = field(repr=False)
    holder_serial: int | None = None
    issuer: x509.Name | None = None
    start: dt.timedelta = -HOUR
    end: dt.timedelta = HOUR
    authority: str = f"{VO}://{HOST}:15000"
    fqans: tuple[str, ...] = FQANS
    targets: tuple[str, ...] | None = None
    extra: tuple[tuple[str, bool, bytes], ...] = ()
    chain: tuple[x509.Certificate, ...] | None = None
    with_chain: bool = True
    sha1: bool = False
    version: int = 1

    def encode(self) -> bytes:
        """Return the attribute certificate in DER."""
        algorithm = wrap(SEQUENCE, (SHA1_WITH_RSA if self.sha1 else SHA256_WITH_RSA) + b"\x05\x00")
        info = wrap(SEQUENCE, self._info(algorithm))
        digest = hashes.SHA1() if self.sha1 else hashes.SHA256()  # noqa: S303  # weak on purpose
        signature = self.key.sign(info, padding.PKCS1v15(), digest)
        return wrap(SEQUENCE, info + algorithm + wrap(_BIT_STRING, b"\0" + signature))

    def _info(self, algorithm: bytes) -> bytes:
        now = dt.datetime.now(dt.UTC)
        serial = self.holder.serial_number if self.holder_serial is None else self.holder_serial
        holder = wrap(0xA0, wrap(SEQUENCE, _directory(self.holder.issuer)) + _integer(serial))
        issuer = wrap(0xA0, wrap(SEQUENCE, _directory(self.issuer or self.signer.subject)))
        life = wrap(SEQUENCE, _time(now + self.start) + _time(now + self.end))
        values = wrap(SEQUENCE, b"".join(wrap(OCTETS, fqan.encode()) for fqan in self.fqans))
        syntax = wrap(SEQUENCE, wrap(0xA0, wrap(0x86, self.authority.encode())) + values)
        attribute = wrap(SEQUENCE, wrap(OID, encode_oid("1.3.6.1.4.1.8005.100.100.4")) + wrap(SET, syntax))
        return b"".join(
            [
                _integer(self.version),
                wrap(SEQUENCE, holder),
                issuer,
                algorithm,
                _integer(7),
                life,
                wrap(SEQUENCE, attribute),
                wrap(SEQUENCE, b"".join(self._extensions())),
            ]
        )

    def _extensions(self) -> list[bytes]:
        found = [_extension("2.5.29.56", False, b"\5\0")]
        if self.with_chain:
            chain = b"".join(c.public_bytes(Encoding.DER) for c in self.chain or (self.signer,))
            value = wrap(SEQUENCE, wrap(SEQUENCE, chain))
            found.append(_extension("1.3.6.1.4.1.8005.100.100.10", False, value))
        if self.targets is not None:
            names = b"".join(wrap(0xA0, wrap(0x86, name.encode())) for name in self.targets)
            found.append(_extension("2.5.29.55", True, wrap(SEQUENCE, wrap(SEQUENCE, names))))
        return found + [_extension(*item) for item in self.extra]


class VomsServer:
    """The server of a VO, known to a site by its vomsdir."""

    def __init__(self, pki: Pki, voms_dir: Path) -> None:
        self.pki = pki
        self.forge = Forge(pki)
        self.credential = pki.make_host(HOST)
        chain, self.key = ca.load(self.credential)
        self.certificate = chain[0]
        self.voms_dir = voms_dir
        self.dns = (f"/O={pki.organisation}/CN={HOST}", f"/O={pki.organisation}/CN={pki.organisation} CA")
        self.expect(VO, *self.dns)

    def expect(self, vo: str, *dns: str, host: str = HOST) -> Path:
        """Write an .lsc file."""
        path = self.voms_dir / vo / f"{host}.lsc"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{dn}\n" for dn in dns))
        return path

    def grant(self, **changes: object) -> Grant:
        """Return an honest grant for the test user, but for the changes."""
        return replace(Grant(self.forge.user, self.certificate, self.key), **changes)  # type: ignore[arg-type]  # of many types

    def chain(self, *grants: Grant | bytes) -> list[x509.Certificate]:
        """Return a proxy with these attribute certificates, and its user."""
        return self.forge.below_user(Plan(extra=(extension(*grants),)))


def extension(*grants: Grant | bytes) -> x509.UnrecognizedExtension:
    items = b"".join(grant if isinstance(grant, bytes) else grant.encode() for grant in grants)
    value = wrap(SEQUENCE, wrap(SEQUENCE, items))
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(attributecert.OID), value)


def _integer(value: int) -> bytes:
    return wrap(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _directory(name: x509.Name) -> bytes:
    return wrap(0xA4, name.public_bytes())


def _time(when: dt.datetime) -> bytes:
    # strftime writes the year 1 as "1".
    return wrap(_GENERALIZED_TIME, (f"{when.year:04}" + when.strftime("%m%d%H%M%SZ")).encode())


def _extension(oid: str, critical: bool, value: bytes) -> bytes:
    flag = wrap(_BOOLEAN, b"\xff") if critical else b""
    return wrap(SEQUENCE, wrap(OID, encode_oid(oid)) + flag + wrap(OCTETS, value))
