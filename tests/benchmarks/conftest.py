from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from benchmarks.contest import Result
from benchmarks.figures import Figure
from benchmarks.work import CLIENT, DESTINATION, GB, SOURCE, Measurement, Usage

Make = Callable[..., Result]


def measurement(seconds: float, *, files: int = 1) -> Measurement:
    """Return that of a GB in so many seconds, with round figures for the rest."""
    usage = {SOURCE: Usage(0.1, 50_000_000), DESTINATION: Usage(0.5, 70_000_000), CLIENT: Usage(0.2, 90_000_000)}
    return Measurement(GB, files, seconds + 0.25, seconds, "its own report", usage)


@pytest.fixture
def make_result() -> Make:
    """Return a function that makes the result of a contest from the seconds of each peer in each round."""

    def make(name: str, figure: Figure = Figure.RATE, files: int = 1, **seconds: Sequence[float]) -> Result:
        result = Result(name, "a title", figure)
        for values in zip(*seconds.values(), strict=True):
            labels = (label.replace("_", ", ").replace("0", " ") for label in seconds)
            pairs = zip(labels, values, strict=True)
            result.rounds.append({label: measurement(value, files=files) for label, value in pairs})
        return result

    return make
