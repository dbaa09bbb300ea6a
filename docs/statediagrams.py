"""Writes docs/states.md: a diagram for each table of states, so that no diagram can differ from the code.

    python docs/statediagrams.py > docs/states.md

It stands outside of the packages because no package may import all of them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Final

Move = tuple[Enum, str, Enum]  # from, on what, to

HEAD: Final = """\
# States

<!-- Written by docs/statediagrams.py: change the tables in the code, then say `make docs`. -->

Every machine keeps its legal moves in a table; a move that is not in it is an error of ours, or a violation by the
peer.
"""


def render() -> str:
    """Return the page."""
    from fdtcp import stages
    from fdtd.mover import arrival, sender
    from fdtd.sessions import states

    pages: list[tuple[str, str, list[Move]]] = [
        ("A job, as the client drives it", "fdtcp/stages.py", _moves(stages.MOVES.items())),
        ("A session, as a daemon keeps it", "fdtd/sessions/states.py", _moves(states.MOVES.items())),
        (
            "A file, as the writer receives it",
            "fdtd/mover/arrival.py",
            [(state, "", after) for state, targets in arrival.MOVES.items() for after in _in_order(targets)],
        ),
        (
            "A stream, as the reader sees the writer's frames (it is leaving once it has said BYE itself)",
            "fdtd/mover/sender.py",
            _moves(sender.MOVES.items()),
        ),
    ]
    return HEAD + "".join(_diagram(*page) for page in pages)


def _moves(table: Iterable[tuple[tuple[Enum, Enum], Enum]]) -> list[Move]:
    return [(state, event.name.lower().replace("_", " "), after) for (state, event), after in table]


def _in_order(states: Iterable[Enum]) -> list[Enum]:
    """Sort a set as its enum is written: a set has no order of its own."""
    return sorted(states, key=lambda state: list(type(state).__members__).index(state.name))


def _diagram(title: str, place: str, moves: list[Move]) -> str:
    first = moves[0][0]
    leaves = {after for _, _, after in moves} - {state for state, _, after in moves if state is not after}
    lines = [f"    [*] --> {_name(first)}"]
    lines += [
        f"    {_name(state)} --> {_name(after)}{f' : {event}' if event else ''}"
        for state, event, after in moves
        if state is not after
    ]
    lines += [f"    {_name(state)} --> [*]" for state in _in_order(leaves)]
    body = "\n".join(lines)
    note = f"From `{place}`; moves from a state to itself are left out."
    return f"\n## {title}\n\n{note}\n\n```mermaid\nstateDiagram-v2\n{body}\n```\n"


def _name(state: Enum) -> str:
    return state.name.lower()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    sys.stdout.write(render())
