from __future__ import annotations

import json

from authsvc.findings import Finding, Level, format_json, format_text, worst

GOOD = Finding(Level.OK, "credential", "it lasts")
BAD = Finding(Level.WARNING, "crl", "a | old one")
WORSE = Finding(Level.CRITICAL, "chain", "broken")


def test_the_worst_decides_and_comes_first() -> None:
    assert worst([GOOD]) is Level.OK
    assert worst([]) is Level.UNKNOWN
    assert worst([GOOD, BAD, WORSE, BAD]) is Level.CRITICAL
    lines = format_text([GOOD, BAD, WORSE]).splitlines()
    assert lines == ["CRITICAL - broken", "CRITICAL: broken", "WARNING: a / old one", "OK: it lasts"]
    assert format_text([GOOD, BAD, BAD]).startswith("WARNING - a / old one (and 1 more)\n")
    assert format_text([GOOD, GOOD]).startswith("OK - it lasts\n")


def test_programs_get_all_of_it() -> None:
    assert json.loads(format_json([GOOD, BAD])) == {
        "level": "warning",
        "findings": [
            {"level": "ok", "subject": "credential", "text": "it lasts"},
            {"level": "warning", "subject": "crl", "text": "a | old one"},
        ],
    }
