"""The calls that a known caller may make.

Decides what of a request is acceptable before a session sees it: its form, its size, the site's limits on options,
paths and endpoints.  The caller's DN and account are part of every session's key, so another owner's job is simply
not there.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from fdtcp.contract import (
    CONTRACT_VERSION,
    MAX_CHUNK,
    MAX_CHUNK_BYTES,
    Abort,
    About,
    AboutReply,
    Describe,
    DescribeReply,
    Done,
    Expect,
    ExpectReply,
    Finish,
    PrepareReceive,
    PrepareReceiveReply,
    Release,
    Reply,
    Request,
    SetRate,
    SourceGone,
    StartSend,
    Watch,
    WatchReply,
    decode_request,
    encode_reply,
)
from fdtcp.errors import OptionRefused, Phase, Problem, ProtocolViolation, Side
from fdtcp.model.order import DestinationFile, Policy, ReleasedFile, SourceFile
from fdtd.errors import EndpointRefused, NoDataAddress, UnknownSession
from fdtd.live.registry import Registry
from fdtd.live.session import LiveSession, Tools
from fdtd.operation.monitoring import host_name
from fdtd.sessions.book import check_indexes
from fdtd.sessions.machine import SessionKey
from fdtd.site.config import Settings
from fdtd.site.interfaces import data_addresses, data_networks
from fdtd.site.paths import PathPolicy
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
            case PrepareReceive():
                return self._prepare_receive(SessionKey(dn, account, request.job, Side.DESTINATION), request)
            case StartSend():
                return self._start_send(SessionKey(dn, account, request.job, Side.SOURCE), request)
            case Release():
                _check_chunk(request.files)
                key = SessionKey(dn, account, request.job, Side.SOURCE)
                self._require(key).release(request.files, request.last)
                return Done()
            case SourceGone():
                self._require(SessionKey(dn, account, request.job, Side.DESTINATION)).source_gone()
                return Done()
        return self._answer_either(_keys(dn, account, request.job, request.side), request)

    def _answer_either(self, keys: Sequence[SessionKey], request: SetRate | Watch | Finish | Abort) -> Reply:
        """Answer what can be asked of both ends of a job."""
        match request:
            case SetRate():
                return self._set_rate(keys, request.rate)
            case Watch():
                return self._watch(keys, request)
            case Finish():
                return self._finish(keys)
            case Abort():
                return self._abort(keys, request.discard)

    def _about(self) -> AboutReply:
        try:
            addresses = data_addresses(self._settings.data.interfaces)
        except NoDataAddress:
            addresses = ()
        host = host_name(self._settings)
        return AboutReply(package_version(), CONTRACT_VERSION, host, addresses)

    def _describe(self, key: SessionKey, request: Describe, grant: Grant | None) -> DescribeReply:
        _check_chunk(request.files)
        _check_bytes(file.path for file in request.files)
        # A reader follows symlinks below the prefixes, so it has to look at where they lead by itself.
        scopes = None if grant is None else grant.read
        live = self._open(key, request.policy, request.addresses, scopes)
        paths = self._paths[key.side].limited_to(scopes)
        return DescribeReply(live.describe(request.files, _refused(paths, request.files)), live.addresses)

    def _expect(self, key: SessionKey, request: Expect, grant: Grant | None) -> ExpectReply:
        _check_chunk(request.files)
        _check_bytes(file.path for file in request.files)
        for file in request.files:
            if not (0 <= file.size <= MAX_SIZE and 0 <= file.mode <= 0o7777 and len(file.source) <= MAX_SOURCE_BYTES):
                raise ProtocolViolation(f"file {file.index} has impossible facts")
        # A writer follows no symlinks, so the text of a path says where it leads.
        paths = self._paths[key.side].limited_to(None if grant is None else grant.modify)
        live = self._open(key, request.policy, request.addresses)
        self._registry.take_over(key, request.files)
        return ExpectReply(live.expect(request.files, _refused(paths, request.files), request.last))

    def _prepare_receive(self, key: SessionKey, request: PrepareReceive) -> PrepareReceiveReply:
        if len(request.peers) > MAX_ADDRESSES:
            raise ProtocolViolation(f"{len(request.peers)} peers; at most {MAX_ADDRESSES} are allowed")
        try:
            peers = tuple(str(parse_address(peer)) for peer in request.peers)
        except ValueError as exc:
            raise ProtocolViolation(f"peers are numeric addresses: {exc}") from exc
        return self._require(key).prepare_receive(peers)

    def _start_send(self, key: SessionKey, request: StartSend) -> Done:
        live = self._require(key)
        if len(request.secret) != SECRET_BYTES:
            raise ProtocolViolation(f"a secret has {SECRET_BYTES} bytes")
        data = self._settings.data
        why = why_refused(request.endpoints, data.peers, () if data.peers else data_networks(data.interfaces))
        if why is not None:
            _log.warning("event=endpoint-refused job=%s dn=%r reason=%r", key.job, key.dn, why)
            raise EndpointRefused(
                "the site of the source does not send to an endpoint of the destination", phase=Phase.PREPARE
            )
        live.start_send(request.endpoints, request.secret)
        return Done()

    def _set_rate(self, keys: Sequence[SessionKey], rate: int) -> Done:
        if rate < 0:
            raise ProtocolViolation("a rate is not negative")
        found = [live for key in keys if (live := self._registry.find(key)) is not None]
        if not found:
            raise _unknown(keys[0])
        limit = self._settings.limits.cut_rate(rate)
        _log.info("event=rate job=%s dn=%r wanted=%d limit=%d", keys[0].job, keys[0].dn, rate, limit)
        for live in found:
            live.set_limit(limit)
        return Done()

    def _watch(self, keys: Sequence[SessionKey], request: Watch) -> WatchReply:
        if request.cursor < 0:
            raise ProtocolViolation("a cursor is not negative")
        for key in keys:
            if (live := self._registry.find(key)) is not None:
                return live.watch(request.cursor, request.wait)
        for key in keys:
            if (reply := self._registry.watch_stored(key, request.cursor, request.wait)) is not None:
                return reply
        raise _unknown(keys[0])

    def _finish(self, keys: Sequence[SessionKey]) -> Done:
        for key in keys:
            if (live := self._registry.find(key)) is not None:
                live.finish()
            else:
                self._registry.forget_stored(key)
        # Nothing there is what a repeated call finds.
        return Done()

    def _abort(self, keys: Sequence[SessionKey], discard: bool) -> Done:
        found = False
        for key in keys:
            if (live := self._registry.find(key)) is not None:
                live.abort(discard)
                found = True
            else:
                found = self._registry.abort_stored(key, discard) or found
        if not found:
            raise _unknown(keys[0])
        return Done()

    def _open(
        self, key: SessionKey, wanted: Policy, addresses: Sequence[str], scopes: tuple[bytes, ...] | None = None
    ) -> LiveSession:
        """Return the session; what a new one is opened with holds for all its calls."""
        if (live := self._registry.find(key)) is not None:
            return live
        if len(addresses) > MAX_ADDRESSES:
            raise OptionRefused(f"{len(addresses)} data addresses; at most {MAX_ADDRESSES} are allowed")
        policy = self._settings.limits.apply(wanted)
        if not self._settings.keep_partials:
            policy = replace(policy, keep_partials=False)
        chosen = data_addresses(self._settings.data.interfaces, addresses)
        return self._registry.open(key, policy, chosen, self._prefixes[key.side], self._tools, scopes)

    def _require(self, key: SessionKey) -> LiveSession:
        live = self._registry.find(key)
        if live is None:
            raise self._registry.why_gone(key) or _unknown(key)
        return live


@cache
def package_version() -> str:
    """Return the version of the installed package."""
    return version("fdtcp")


def _keys(dn: str, account: str, job: str, side: Side | None) -> list[SessionKey]:
    """Return which sessions a call may mean, the destination's first: only it has outcomes."""
    sides = [side] if side in (Side.SOURCE, Side.DESTINATION) else [Side.DESTINATION, Side.SOURCE]
    return [SessionKey(dn, account, job, one) for one in sides]


def _unknown(key: SessionKey) -> UnknownSession:
    return UnknownSession(f"there is no job {key.job} here", phase=Phase.SERVICE)


def _refused(paths: PathPolicy, files: Sequence[SourceFile | DestinationFile]) -> dict[int, Problem]:
    refusals = ((file.index, paths.refusal(file.path)) for file in files)
    return {index: problem for index, problem in refusals if problem is not None}


def _check_chunk(files: Sequence[SourceFile | DestinationFile | ReleasedFile]) -> None:
    if len(files) > MAX_CHUNK:
        raise ProtocolViolation(f"a chunk of {len(files)} files; at most {MAX_CHUNK} are allowed")
    check_indexes(files)


def _check_bytes(paths: Iterable[bytes]) -> None:
    if sum(map(len, paths)) > MAX_CHUNK_BYTES:
        raise ProtocolViolation(f"the names of a chunk have more than {MAX_CHUNK_BYTES} bytes")
