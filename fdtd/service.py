"""The calls that a known caller may make.

Decides what of a request is acceptable before a session sees it: its form, its size, the site's limits on options,
paths and endpoints.  The caller's DN and account are part of every session's key, so another owner's job is simply
not there.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from authsvc.errors import TokenRefused
from fdtcp.contract import (
    CONTRACT_VERSION,
    FINGERPRINT_BYTES,
    MAX_CHUNK,
    MAX_CHUNK_BYTES,
    Abort,
    About,
    AboutReply,
    Connect,
    Describe,
    DescribeReply,
    Done,
    Expect,
    ExpectReply,
    Finish,
    Listen,
    ListenReply,
    Release,
    Reply,
    Request,
    SetRate,
    SourceGone,
    Watch,
    WatchReply,
    decode_request,
    encode_reply,
)
from fdtcp.errors import OptionRefused, Phase, Problem, ProtocolViolation, Side
from fdtcp.model.columns import Columns
from fdtcp.model.order import DestinationFile, Policy, ReleasedFile, SourceFile
from fdtd.errors import EndpointRefused, NoDataAddress, UnknownSession
from fdtd.live.registry import Registry
from fdtd.live.session import LiveSession
from fdtd.live.tools import Tools
from fdtd.operation.monitoring import host_name
from fdtd.sessions.book import check_indexes, without
from fdtd.sessions.machine import SessionKey
from fdtd.site.config import Settings
from fdtd.site.interfaces import data_addresses, data_networks
from fdtd.site.paths import PathPolicy, is_covered
from fdtd.site.peers import parse_address, why_refused

if TYPE_CHECKING:
    from authsvc.channel import Caller
    from authsvc.tokens import Grant

_log: Final = logging.getLogger("fdtd.service")

_JOB: Final = re.compile(r"[0-9a-f]{32}")
# More data addresses than any host has.
MAX_ADDRESSES: Final = 64
# A Pfn with a name of PATH_MAX bytes, each written as three characters.
MAX_SOURCE_BYTES: Final = 16 << 10
MAX_SIZE: Final = 1 << 62
SECRET_BYTES: Final = 32

Plain = dict[str, Any]  # Any: plain values of the channel


class Service:
    """What the daemon does for its callers; one for all connections, safe to use from all threads."""

    def __init__(self, settings: Settings, registry: Registry, tools: Tools, paths: dict[Side, PathPolicy]) -> None:
        """`paths`: by which policies paths are refused early; movers get the prefixes as configured."""
        self._settings = settings
        self._registry = registry
        self._tools = tools
        self._paths = paths
        self._prefixes = {
            Side.SOURCE: PathPolicy.of(Side.SOURCE, settings.paths.read).prefixes,
            Side.DESTINATION: PathPolicy.of(Side.DESTINATION, settings.paths.write).prefixes,
        }

    def handler_for(self, caller: Caller) -> Callable[[str, Plain], Plain]:
        """Return the function that answers the calls of one connection."""
        dn, account = caller.identity.dn, caller.account
        if (grant := caller.grant) is not None:
            _log.info(
                "event=token dn=%r issuer=%r subject=%r read=%r modify=%r",
                *(dn, grant.issuer, grant.subject, grant.read, grant.modify),
            )

        def call(name: str, argument: Plain) -> Plain:
            request = decode_request(name, argument)
            if not isinstance(request, About) and not _JOB.fullmatch(request.job):
                raise ProtocolViolation("a job is named by a UUID, 32 hex digits")
            _log.debug("event=call name=%s dn=%r peer=%s", name, dn, caller.peer)
            return encode_reply(self.answer(dn, account, request, grant))

        return call

    def answer(  # a table: one case for each call
        self, dn: str, account: str, request: Request, grant: Grant | None = None
    ) -> Reply:
        """Answer one request of this owner, who may be limited by his bearer token.  Raises FdtError."""
        match request:
            case About():
                return self._about()
            case Describe():
                return self._describe(SessionKey(dn, account, request.job, Side.SOURCE), request, grant)
            case Expect():
                return self._expect(SessionKey(dn, account, request.job, Side.DESTINATION), request, grant)
            case Listen():
                return self._listen(SessionKey(dn, account, request.job, request.side), request, grant)
            case Connect():
                return self._connect(SessionKey(dn, account, request.job, request.side), request, grant)
            case Release():
                _check_chunk(request.files)
                key = SessionKey(dn, account, request.job, Side.SOURCE)
                self._require(key, grant).release(request.files, request.last)
                return Done()
            case SourceGone():
                self._require(SessionKey(dn, account, request.job, Side.DESTINATION), grant).source_gone()
                return Done()
        return self._answer_either(_keys(dn, account, request.job, request.side), request, grant)

    def _answer_either(
        self, keys: Sequence[SessionKey], request: SetRate | Watch | Finish | Abort, grant: Grant | None
    ) -> Reply:
        """Answer what can be asked of both ends of a job."""
        match request:
            case SetRate():
                return self._set_rate(keys, request.rate, grant)
            case Watch():
                return self._watch(keys, request, grant)
            case Finish():
                return self._finish(keys, grant)
            case Abort():
                return self._abort(keys, request.discard, grant)

    def _about(self) -> AboutReply:
        try:
            addresses = data_addresses(self._settings.data.interfaces)
        except NoDataAddress:
            addresses = ()
        host = host_name(self._settings)
        return AboutReply(package_version(), CONTRACT_VERSION, host, addresses)

    def _describe(self, key: SessionKey, request: Describe, grant: Grant | None) -> DescribeReply:
        files = Columns.of(SourceFile, request.files)
        _check_chunk(files)
        paths = _paths_of(files)
        live = self._open(key, request.policy, request.addresses, grant)
        refused = _refused(self._paths[key.side].limited_to(_scopes(grant, key.side)), paths, files)
        return DescribeReply(live.describe(files, refused), live.addresses, live.encrypts)

    def _expect(self, key: SessionKey, request: Expect, grant: Grant | None) -> ExpectReply:
        files = Columns.of(DestinationFile, request.files)
        _check_chunk(files)
        paths = _paths_of(files)
        _check_facts(files)
        refused = _refused(self._paths[key.side].limited_to(_scopes(grant, key.side)), paths, files)
        live = self._open(key, request.policy, request.addresses, grant)
        # Nobody's session is stopped for files that this one may not have.
        self._registry.take_over(key, without(files, refused))
        verdicts = live.expect(files, refused, request.last)
        return ExpectReply(verdicts, live.addresses, live.encrypts, live.session.throttle.rate)

    def _listen(self, key: SessionKey, request: Listen, grant: Grant | None) -> ListenReply:
        if len(request.peers) > MAX_ADDRESSES:
            raise ProtocolViolation(f"{len(request.peers)} peers; at most {MAX_ADDRESSES} are allowed")
        try:
            peers = tuple(str(parse_address(peer)) for peer in request.peers)
        except ValueError as exc:
            raise ProtocolViolation(f"peers are numeric addresses: {exc}") from exc
        self._check_encryption(is_wanted=request.encrypt)
        live = self._require(key, grant)
        if key.side is not live.session.policy.listener:
            raise ProtocolViolation(f"in this job the {key.side} does not listen")
        return live.listen(peers, encrypt=request.encrypt)

    def _connect(self, key: SessionKey, request: Connect, grant: Grant | None) -> Done:
        live = self._require(key, grant)
        if key.side is live.session.policy.listener:
            raise ProtocolViolation(f"in this job the {key.side} does not connect")
        if len(request.secret) != SECRET_BYTES:
            raise ProtocolViolation(f"a secret has {SECRET_BYTES} bytes")
        if len(request.fingerprint) not in (0, FINGERPRINT_BYTES):
            raise ProtocolViolation(f"a fingerprint has {FINGERPRINT_BYTES} bytes")
        self._check_encryption(is_wanted=bool(request.fingerprint))
        if live.encrypts and not request.fingerprint:
            raise OptionRefused(
                f"the {key.side} wants encrypted streams and the other end has plain ones", phase=Phase.PREPARE
            )
        data = self._settings.data
        why = why_refused(request.endpoints, data.peers, () if data.peers else data_networks(data.interfaces))
        if why is not None:
            _log.warning("event=endpoint-refused job=%s dn=%r reason=%r", key.job, key.dn, why)
            raise EndpointRefused(
                f"the site of the {key.side} does not connect to an endpoint of the other end", phase=Phase.PREPARE
            )
        live.connect(request.endpoints, request.secret, request.fingerprint)
        return Done()

    def _set_rate(self, keys: Sequence[SessionKey], rate: int, grant: Grant | None) -> Done:
        if rate < 0:
            raise ProtocolViolation("a rate is not negative")
        found = [live for key in keys if (live := self._find(key, grant)) is not None]
        if not found:
            raise _unknown(keys[0])
        limit = self._settings.limits.cut_rate(rate)
        _log.info("event=rate job=%s dn=%r wanted=%d limit=%d", keys[0].job, keys[0].dn, rate, limit)
        for live in found:
            live.set_limit(limit)
        return Done()

    def _check_encryption(self, *, is_wanted: bool) -> None:
        if is_wanted and self._settings.limits.encrypt.is_forbidden:
            raise OptionRefused("this site does not allow encrypted streams", phase=Phase.PREPARE)

    def _watch(self, keys: Sequence[SessionKey], request: Watch, grant: Grant | None) -> WatchReply:
        if request.cursor < 0:
            raise ProtocolViolation("a cursor is not negative")
        for key in keys:
            if (live := self._find(key, grant)) is not None:
                return live.watch(request.cursor, request.wait)
        for key in keys:
            self._check_stored(key, grant)
            if (reply := self._registry.watch_stored(key, request.cursor, request.wait)) is not None:
                return reply
        raise _unknown(keys[0])

    def _finish(self, keys: Sequence[SessionKey], grant: Grant | None) -> Done:
        for key in keys:
            if (live := self._find(key, grant)) is not None:
                live.finish()
            else:
                self._check_stored(key, grant)
                self._registry.forget_stored(key)
        # Nothing there is what a repeated call finds.
        return Done()

    def _abort(self, keys: Sequence[SessionKey], discard: bool, grant: Grant | None) -> Done:
        found = False
        for key in keys:
            if (live := self._find(key, grant)) is not None:
                live.abort(discard)
                found = True
            else:
                self._check_stored(key, grant)
                found = self._registry.abort_stored(key, discard) or found
        if not found:
            raise _unknown(keys[0])
        return Done()

    def _open(self, key: SessionKey, wanted: Policy, addresses: Sequence[str], grant: Grant | None) -> LiveSession:
        """Return the session; what a new one is opened with holds for all its calls."""
        if (live := self._find(key, grant)) is not None:
            return live
        if len(addresses) > MAX_ADDRESSES:
            raise OptionRefused(f"{len(addresses)} data addresses; at most {MAX_ADDRESSES} are allowed")
        policy = self._settings.limits.apply(wanted)
        self._settings.limits.reverse.check(key.side, key.account, is_wanted=policy.reverse)
        if not self._settings.keep_partials:
            policy = replace(policy, keep_partials=False)
        chosen = data_addresses(self._settings.data.interfaces, addresses)
        scopes = _scopes(grant, key.side)
        live = self._registry.open(key, policy, chosen, self._prefixes[key.side], self._tools, scopes)
        _check_rights(key, live.scopes, grant)  # another connection may have opened it meanwhile
        return live

    def _require(self, key: SessionKey, grant: Grant | None) -> LiveSession:
        live = self._find(key, grant)
        if live is None:
            raise self._registry.why_gone(key) or _unknown(key)
        return live

    def _find(self, key: SessionKey, grant: Grant | None) -> LiveSession | None:
        live = self._registry.find(key)
        if live is not None:
            _check_rights(key, live.scopes, grant)
        return live

    def _check_stored(self, key: SessionKey, grant: Grant | None) -> None:
        if grant is not None and (stored := self._registry.stored(key)) is not None:
            _check_rights(key, stored.scopes, grant)


@cache
def package_version() -> str:
    """Return the version of the installed package."""
    return version("fdtcp")


def _keys(dn: str, account: str, job: str, side: Side | None) -> list[SessionKey]:
    """Return which sessions a call may mean, the destination's first: only it has outcomes."""
    sides = [side] if side in (Side.SOURCE, Side.DESTINATION) else [Side.DESTINATION, Side.SOURCE]
    return [SessionKey(dn, account, job, one) for one in sides]


