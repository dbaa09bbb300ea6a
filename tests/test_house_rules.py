"""What no linter knows: lengths, reasons, and that every source file has a test and every error a code of its own."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdtcp.errors import FdtError, all_error_classes

ROOT = Path(__file__).parent.parent
PACKAGES = ("fdtcp", "fdtd", "authsvc", "fdtmon")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
# Words that promise work instead of doing it; put together here so that this file does not match itself.
PROMISES = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX", "NotImplemented" + "Error"]))
NEEDS_REASON = re.compile(r"#\s*(type: ignore\[[^\]]+\]|noqa: [A-Z0-9, ]+)(?P<reason>.*)")


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def everything() -> list[Path]:
    return sources() + sorted((ROOT / "tests").rglob("*.py")) + sorted((ROOT / "benchmarks").rglob("*.py"))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_no_file_is_longer_than_one_idea() -> None:
    long = {
        str(p.relative_to(ROOT)): n for p in everything() if (n := len(p.read_text().splitlines())) > MAX_FILE_LINES
    }
    assert not long


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
        for path in sources()
        for function in functions(ast.parse(path.read_text()))
        if (function.end_lineno or 0) - function.lineno >= MAX_FUNCTION_LINES
    ]
    assert not long


def test_no_file_promises_work() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in everything()
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if PROMISES.search(line)
    ]
    assert not found


def test_every_silenced_check_and_every_any_says_why() -> None:
    bare = []
    for path in sources():
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            silenced = NEEDS_REASON.search(line)
            if silenced and not silenced["reason"].strip(" #"):
                bare.append(f"{path.relative_to(ROOT)}:{number}")
            if re.search(r"\bAny\b", line) and "import" not in line and "#" not in line and '"' not in line:
                bare.append(f"{path.relative_to(ROOT)}:{number}")
    assert not bare


def test_every_module_says_what_it_decides() -> None:
    assert not [str(path) for path in sources() if ast.get_docstring(ast.parse(path.read_text())) is None]


def test_every_source_file_has_a_test_file() -> None:
    missing = []
    for path in sources():
        relative = path.relative_to(ROOT)
        if path.name in ("__init__.py", "__main__.py"):
            continue
        if not (ROOT / "tests" / relative.parent / f"test_{path.name}").exists():
            missing.append(str(relative))
    assert not missing


@pytest.fixture(scope="module")
def error_classes() -> list[type[FdtError]]:
    for package in PACKAGES:
        for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
            if module.name.rpartition(".")[2] != "__main__":
                importlib.import_module(module.name)
    return all_error_classes()


def test_every_error_has_a_code_of_its_own(error_classes: list[type[FdtError]]) -> None:
    codes: dict[str, type[FdtError]] = {}
    for cls in error_classes:
        assert "code" in vars(cls), f"{cls.__qualname__} has no code"
        assert cls.__doc__, f"{cls.__qualname__} has no docstring"
        assert codes.setdefault(cls.code, cls) is cls, (
            f"{cls.__qualname__} and {codes[cls.code].__qualname__} share a code"
        )
