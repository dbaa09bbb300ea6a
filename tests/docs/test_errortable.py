from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_table_of_errors_is_that_of_the_programs() -> None:
    made = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "errortable.py")], capture_output=True, text=True, timeout=60, check=True
    )
    assert (ROOT / "docs" / "errors.md").read_text() == made.stdout, "say `make docs`"