def _scopes(grant: Grant | None, side: Side) -> tuple[bytes, ...] | None:
    if grant is None:
        return None
    return grant.read if side is Side.SOURCE else grant.modify


def _check_rights(key: SessionKey, scopes: tuple[bytes, ...] | None, grant: Grant | None) -> None:
    """Refuse a token that allows less than the session has: its bearer could use what he was not given.

    He could send what others described where he likes, or write where they were expected.  Raises TokenRefused.
    """
    if not is_covered(scopes, _scopes(grant, key.side)):
        _log.warning("event=token-too-narrow job=%s side=%s dn=%r", key.job, key.side, key.dn)
        raise TokenRefused(
            "the job was begun with rights that this token does not give",
            remedy="go on with a token of the same scopes, or without one if it was begun so",
        )


def _unknown(key: SessionKey) -> UnknownSession:
    return UnknownSession(f"there is no job {key.job} here", phase=Phase.SERVICE)


def _refused(
    policy: PathPolicy, paths: Sequence[bytes], files: Columns[SourceFile] | Columns[DestinationFile]
) -> dict[int, Problem]:
    refusals = policy.refusals(paths)
    if not refusals:
        return {}
    indexes = files.numbers("index")
    return {indexes[place]: problem for place, problem in refusals.items()}


def _check_chunk(files: Sequence[SourceFile | DestinationFile | ReleasedFile]) -> None:
    if len(files) > MAX_CHUNK:
        raise ProtocolViolation(f"a chunk of {len(files)} files; at most {MAX_CHUNK} are allowed")
    check_indexes(files)


def _paths_of(files: Columns[SourceFile] | Columns[DestinationFile]) -> list[bytes]:
    paths = files.names("path")
    if sum(map(len, paths)) > MAX_CHUNK_BYTES:
        raise ProtocolViolation(f"the names of a chunk have more than {MAX_CHUNK_BYTES} bytes")
    return paths


def _check_facts(files: Columns[DestinationFile]) -> None:
    if not files:
        return
    sizes, modes = files.numbers("size"), files.numbers("mode")
    longest = max(map(len, files.names("source")))
    if min(sizes) < 0 or max(sizes) > MAX_SIZE or min(modes) < 0 or max(modes) > 0o7777 or longest > MAX_SOURCE_BYTES:
        raise ProtocolViolation("a file has impossible facts")
