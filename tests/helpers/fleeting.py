"""A mover whose encrypted streams have short lives: a key carries 1 MiB, not 256 GiB, until another takes its place."""

from __future__ import annotations

import sys
from typing import Final

KEY_BYTES: Final = 1 << 20
FLEETING: Final = (
    sys.executable,
    "-I",
    "-c",
    f"import os; from fdtd.mover import program, sealing as s;s.KEY_BYTES = {KEY_BYTES}; os._exit(program.main())",
)
