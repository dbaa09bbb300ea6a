"""A certificate authority for a laboratory, a demonstration or a test: in one directory, made in a second.

Decides names, lifetimes and extensions, so that what it makes works with OpenSSL and the grid tools as well as with us.
It is no CA for a site: its key lies unencrypted beside its certificates.

    DIR/ca.key  DIR/certificates/<hash>.0 + <hash>.signing_policy  (this is X509_CERT_DIR)
    DIR/hosts/NAME.pem + NAME.key        DIR/users/NAME.pem + NAME.key
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import re
import tempfile
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import crypto

from authsvc import issuing
from authsvc.credentials import Credential
from authsvc.dn import render
from authsvc.errors import BadCredential, CredentialRefused, LabCaRefused
from authsvc.identity import MIN_RSA_BITS, proxy_info, subject_dn
from fdtcp.value import dataclass

Key = rsa.RSAPrivateKey

# A lab outlives its first demonstration, but not its hardware.
CA_DAYS: Final = 3650
# The longest that public CAs still issue for hosts and users.
LEAF_DAYS: Final = 395
# What grid-proxy-init makes.
PROXY_HOURS: Final = 12.0
_SAFE_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class LabCa:
    """The paths of one lab CA."""

    directory: str

    @property
    def key_path(self) -> str:
        """Return where the CA's private key is."""
        return os.path.join(self.directory, "ca.key")

    @property
    def certificates(self) -> str:
        """Return the directory to use as X509_CERT_DIR."""
        return os.path.join(self.directory, "certificates")


def new_key() -> Key:
    """Make an RSA key of the smallest size that is accepted: a lab's keys live shortly, and big ones take seconds."""
    return rsa.generate_private_key(public_exponent=65537, key_size=MIN_RSA_BITS)


