"""Writes docs/errors.md: all error classes of all packages, so that the table cannot differ from the programs.

    python docs/errortable.py > docs/errors.md

It stands outside of the packages because no package may import all of them.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from typing import Final

PACKAGES: Final = ("fdtcp", "fdtd", "authsvc", "fdtmon")
HEAD: Final = """\
# Errors

<!-- Written by docs/errortable.py: change the classes, then say `make docs`. -->

Every failure has a code of its own.  People see it as `side, phase: what happened; what to do [code]`; the JSON result
and the messages between the programs carry the same parts.  *Fault* says who can mend it: the user, the site, the peer
(another program that breaks the protocol) or we (a bug).  *Retry* says whether the same command can succeed later.
*Status* is the STATUS of a file in the report; the exit code of `fdtcp` is the status that all failures share, else 1,
and 64 for a command that cannot be acted on.  0 is success and nothing else.

| code | what it means | fault | retry | status | what to do | raised in |
|---|---|---|---|---|---|---|
"""


def render() -> str:
    """Return the page."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    from fdtcp.problem import FdtError, all_error_classes

    rows = []
    for cls in all_error_classes():
        if cls is FdtError:
            continue
        meaning = (cls.__doc__ or "").strip().splitlines()[0]
        retry = "yes" if cls.retryable else "no"
        place = cls.__module__.partition(".")[0]
        remedy = cls.remedy_text or "the text says it"
        rows.append(f"| `{cls.code}` | {meaning} | {cls.fault} | {retry} | {int(cls.status)} | {remedy} | {place} |\n")
    return HEAD + "".join(rows)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    sys.stdout.write(render())
