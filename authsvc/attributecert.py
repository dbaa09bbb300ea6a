"""Attribute certificates of VOMS as they stand in a proxy: bytes become values here.

Decides the form (RFC 5755 as VOMS uses it, version 2, holder by issuer and serial number) and its bounds; whether such
a certificate holds is `authsvc.voms`'.  Loads asn1crypto, because cryptography knows no attribute certificates: only a
caller who brings some makes a daemon load it.  Pure; every malformed input is a ValueError.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any, Final

from asn1crypto import cms, core

from authsvc import der
from authsvc.certname import canonical
from authsvc.fqan import is_of_vo, is_vo_name, normalise
from fdtcp.value import dataclass

OID: Final = "1.3.6.1.4.1.8005.100.100.5"
_FQANS: Final = "1.3.6.1.4.1.8005.100.100.4"
_CERTIFICATES: Final = "1.3.6.1.4.1.8005.100.100.10"
_TAGS: Final = "1.3.6.1.4.1.8005.100.100.11"
_TARGETS: Final = "2.5.29.55"
_NO_REVOCATION: Final = "2.5.29.56"
_KEY_IDENTIFIER: Final = "2.5.29.35"
_KNOWN: Final = frozenset({_CERTIFICATES, _TAGS, _TARGETS, _NO_REVOCATION, _KEY_IDENTIFIER})

# One user is in a handful of VOs; a VO gives him some dozens of attributes.
MAX_BYTES: Final = 256 << 10
MAX_CERTIFICATES: Final = 16
MAX_FQANS: Final = 1000
# The policy authority: VO://HOST:PORT.
_AUTHORITY: Final = re.compile(r"(?P<vo>[^:/]+)://(?P<host>[A-Za-z0-9][A-Za-z0-9.\-]{0,252}):(?P<port>\d{1,5})")
# The kinds of GeneralName that can name a host: dNSName and URI.
_HOST_NAMES: Final = frozenset({0x82, 0x86})


class _Items(core.SequenceOf):  # type: ignore[misc]  # asn1crypto ships no types
    _child_spec = cms.AttributeCertificateV2


class _Lists(core.SequenceOf):  # type: ignore[misc]  # as above
    _child_spec = _Items


@dataclass(frozen=True, slots=True)
class AttributeCertificate:
    """What one says.  Names are canonical; `targets` None: for any host; `chain` is the issuer's, itself first, in DER.

    `signed` are the bytes that `signature` is over, with the hash and the kind of key named.
    """

    holder_issuer: bytes
    holder_serial: int
    issuer: bytes
    not_before: dt.datetime
    not_after: dt.datetime
    vo: str
    host: str
    fqans: tuple[str, ...]
    targets: tuple[str, ...] | None
    chain: tuple[bytes, ...]
    signed: bytes
    signature: bytes
    hash_name: str
    key_kind: str


def parse(value: bytes) -> tuple[AttributeCertificate, ...]:
    """Read the value of a proxy's extension.  Raises ValueError."""
    if len(value) > MAX_BYTES:
        raise ValueError(f"they have {len(value)} bytes, more than {MAX_BYTES}")
    try:
        items = [item for items in _Lists.load(value, strict=True) for item in items]
        if not 1 <= len(items) <= MAX_CERTIFICATES:
            raise ValueError(f"there are {len(items)} attribute certificates")
        return tuple(map(_read, items))
    except (TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError) as exc:
        # What asn1crypto raises for bytes that are something else than they claim.
        raise ValueError(f"an attribute certificate is malformed: {exc}") from exc


def _read(item: Any) -> AttributeCertificate:  # Any: asn1crypto ships no types
    info = item["ac_info"]
    if info["version"].native != "v2":
        raise ValueError("an attribute certificate is not of version 2")
    if info["signature"].dump() != item["signature_algorithm"].dump():
        raise ValueError("an attribute certificate names two ways of signing")
    holder = info["holder"]["base_certificate_id"]
    if isinstance(holder, core.Void):
        raise ValueError("an attribute certificate does not name its holder by issuer and serial number")
    issuer = info["issuer"]
    if issuer.name != "v2_form":
        raise ValueError("an attribute certificate names its issuer in a form of long ago")
    life = info["att_cert_validity_period"]
    extensions = _extensions(info["extensions"])
    vo, host, fqans = _attributes(info["attributes"])
    algorithm = item["signature_algorithm"]
    return AttributeCertificate(
        holder_issuer=_directory_name(holder["issuer"]),
        holder_serial=int(holder["serial"].native),
        issuer=_directory_name(issuer.chosen["issuer_name"]),
        not_before=_time(life["not_before_time"]),
        not_after=_time(life["not_after_time"]),
        vo=vo,
        host=host,
        fqans=fqans,
        targets=_targets(extensions.get(_TARGETS)),
        chain=_chain(extensions.get(_CERTIFICATES)),
        signed=info.dump(),
        signature=item["signature"].native,
        hash_name=str(algorithm.hash_algo),
        key_kind=str(algorithm.signature_algo),
    )


