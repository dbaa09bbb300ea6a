"""The JSON of a run: every measurement, the machine, and how the targets stand.

Decides the format: raw values first, so that whoever doubts a median can take another.  What is read back are only
these: medians and targets follow from them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Final

from benchmarks.contest import Result
from benchmarks.figures import Figure
from benchmarks.targets import Standing
from benchmarks.work import Measurement, Usage

# Grows by one when a reader would have to change.
FORMAT: Final = 1


def encode(
    facts: Mapping[str, str | int | float],
    versions: Mapping[str, str],
    results: Iterable[Result],
    standings: Iterable[Standing],
) -> dict[str, Any]:  # Any: plain values for JSON
    """Return a whole run as plain values."""
    return {
        "format": FORMAT,
        "machine": dict(facts),
        "versions": dict(versions),
        "contests": [_encode_result(result) for result in results],
        "targets": [_encode_standing(standing) for standing in standings],
    }


def decode(plain: Mapping[str, Any]) -> list[Result]:  # Any: plain values of JSON
    """Return the contests of a run.  Raises ValueError for what is no such record, or one of another format."""
    try:
        if plain["format"] != FORMAT:
            raise ValueError(f"format {plain['format']}, not {FORMAT}")
        return [_decode_result(one) for one in plain["contests"]]
    except (KeyError, TypeError) as exc:
        raise ValueError(f"no record of a run: {exc!r}") from exc


def _decode_result(plain: Mapping[str, Any]) -> Result:  # Any: plain values of JSON
    figure = next(one for one in Figure if (one.title, one.unit) == (plain["figure"], plain["unit"]))
    rounds = [{label: _decode_measurement(one) for label, one in measured.items()} for measured in plain["rounds"]]
    return Result(plain["contest"], plain["title"], figure, rounds, dict(plain["absent"]))


def _decode_measurement(plain: Mapping[str, Any]) -> Measurement:  # Any: plain values of JSON
    usage = {side: Usage(**one) for side, one in plain["usage"].items()}
    return Measurement(**{**plain, "usage": usage})


def _encode_result(result: Result) -> dict[str, Any]:  # Any: plain values for JSON
    return {
        "contest": result.name,
        "title": result.title,
        "figure": result.figure.title,
        "unit": result.figure.unit,
        "absent": result.absent,
        "medians": {
            label: {
                one.name.lower(): round(found.median, 6)
                for one in Figure
                if (found := result.estimate(label, one)) is not None
            }
            for label in result.labels()
        },
        "rounds": [
            {label: dataclasses.asdict(measurement) for label, measurement in measured.items()}
            for measured in result.rounds
        ],
    }


def _encode_standing(standing: Standing) -> dict[str, Any]:  # Any: plain values for JSON
    target = standing.target
    return {
        "contest": target.contest,
        "ours": target.ours,
        "figure": target.figure.title,
        "unit": "" if target.is_ratio else target.figure.unit,
        "to_reach": target.text,
        "said_in": target.source,
        "peer": standing.peer,
        "estimate": dataclasses.asdict(standing.estimate) if standing.estimate is not None else None,
        "verdict": str(standing.verdict),
    }
