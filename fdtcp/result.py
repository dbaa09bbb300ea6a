"""What a run came to: the outcomes of all files in the user's order, and how the jobs went.

Decides the whole result as it is written by `--json` and returned by `fdtcp.Client`; the report of BACKEND_CONTRACT.md,
which is less, is `fdtcp.report`'s.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, Final

from fdtcp.errors import Problem
from fdtcp.model.order import Outcome, State
from fdtcp.model.outcomes import Outcomes
from fdtcp.model.pfn import Pfn
from fdtcp.model.transfer import Transfer, Transfers
from fdtcp.report import FILES_AT_ONCE, exit_code, is_plain, status_of
from fdtcp.runner import JobResult
from fdtcp.value import dataclass

# Grows by one when a reader of the JSON result would have to change.
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a run; `outcomes[i]` is that of `transfers[i]`, None if the run was stopped before it was final."""

    transfers: Sequence[Transfer]
    outcomes: Sequence[Outcome | None]
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
    def resumed(self) -> int:
        """Bytes that did not have to: earlier attempts had made them safe."""
        return sum(Outcomes.of(self.outcomes).kept)

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
        return Outcomes.of(self.outcomes).tally(state)


def collect(
    transfers: Sequence[Transfer], jobs: Sequence[JobResult], *, began: float, seconds: float, is_stopped: bool
) -> Result:
    """Put the jobs' outcomes back into the user's order."""
    if len(jobs) == 1:
        outcomes = Outcomes.of(jobs[0].outcomes, len(transfers))
    else:
        outcomes = Outcomes(len(transfers))
        for job in jobs:
            outcomes.add(Outcomes.of(job.outcomes, len(job.job.transfers)), job.job.positions)
    return Result(transfers, outcomes.in_order, tuple(jobs), began, seconds, is_stopped)


def fail_all(transfers: Sequence[Transfer], problem: Problem, *, began: float) -> Result:
    """Return the result of a run that could not begin."""
    outcomes = tuple(Outcome(index, State.FAILED, 0, problem=problem) for index in range(len(transfers)))
    return Result(transfers, outcomes, (), began, 0.0, problem=problem)


def encode_result(result: Result, monitor_id: str = "") -> dict[str, Any]:  # Any: plain values for JSON
    """Return the whole result as plain values."""
    files = [_encode_file(*pair) for pair in zip(result.transfers, result.outcomes, strict=True)]
    return {**_encode_facts(result, monitor_id), "files": files}


def _encode_facts(result: Result, monitor_id: str) -> dict[str, Any]:  # Any: plain values for JSON
    """Return what there is to say beside the single files."""
    return {
        "format": FORMAT,
        "exit_code": result.exit_code,
        "complete": Outcomes.of(result.outcomes).is_whole,
        "stopped": result.is_stopped,
        "monitor_id": monitor_id,
        "began": result.began,
        "seconds": round(result.seconds, 6),
        "moved": result.moved,
        "resumed": result.resumed,
        "rate": round(result.rate, 1),
        "files_done": result.count(State.DONE),
        "files_skipped": result.count(State.SKIPPED),
        "files_failed": result.count(State.FAILED),
        "paths": [{"addresses": list(pair), "moved": moved} for pair, moved in result.paths.items()],
        "problem": _encode_problem(result.problem),
        "jobs": [_encode_job(job) for job in result.jobs],
    }


def encode_json(result: Result, monitor_id: str = "") -> Iterator[bytes]:
    """Return the whole result as JSON, in pieces: of a large job it is larger than all that fdtcp remembers of it."""
    transfers, known = Transfers.of(result.transfers), Outcomes.of(result.outcomes)
    facts = json.dumps(_encode_facts(result, monitor_id))
    yield facts[:-1].encode("ascii") + b', "files": ['
    for start in range(0, len(transfers), FILES_AT_ONCE):
        stop = min(start + FILES_AT_ONCE, len(transfers))
        yield (b", " if start else b"") + b", ".join(_file_texts(transfers, known, start, stop))
    yield b"]}\n"


# A file that was moved, with names that JSON writes as they are: what `_encode_file` makes of it.
_PLAIN_FILE: Final = (
    b'{"source": {"pfn": "%s", "host": "%s", "port": %d, "path": "%s"}, '
    b'"destination": {"pfn": "%s", "host": "%s", "port": %d, "path": "%s"}, "state": "done", "status": 0, "size": %d, '
    b'"moved": %d, "kept": 0, "checksum": "%s", "promise": "", "finished": %r, "problem": null}'
)
_PLAIN_NAME: Final = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\')


def _file_texts(transfers: Transfers, known: Outcomes, start: int, stop: int) -> Iterable[bytes]:
    rows = known.rows(start, stop)
    part = transfers.part(range(start, stop))
    sources, destinations = part.source_paths(0, len(part)), part.destination_paths(0, len(part))
    all_names = b"".join((*part.sources, *part.destinations))
    if len(rows) < len(part) or not is_plain(rows) or len(part.pairs) > 1 or all_names.translate(None, _PLAIN_NAME):
        return (
            json.dumps(_encode_file(one, known.find(index))).encode("ascii")
            for index, one in enumerate(part, start=start)
        )
    ((source, destination),) = part.pairs
    columns = (
        *(part.sources, repeat(source.host.encode()), repeat(source.port), sources),
        *(part.destinations, repeat(destination.host.encode()), repeat(destination.port), destinations),
        *(rows.numbers("size"), rows.numbers("moved")),
        rows.raw("checksum").split(b"\0") if rows.raw("checksum") else repeat(b""),
        rows.numbers("finished"),
    )
    return map(_PLAIN_FILE.__mod__, zip(*columns, strict=False))


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
        "encrypted": bool(job.progress.streams) and all(stream.cipher for stream in job.progress.streams),
        "streams": [
            {
                "stream": stream.stream,
                "local": stream.local,
                "remote": stream.remote,
                "moved": stream.moved,
                "alive": stream.alive,
                "cipher": stream.cipher,
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
