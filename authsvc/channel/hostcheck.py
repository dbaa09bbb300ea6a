"""The client's judgement of a daemon's certificate, after TLS has verified its chain.

Decides what TLS does not: the DN where one is configured, the signing policy of the host's CA, and whether the
certificate was revoked.  Only where a list of revoked certificates is there does this load cryptography; see
docs/decisions/0020.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache

from authsvc import certname
from authsvc.authorities import Authorities, TrustRules
from authsvc.dn import fold, render
from authsvc.errors import BadRevocationList, CertificateRevoked, CredentialRefused, NotAuthentic, OutsidePolicy
from fdtcp.errors import Side


def check_host(chain: Sequence[bytes], where: str, ca_dir: str, trust: TrustRules, expect_dn: str | None) -> None:
    """Judge the verified chain of the daemon at `where`.

    Raises NotAuthentic; or OutsidePolicy and BadRevocationList, seen at the client's side: they are about files here.
    """
    try:
        if expect_dn is not None:
            _check_dn(chain[0], where, expect_dn)
        _authorities(ca_dir, trust).judge(chain, time.time())
    except CertificateRevoked as exc:
        raise NotAuthentic(f"the daemon at {where} shows a certificate that does not hold: {exc.reason}") from exc
    except (CredentialRefused, ValueError) as exc:
        raise NotAuthentic(f"the name in the certificate of the daemon at {where} cannot be used: {exc}") from exc
    except (OutsidePolicy, BadRevocationList) as exc:
        exc.side = Side.CLIENT
        if isinstance(exc, BadRevocationList):
            exc.remedy = "run fetch-crl on this machine, or say crl = off in fdtcp.conf"
        raise


@lru_cache(maxsize=4)
def _authorities(ca_dir: str, trust: TrustRules) -> Authorities:
    # Kept, because a client opens several connections, and a long list takes 30 ms to check.
    return Authorities(ca_dir, trust)


def _check_dn(certificate: bytes, where: str, expect_dn: str) -> None:
    _, subject = certname.issuer_and_subject(certificate)
    found = render(certname.parts(subject))
    if fold(found) != fold(expect_dn):
        raise NotAuthentic(f"the daemon at {where} is {found}, not {expect_dn}", remedy="correct its DN under [peers]")