def _directory_name(names: Any) -> bytes:  # Any: as above
    if isinstance(names, core.Void) or len(names) != 1 or names[0].name != "directory_name":
        raise ValueError("an attribute certificate names its holder or issuer by something else than a DN")
    return canonical(names[0].chosen.chosen.untag().dump())


def _time(value: Any) -> dt.datetime:  # Any: as above
    time: dt.datetime = value.native
    if time.tzinfo is None:
        raise ValueError("an attribute certificate's time is not in UTC")
    return time


def _extensions(extensions: Any) -> dict[str, bytes]:  # Any: as above
    found: dict[str, bytes] = {}
    for extension in [] if isinstance(extensions, core.Void) else extensions:
        kind = extension["extn_id"].dotted
        if kind in found:
            raise ValueError(f"an attribute certificate has the extension {kind} twice")
        if extension["critical"].native and kind not in _KNOWN:
            raise ValueError(f"an attribute certificate has the critical extension {kind}, which is unknown here")
        found[kind] = extension["extn_value"].contents
    return found


def _attributes(attributes: Any) -> tuple[str, str, tuple[str, ...]]:  # Any: as above
    wanted = [attribute for attribute in attributes if attribute["type"].dotted == _FQANS]
    if len(wanted) != 1 or len(wanted[0]["values"]) != 1:
        raise ValueError("an attribute certificate must have one list of attributes")
    syntax = cms.IetfAttrSyntax.load(wanted[0]["values"][0].dump(), strict=True)
    authority = syntax["policy_authority"]
    if isinstance(authority, core.Void) or len(authority) != 1:
        raise ValueError("an attribute certificate does not name its VO")
    # The raw bytes: asn1crypto would make an address on the web of it.
    match = _AUTHORITY.fullmatch(authority[0].chosen.contents.decode("ascii"))
    if match is None or not is_vo_name(match["vo"]) or ".." in match["host"]:
        raise ValueError(
            f"an attribute certificate's VO is not named as VO://HOST:PORT: {authority[0].chosen.contents!r}"
        )
    if not 1 <= len(syntax["values"]) <= MAX_FQANS:
        raise ValueError(f"an attribute certificate lists {len(syntax['values'])} attributes")
    fqans = tuple(normalise(value.chosen.contents.decode("ascii")) for value in syntax["values"])
    for fqan in fqans:
        if not is_of_vo(fqan, match["vo"]):
            raise ValueError(f"the VO {match['vo']} gave the attribute {fqan}, which is not its own")
    return match["vo"], match["host"].lower(), fqans


def _targets(value: bytes | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    return tuple(_target_names(value))


def _target_names(value: bytes) -> Iterator[str]:
    for targets in der.children(der.only(value, der.SEQUENCE), der.SEQUENCE):
        while targets:
            tag, target, targets = der.split(targets)  # noqa: PLW2901  # eating up what is left
            if tag != 0xA0:
                continue  # a group of targets, which nobody uses: it is not us
            kind, name, _ = der.split(target)
            if kind in _HOST_NAMES:
                yield name.decode("ascii").lower()


def _chain(value: bytes | None) -> tuple[bytes, ...]:
    if value is None:
        raise ValueError("an attribute certificate does not bring its issuer's certificate")
    inner = der.children(der.only(der.only(value, der.SEQUENCE), der.SEQUENCE), der.SEQUENCE)
    if not 1 <= len(inner) <= MAX_CERTIFICATES:
        raise ValueError(f"an attribute certificate brings {len(inner)} certificates of its issuer")
    return tuple(der.wrap(der.SEQUENCE, content) for content in inner)
