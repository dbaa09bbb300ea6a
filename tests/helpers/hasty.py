"""A writer in a hurry: it journals thirty times as often as a real one, so that a transfer of a second is continued."""

from __future__ import annotations

import sys
from typing import Final

HASTY: Final = (
    sys.executable,
    "-I",
    "-c",
    "import os; from fdtd.mover import program, safekeeping as s;"
    "s.FIRST_CHECKPOINT_S, s.CHECKPOINT_S, s._TICK_S = 0.03, 0.05, 0.01; os._exit(program.main())",
)
