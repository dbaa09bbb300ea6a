"""The way of one job over the data network, whoever connects.

Decides that a mover is told once to listen or to connect and then has its streams either way; whether it reads or
writes makes no difference.  With `--reverse` it is the writer who connects and the reader who listens.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, Generic

from fdtcp.errors import DataConnectFailed, FdtError, ProtocolViolation, Side, StreamsLost
from fdtcp.model.order import Connect, Listen, Listening, Role, Setup
from fdtd.mover.accepting import Door
from fdtd.mover.connecting import Lanes
from fdtd.mover.control import Control
from fdtd.mover.distance import Spread, spread_over
from fdtd.mover.greeting import Greeting
from fdtd.mover.log import Log
from fdtd.mover.roster import Roster, S, Solitude
from fdtd.mover.streams import Wire

# The other mover may start this much later than we do: the client has to carry the endpoints to it.
_PEER_START_S: Final = 20.0

# Each has a thread and a buffer; so many a job may have where its site does not say otherwise.
MAX_STREAMS: Final = 64


class Crossing(Generic[S]):
    """The door or the lanes of one mover, and the streams that run there."""

    def __init__(
        self, setup: Setup, control: Control, make: Callable[[Wire, int], S], is_over: Callable[[], bool], log: Log
    ) -> None:
        """`make` turns an authenticated connection into a stream; `is_over`: no stream is wanted any more."""
        self._setup = setup
        self._policy = setup.policy
        self._control = control
        self._is_in_vain = is_over
        self._log = log
        self._door: Door[S] | None = None
        self._lanes: Lanes[S] | None = None
        self._pairs = 1  # of data addresses
        self._wanted = 0  # streams, by the word of a reader that listens
        self._is_encrypted = False
        sides = (Side.SOURCE, Side.DESTINATION)
        self._near_side, self._far_side = sides if setup.role is Role.READER else sides[::-1]
        # Twice: those that broke may not have noticed it yet.
        most = 2 * max(MAX_STREAMS, self._policy.streams, self._policy.most_streams)
        self.roster: Roster[S] = Roster(make, most, control.wake)
        self._solitude = Solitude(self.roster)

    def obey(self, order: Listen | Connect) -> None:
        """Open the way, and say where we listen.  Raises PortsExhausted, ProtocolViolation, DataConnectFailed."""
        if self.is_begun:
            raise ProtocolViolation(f"{type(order).__name__} though there is a way already")
        if isinstance(order, Connect):
            self._pairs = len(order.endpoints)
            self._is_encrypted = bool(order.fingerprint)
            greeting = self._greeting(order.secret, order.fingerprint)
            self._lanes = Lanes(
                *(order, self._policy, greeting, self.roster, self._log),
                is_over=self._is_in_vain,
                wake=self._control.wake,
            )
            return
        fingerprint = b""
        if order.credential:
            from fdtd.mover.sealing import fingerprint_of

            fingerprint = fingerprint_of(order.credential)
        greeting = self._greeting(order.secret, fingerprint)
        self._door = Door(order, self._policy, greeting, self.roster, self._log)
        self._control.say(Listening(self._door.open()))

    @property
    def is_begun(self) -> bool:
        """Whether we were told to listen or to connect."""
        return self._door is not None or self._lanes is not None

    @property
    def is_connecting(self) -> bool:
        """Whether it is us who open streams."""
        return self._lanes is not None

    @property
    def spread(self) -> Spread | None:
        """What the distance to the other host suggests; None until something is known of it."""
        round_trip_s = self.roster.round_trip_s
        return None if round_trip_s is None else spread_over(round_trip_s, os.cpu_count() or 1)

    def want(self, streams: int) -> None:
        """Take the word of a reader that listens on how many streams there should be: it sees what they meet."""
        wanted = min(streams, self._policy.most_streams)  # each word for more has a line in the log
        if self._lanes is not None and wanted > self._wanted:
            self._wanted = wanted
            self._log.event("more-streams-wanted", streams=wanted)
            self._control.wake()

    def open_more(self, spread: Spread | None, wants: Callable[[int], bool]) -> None:
        """Have as many streams as suit the path, if it is us who connects; see `Lanes.open`."""
        if self._lanes is None:
            return
        wanted = self._policy.streams or 1
        if spread is not None and not self._policy.streams:
            # Several data interfaces are there to be used.
            wanted = min(max(spread.streams, self._pairs, self._wanted), self._policy.most_streams)
        self._lanes.open(wanted, wants)

    def replace(self, stream: S) -> None:
        """Give up a stream whose thread hangs; who connects opens another one in its place."""
        self.roster.give_up(stream)
        if self._lanes is not None:
            self._lanes.replace(stream.number)

    def alone_for(self, now: float, *, is_wanted: bool) -> float:
        """Return for how many seconds no stream has been there though one is wanted; to be asked often."""
        return self._solitude.seconds(now, is_wanted=is_wanted and self.is_begun)

    def why_lost(self, alone: float) -> FdtError | None:
        """Return why no stream will come any more, if that is so after we have been alone for so many seconds."""
        was_open = self.roster.entered > 0
        if self._lanes is not None:
            return self._why_given_up(self._lanes, alone, was_open=was_open)
        # Who connects may notice later than we that a stream is dead, and only then begins to open another.
        if alone < self._policy.connect_timeout + (self._policy.connect_timeout if was_open else _PEER_START_S):
            return None
        if was_open:
            return StreamsLost("all data streams broke and none came back")
        return DataConnectFailed(f"no data stream arrived at the {self._near_side}")

    def _why_given_up(self, lanes: Lanes[S], alone: float, *, was_open: bool) -> FdtError | None:
        if lanes.is_hopeless or (alone > 0 and lanes.is_worn and lanes.is_barren):
            return StreamsLost(
                f"data streams to the {self._far_side} could be opened, and nothing that was sent over them arrived",
                remedy="check that packets of full size pass between the data interfaces (MTU), and that the other side"
                " answers; then run the same command again",
            )
        if alone <= 0 or not len(lanes):
            return None
        patience = self._policy.connect_timeout
        if was_open and lanes.is_worn:
            return StreamsLost("all data streams broke, again and again")
        if alone < patience or (lanes.is_greeting and alone < 2 * patience):
            return None
        if was_open:
            return StreamsLost("all data streams broke and could not be opened again")
        kind = "encrypted data stream" if self._is_encrypted else "data stream"
        return DataConnectFailed(f"no {kind} could be opened to the {self._far_side}")

    def close(self) -> None:
        """Let nobody in any more."""
        if self._door is not None:
            self._door.close()

    def _greeting(self, secret: bytes, fingerprint: bytes) -> Greeting:
        role, job = self._setup.role, bytes.fromhex(self._setup.job)
        return Greeting(role, job, self._policy.checksum, secret, fingerprint)
