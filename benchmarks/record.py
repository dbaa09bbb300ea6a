"""The JSON of a run: every measurement, the machine, and how the targets stand.

Decides the format: raw values first, so that whoever doubts a median can take another.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Final

from benchmarks.contest import Result
from benchmarks.figures import Figure
from benchmarks.targets import Standing

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
