from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_diagrams_are_those_of_the_tables() -> None:
    made = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "statediagrams.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (ROOT / "docs" / "states.md").read_text() == made.stdout, "say `make docs`"