def init_ca(directory: str, *, organisation: str = "fdt-lab", force: bool = False) -> LabCa:
    """Make a CA in `directory`.  Raises LabCaRefused if there is one already, unless `force` replaces it."""
    ca = LabCa(directory)
    if os.path.exists(ca.key_path) and not force:
        raise LabCaRefused(f"there is a CA in {directory} already", remedy="use it, or say --force to replace it")
    name = _name((NameOID.ORGANIZATION_NAME, organisation), (NameOID.COMMON_NAME, f"{organisation} CA"))
    key = new_key()
    builder = (
        _builder(name, name, key.public_key(), dt.timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(issuing.key_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    _make_directories(directory, ca.certificates, os.path.join(directory, "hosts"), os.path.join(directory, "users"))
    write_file(ca.key_path, encode_key(key), 0o600, force=force)
    stem = os.path.join(ca.certificates, subject_hash(certificate))
    write_file(f"{stem}.0", encode_certificate(certificate), 0o644, force=force)
    policy = (
        f"access_id_CA X509 '{subject_dn(certificate)}'\n"
        "pos_rights globus CA:sign\n"
        f"cond_subjects globus '\"/O={organisation}/*\"'\n"
    )
    write_file(f"{stem}.signing_policy", policy.encode(), 0o644, force=force)
    return ca


def issue_host(ca: LabCa, name: str, addresses: Sequence[str] = (), *, force: bool = False) -> Credential:
    """Make a host's certificate for `name` (a name or an address) and further names and addresses."""
    names = [_general_name(item) for item in dict.fromkeys((name, *addresses))]
    # For both roles: a daemon is also a client, of another daemon or of the site's account service.
    uses = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    return _issue(ca, "hosts", name, x509.SubjectAlternativeName(names), uses, force=force)


def issue_user(ca: LabCa, common_name: str, *, force: bool = False) -> Credential:
    """Make a user's certificate."""
    return _issue(ca, "users", common_name, None, (ExtendedKeyUsageOID.CLIENT_AUTH,), force=force)


def issue_proxy(  # each is one property of a proxy
    parent: Credential,
    out: str,
    *,
    hours: float = PROXY_HOURS,
    limited: bool = False,
    path_length: int | None = None,
    key: Key | None = None,
    force: bool = False,
) -> Credential:
    """Make an RFC 3820 proxy of `parent`, which may itself be a proxy, and write it to `out`.

    A proxy of a limited one is limited, and none outlives its chain.  The order in the file is the one that all grid
    tools expect: certificate, key, chain.  An older proxy is replaced, anything else only with `force`.
    Raises BadCredential or LabCaRefused.
    """
    if os.path.lexists(out) and not force and not _holds_proxy(out):
        raise LabCaRefused(f"{out} exists and is no proxy", remedy="keep it, or say --force to replace it")
    chain, parent_key = load(parent)
    key = key or new_key()
    life = dt.timedelta(hours=hours)
    certificate = issuing.issue(
        chain, parent_key, key.public_key(), life=life, limited=limited, path_length=path_length
    )
    content = [encode_certificate(certificate), encode_key(key), *map(encode_certificate, chain)]
    write_file(out, b"".join(content), 0o600, force=True)
    return Credential(out, out)


def load(credential: Credential) -> tuple[list[x509.Certificate], Key]:
    """Read the chain and the key of a credential.  Raises BadCredential."""
    chain, key = issuing.read(credential)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise BadCredential(f"the key in {credential.key_path} is no RSA key", remedy="the lab tools use RSA only")
    return chain, key


def _holds_proxy(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return proxy_info(x509.load_pem_x509_certificates(file.read())[0]) is not None
    except (OSError, ValueError, CredentialRefused):
        return False


def subject_hash(certificate: x509.Certificate) -> str:
    """Return the hash under which OpenSSL looks for a CA, as eight hex digits."""
    # The type stubs call it bytes; it is a number.
    return f"{int(crypto.X509.from_cryptography(certificate).subject_name_hash()):08x}"


def write_file(path: str, content: bytes, mode: int, *, force: bool) -> None:
    """Write a file whole or not at all, with its mode from the first byte on.

    Raises LabCaRefused if it exists and `force` does not allow to replace it.
    """
    directory = os.path.dirname(path) or "."
    # mkstemp opens with O_EXCL and 0600, whatever the umask: a key is never readable by others, not for a moment.
    descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=directory)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        if force:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)
    except FileExistsError as exc:
        raise LabCaRefused(f"{path} exists already", remedy="keep it, or say --force to replace it") from exc
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)


def _issue(
    ca: LabCa,
    kind: str,
    common_name: str,
    names: x509.SubjectAlternativeName | None,
    uses: Sequence[x509.ObjectIdentifier],
    *,
    force: bool,
) -> Credential:
    issuer, ca_key = _load_ca(ca)
    stem = os.path.join(ca.directory, kind, _SAFE_NAME.sub("_", common_name))
    credential = Credential(f"{stem}.pem", f"{stem}.key")
    for path in (credential.cert_path, credential.key_path):
        if os.path.exists(path) and not force:
            raise LabCaRefused(f"{path} exists already", remedy="keep it, or say --force to replace it")
    organisation = issuer.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0]
    name = _name((NameOID.ORGANIZATION_NAME, str(organisation.value)), (NameOID.COMMON_NAME, common_name))
    key = new_key()
    builder = (
        _builder(name, issuer.subject, key.public_key(), dt.timedelta(days=LEAF_DAYS), issuer.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(issuing.key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        # OpenSSL's strict mode, which is Python's default from 3.13 on, wants it.
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        # The VOMS tools refuse to work with a certificate without it.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    write_file(credential.key_path, encode_key(key), 0o600, force=force)
    write_file(credential.cert_path, encode_certificate(builder.sign(ca_key, hashes.SHA256())), 0o644, force=force)
    return credential


def _load_ca(ca: LabCa) -> tuple[x509.Certificate, Key]:
    try:
        names = [name for name in os.listdir(ca.certificates) if name.endswith(".0")]
    except OSError as exc:
        raise LabCaRefused(
            f"there is no CA in {ca.directory} ({exc.strerror})", remedy=f"make one: authsvc ca init {ca.directory}"
        ) from exc
    for name in names:
        chain, key = load(Credential(os.path.join(ca.certificates, name), ca.key_path))
        if chain[0].public_key() == key.public_key():
            return chain[0], key
    raise LabCaRefused(f"no certificate in {ca.certificates} belongs to {ca.key_path}")


def _builder(  # the fields of a certificate
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPublicKey,
    life: dt.timedelta,
    end: dt.datetime | None = None,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    last = now + life if end is None else min(now + life, end)
    if last <= now:
        raise BadCredential(f"the issuing certificate ended at {last:%Y-%m-%d %H:%M:%S} UTC")
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - issuing.BACKDATE).not_valid_after(last)


def _name(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    try:
        # What our own servers would refuse to read is not made here.
        render([[(oid.dotted_string, value)] for oid, value in parts])
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])
    except (CredentialRefused, ValueError) as exc:
        raise LabCaRefused(f"{parts[-1][1]!r} cannot be a certificate's name: {exc}") from exc


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass  # a name then
    try:
        return x509.DNSName(text)
    except ValueError as exc:
        raise LabCaRefused(f"{text!r} is neither a host name nor an address: {exc}") from exc


def _make_directories(*paths: str) -> None:
    for path in paths:
        os.makedirs(path, mode=0o755, exist_ok=True)


def encode_certificate(certificate: x509.Certificate) -> bytes:
    """Return the certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def encode_key(key: Key) -> bytes:
    """Return the key as PEM, not encrypted."""
    # The old form ("RSA PRIVATE KEY"): some grid tools know no other in a proxy file.
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
