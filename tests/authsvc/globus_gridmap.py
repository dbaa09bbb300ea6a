"""Asks libglobus_gss_assist how it reads maps.  A program of its own: the library stays out of the tests' process.

    python globus_gridmap.py MAP < cases.json > answers.json

A case is [text of a map, DN, account]; an answer is [default account or null, may the DN use the account].
"""

from __future__ import annotations

import ctypes
import json
import os
import sys

LIBRARY = "libglobus_gss_assist.so.3"


def main() -> None:
    """Answer all cases."""
    path = sys.argv[1]
    os.environ["GRIDMAP"] = path
    assist = ctypes.CDLL(LIBRARY)
    module = ctypes.c_char.in_dll(assist, "globus_i_gsi_gss_assist_module")
    assert ctypes.CDLL("libglobus_common.so.0").globus_module_activate(ctypes.byref(module)) == 0
    assist.globus_gss_assist_gridmap.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p)]
    assist.globus_gss_assist_userok.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    answers = []
    for text, dn, account in json.load(sys.stdin):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        found = ctypes.c_char_p()
        failed = assist.globus_gss_assist_gridmap(dn.encode(), ctypes.byref(found))
        default = None if failed or not found.value else found.value.decode()
        answers.append([default, assist.globus_gss_assist_userok(dn.encode(), account.encode()) == 0])
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
