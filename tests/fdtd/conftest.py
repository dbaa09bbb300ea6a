"""A daemon's inner parts with a scripted mover instead of the real one, in this process."""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fdtcp.errors import Side
from fdtcp.model.order import DestinationFile, Policy, SourceFile
from fdtd.daemon import path_policies
from fdtd.live.registry import Registry
from fdtd.live.session import LiveSession
from fdtd.live.sweeping import Sweeping
from fdtd.live.tools import Tools
from fdtd.processes.launcher import Launcher
from fdtd.service import Service
from fdtd.sessions.machine import SessionKey
from fdtd.site.config import AccountSettings, SessionSettings, Settings, load_config
from fdtd.site.memory import Memory
from fdtd.site.ports import PortLeases
from fdtd.state.statefile import StateFile
from fdtmon.record import Record
from tests.helpers.daemons import own_account

ROOT = Path(__file__).parents[2]
SAME = AccountSettings("same", 1000, True, "", "")
DN = "/CN=me"


def scripted(manner: str) -> tuple[str, ...]:
    """Return the command of a scripted mover; not with -I, which would not find the tests."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.helpers.scripted_mover import main"
    return (sys.executable, "-c", f"{program}; raise SystemExit(main({manner!r}))")


@dataclass
class Rig:
    """Everything of a daemon but the channel."""

    settings: Settings
    launcher: Launcher
    state: StateFile
    sweeping: Sweeping
    registry: Registry
    ports: PortLeases
    tools: Tools
    service: Service
    log_dir: Path

    def key(self, side: Side = Side.DESTINATION, job: str = "", dn: str = DN) -> SessionKey:
        return SessionKey(dn, own_account(), job or uuid.uuid4().hex, side)

    def open(self, side: Side = Side.DESTINATION, key: SessionKey | None = None) -> LiveSession:
        return self.registry.open(key or self.key(side), Policy(), ("127.1.0.2",), (b"/",), self.tools)


def file(index: int, path: bytes = b"") -> DestinationFile:
    return DestinationFile(index, path or b"/d/f%d" % index, 10, 0, 0o644, b"fdt://s/f%d" % index)


def source(index: int) -> SourceFile:
    return SourceFile(index, b"/d/f%d" % index)


RigMaker = Callable[..., Rig]


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[RigMaker]:
    """Return a function that makes a rig whose movers behave as the manner says."""
    with ExitStack() as stack:

        def make(manner: str, *, ticking: bool = True, **session: float) -> Rig:
            settings = load_config("")
            own = SessionSettings(**{**_session(settings.session), **session})  # type: ignore[arg-type]  # tests pass numbers
            settings = replace(
                settings,
                session=own,
                data=replace(settings.data, interfaces=("127.1.0.2",), peers=()),
                accounts=SAME,
            )
            log_dir = tmp_path / "log"
            (log_dir / "transfers").mkdir(parents=True, exist_ok=True)
            state = stack.enter_context(closing(StateFile(str(tmp_path))))
            launcher = stack.enter_context(Launcher(SAME, scripted(manner)))
            sweeping = stack.enter_context(Sweeping(launcher, state, str(log_dir), (b"/",), 3600.0))
            registry = Registry(own, state)
            ports = PortLeases(50000, 50009)
            memory = Memory(own.max_memory, own.max_memory_per_user)
            tools = Tools(
                launcher, state, ports, sweeping.start_sweep, str(log_dir), 3600.0, _nobody_listens, "se1", memory
            )
            service = Service(settings, registry, tools, path_policies(settings))
            stack.callback(_stop, registry)
            if ticking:
                stack.enter_context(_Ticking(registry))
            return Rig(settings, launcher, state, sweeping, registry, ports, tools, service, log_dir)

        yield make


def _nobody_listens(_record: Record) -> None:
    pass


def _session(settings: SessionSettings) -> dict[str, float]:
    return {name: getattr(settings, name) for name in SessionSettings.__dataclass_fields__}


class _Ticking:
    """What the daemon's main loop does, in a thread."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(0.05):
            self._registry.tick(time.monotonic())


def _stop(registry: Registry) -> None:
    for live in registry.all():
        live.kill()
        live.wait_process_gone(10.0)
