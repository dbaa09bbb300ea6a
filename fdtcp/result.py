"""What a run came to: the outcomes of all files in the user's order, and how the jobs went.

Decides the whole result as it is written by `--json` and returned by `fdtcp.Client`; the report of BACKEND_CONTRACT.md,
which is less, is `fdtcp.report`'s.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fdtcp.errors import Problem
from fdtcp.model.order import Outcome, State
from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer
from fdtcp.report import exit_code, status_of
from fdtcp.runner import JobResult

# Grows by one when a reader of the JSON result would have to change.
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a run; `outcomes[i]` is that of `transfers[i]`, None if the run was stopped before it was final."""

    transfers: tuple[Transfer, ...]
    outcomes: tuple[Outcome | None, ...]
    jobs: tuple[JobResult, ...]
    began: float  # epoch seconds
    seconds: float
    is_stopped: bool = False
    problem: Problem | None = None  # why no job was even begun

    @property
    def exit_code(self) -> int:
        """The exit code that these outcomes make."""
        return exit_code(self.outcomes)

    @property
    def moved(self) -> int:
        """Bytes that crossed the network."""
        return sum(job.progress.moved for job in self.jobs)

    @property
    def rate(self) -> float:
        """Bytes per second over the whole run."""
        return self.moved / self.seconds if self.seconds > 0 else 0.0

    @property
    def paths(self) -> dict[tuple[str, str], int]:
        """The bytes that each pair of data addresses (sorted) has carried."""
        carried: dict[tuple[str, str], int] = {}
        for stream in (stream for job in self.jobs for stream in job.progress.streams):
            first, second = sorted((_strip_port(stream.local), _strip_port(stream.remote)))
            carried[first, second] = carried.get((first, second), 0) + stream.moved
        return carried

    def count(self, state: State) -> int:
        """Return how many files ended like that."""
        return sum(outcome is not None and outcome.state is state for outcome in self.outcomes)


def collect(
    transfers: Sequence[Transfer], jobs: Sequence[JobResult], *, began: float, seconds: float, is_stopped: bool
) -> Result:
    """Put the jobs' outcomes back into the user's order."""
    outcomes: list[Outcome | None] = [None] * len(transfers)
    for job in jobs:
        for index, outcome in job.outcomes.items():
            outcomes[job.job.positions[index]] = outcome
    return Result(tuple(transfers), tuple(outcomes), tuple(jobs), began, seconds, is_stopped)


def fail_all(transfers: Sequence[Transfer], problem: Problem, *, began: float) -> Result:
    """Return the result of a run that could not begin."""
    outcomes = tuple(Outcome(index, State.FAILED, 0, problem=problem) for index in range(len(transfers)))
    return Result(tuple(transfers), outcomes, (), began, 0.0, problem=problem)


def encode_result(result: Result, monitor_id: str = "") -> dict[str, Any]:  # Any: plain values for JSON
    """Return the whole result as plain values."""
    return {
        "format": FORMAT,
        "exit_code": result.exit_code,
        "complete": None not in result.outcomes,
        "stopped": result.is_stopped,
        "monitor_id": monitor_id,
        "began": result.began,
        "seconds": round(result.seconds, 6),
        "moved": result.moved,
        "rate": round(result.rate, 1),
        "files_done": result.count(State.DONE),
        "files_skipped": result.count(State.SKIPPED),
        "files_failed": result.count(State.FAILED),
        "paths": [{"addresses": list(pair), "moved": moved} for pair, moved in result.paths.items()],
        "problem": _encode_problem(result.problem),
        "jobs": [_encode_job(job) for job in result.jobs],
        "files": [_encode_file(*pair) for pair in zip(result.transfers, result.outcomes, strict=True)],
    }


def _encode_job(job: JobResult) -> dict[str, Any]:  # Any: plain values for JSON
    return {
        "id": job.id,
        "source": str(job.job.source),
        "destination": str(job.job.destination),
        "files": len(job.job.transfers),
        "seconds": round(job.seconds, 6),
        "data_seconds": _data_seconds(job.times),
        "moved": job.progress.moved,
        "rate": round(job.progress.moved / job.seconds, 1) if job.seconds > 0 else 0.0,
        "problems": [_encode_problem(problem) for problem in job.problems],
        "streams": [
            {
                "stream": stream.stream,
                "local": stream.local,
                "remote": stream.remote,
                "moved": stream.moved,
                "alive": stream.alive,
            }
            for stream in job.progress.streams
        ],
        "kept_partials": [{**_encode_path(kept.path), "size": kept.size} for kept in job.kept],
        "timings": {step: round(at, 6) for step, at in job.times.items()},
    }


def _data_seconds(times: Mapping[str, float]) -> float | None:
    """Return how long the data phase took: from the order to send, before the first byte, until the last outcome.

    None if it never came to that, as when all files were there already.
    """
    started, last = times.get("started"), times.get("last final")
    return round(last - started, 6) if started is not None and last is not None else None


def _encode_file(transfer: Transfer, outcome: Outcome | None) -> dict[str, Any]:  # Any: plain values for JSON
    names = {"source": _encode_pfn(transfer.source), "destination": _encode_pfn(transfer.destination)}
    if outcome is None:
        return {**names, "state": "unfinished", "status": None, "problem": None}
    return {
        **names,
        "state": outcome.state.value,
        "status": status_of(outcome),
        "size": outcome.size,
        "moved": outcome.moved,
        "kept": outcome.kept,
        "checksum": outcome.checksum,
        "promise": outcome.promise,
        "finished": outcome.finished,
        "problem": _encode_problem(outcome.problem),
    }


def _encode_pfn(pfn: Pfn) -> dict[str, Any]:  # Any: plain values for JSON
    return {
        "pfn": pfn.text.decode("utf-8", "replace"),
        "host": pfn.address.host,
        "port": pfn.address.port,
        **_encode_path(pfn.path),
    }


def _encode_path(path: bytes) -> dict[str, str]:
    """Return the path as text; a name that is not UTF-8 can only be had back from its base64."""
    try:
        return {"path": path.decode("utf-8")}
    except UnicodeDecodeError:
        return {"path": path.decode("utf-8", "replace"), "path_b64": base64.b64encode(path).decode("ascii")}


def _encode_problem(problem: Problem | None) -> dict[str, object] | None:
    return None if problem is None else {**problem.encode(), "text": str(problem)}


def _strip_port(address: str) -> str:
    """Return the address of what a mover calls one: `192.0.2.1`, `192.0.2.1:54321` or `[2001:db8::1]:54321`."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address
