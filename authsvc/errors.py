"""What can go wrong between two ends that prove to each other who they are.

Decides the codes of authentication; the texts are made where the facts are known, and name the side, the file or the
certificate, and the way out.  Leaves to `fdtcp.errors` what is common to all packages.
"""

from __future__ import annotations

from fdtcp.errors import Fault, FdtError, Status, UsageError


class NotAuthentic(FdtError):
    """The daemon could not prove that it is the host we meant: wrong name, wrong CA, expired."""

    code = "host-not-authentic"
    fault = Fault.SITE
    remedy_text = "do not go on before the host's administrator has looked at its certificate"


class NotMapped(FdtError):
    """The caller is who he says, but the site has no account for him."""

    code = "not-mapped"
    fault = Fault.USER
    status = Status.PERMISSION
    remedy_text = "ask the site's administrator to add this DN to the grid-mapfile"


class AccountRefused(FdtError):
    """The map names an account that must not be used: root, a system account, an unknown one."""

    code = "account-refused"
    fault = Fault.SITE
    status = Status.PERMISSION
    remedy_text = "the site's administrator has to map this DN to an ordinary account"


class CredentialExpired(FdtError):
    """The caller's certificate or proxy is past its end."""

    code = "credential-expired"
    fault = Fault.USER
    status = Status.PERMISSION
    remedy_text = "make a new proxy, then run the same command again"


class CredentialRefused(FdtError):
    """The server looked at the caller's chain of certificates and did not accept it."""

    code = "credential-refused"
    fault = Fault.USER
    status = Status.PERMISSION
    remedy_text = "make a new proxy from a certificate that this site accepts"


class BadCredential(FdtError):
    """A certificate or key file that cannot be used: missing, open to others, encrypted, truncated, not matching."""

    code = "bad-credential"
    fault = Fault.USER


class BadToken(FdtError):
    """A bearer token that cannot be used as it is: missing, open to others, not a signed JSON web token."""

    code = "bad-token"
    fault = Fault.USER


class TokenRefused(FdtError):
    """The server looked at the caller's bearer token and did not accept it."""

    code = "token-refused"
    fault = Fault.USER
    status = Status.PERMISSION
    remedy_text = "get a token from an issuer, and for an audience, that this site accepts; or go without one"


class DelegationRefused(FdtError):
    """A proxy that was handed over for a job is not what the daemon asked for, or not its caller's to give."""

    code = "delegation-refused"
    fault = Fault.USER
    status = Status.PERMISSION
    remedy_text = "make a new proxy, then run the same command again"


class RenewalFailed(FdtError):
    """A proxy was not renewed from its MyProxy server; the old one is untouched."""

    code = "renewal-failed"
    fault = Fault.SITE
    retryable = True
    remedy_text = "look at the MyProxy server and at what is deposited there (myproxy-info)"


class BadTrust(FdtError):
    """The directory of CA certificates is missing, unreadable or empty, so nobody could be trusted."""

    code = "bad-ca-directory"
    fault = Fault.SITE
    remedy_text = "install the CA certificates there, or name another directory in X509_CERT_DIR"


class CertificateRevoked(FdtError):
    """A CA has taken back one of the certificates of the chain."""

    code = "certificate-revoked"
    fault = Fault.USER
    status = Status.PERMISSION
    remedy_text = "get a new certificate from the CA"


class BadRevocationList(FdtError):
    """The list of revoked certificates of a CA is missing where it is needed, expired, wrongly signed or unreadable."""

    code = "bad-crl"
    fault = Fault.SITE
    remedy_text = "the administrator there has to run fetch-crl"


class OutsidePolicy(FdtError):
    """A CA signed a name that its signing policy does not allow, or nothing says which names it may sign."""

    code = "signing-policy"
    fault = Fault.SITE
    status = Status.PERMISSION


class Banned(FdtError):
    """The site does not serve this user, whatever the grid-mapfile says."""

    code = "banned"
    fault = Fault.USER
    status = Status.PERMISSION
    remedy_text = "ask the site's administrators why"


class BadBanList(FdtError):
    """The list of banned users cannot be read, so nobody new is let in."""

    code = "bad-ban-list"
    fault = Fault.SITE
    remedy_text = "the administrator there has to mend it"


class BadGridmap(FdtError):
    """The grid-mapfile cannot be read, and there is no earlier good one to go on with."""

    code = "bad-gridmap"
    fault = Fault.SITE


class AccountsUnknown(FdtError):
    """The site's account service cannot be asked, and no earlier answer is young enough."""

    code = "accounts-unknown"
    fault = Fault.SITE
    retryable = True
    remedy_text = "retry in a minute; the site's administrator finds the reason in the daemon's log"


class NotAHost(FdtError):
    """Somebody asks the account service who is not one of the site's daemons."""

    code = "not-a-host"
    fault = Fault.SITE
    status = Status.PERMISSION
    remedy_text = "add the DN of the daemon's host certificate to [service] callers in authsvc.conf"


class TooManyConnections(FdtError):
    """This caller, or all together, hold as many connections as the daemon allows."""

    code = "too-many-connections"
    fault = Fault.SITE
    retryable = True
    remedy_text = "retry in a minute, or run fewer transfers side by side"


class ChannelLost(FdtError):
    """The connection to a daemon closed or fell silent in the middle of a call."""

    code = "channel-lost"
    fault = Fault.SITE
    retryable = True
    remedy_text = "check the network and the daemon's log on that host"


class AddressTaken(FdtError):
    """Another program listens where this daemon should."""

    code = "address-taken"
    fault = Fault.SITE
    remedy_text = "stop the other daemon, or give this one another port"


class LabCaRefused(UsageError):
    """The lab CA was asked for something that it does not do, such as overwriting a key."""

    code = "lab-ca"
