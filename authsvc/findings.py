"""What a look at credentials found, and how it is told: to a person, to Nagios, as JSON.

Decides levels and their exit codes (those of the Nagios plug-in guidelines) and the form of the output.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import IntEnum

from fdtcp.value import dataclass


class Level(IntEnum):
    """How bad something is; the number is the exit code."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `subject` is what, for machines: "credential", "chain", "crl", ..."""

    level: Level
    subject: str
    text: str


def worst(findings: Sequence[Finding]) -> Level:
    """Return the level of the whole."""
    return max((finding.level for finding in findings), default=Level.UNKNOWN)


def format_text(findings: Sequence[Finding]) -> str:
    """Return a summary line, then one line a finding, the worst first."""
    level = worst(findings)
    bad = [finding for finding in findings if finding.level is level and level is not Level.OK]
    told = bad or findings
    summary = told[0].text if told else "nothing was looked at"
    if len(bad) > 1:
        summary += f" (and {len(bad) - 1} more)"
    lines = [f"{level.name} - {summary}"]
    # Sorting is stable: within a level the order of looking stays.
    lines += [f"{one.level.name}: {one.text}" for one in sorted(findings, key=lambda one: -one.level)]
    # Nagios takes what follows a bar for measurements.
    return "\n".join(line.replace("|", "/") for line in lines)


def format_json(findings: Sequence[Finding]) -> str:
    """Return everything for programs."""
    return json.dumps(
        {
            "level": worst(findings).name.lower(),
            "findings": [
                {"level": one.level.name.lower(), "subject": one.subject, "text": one.text} for one in findings
            ],
        },
        indent=1,
    )
