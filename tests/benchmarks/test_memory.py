from __future__ import annotations

import mmap
import os
import resource

import pytest

from benchmarks.memory import find_memory, share_of
from fdtcp.units import GIB, MIB

CPUS = 4


def machine_with(monkeypatch: pytest.MonkeyPatch, memory: int, free: int) -> None:
    """Let the machine have so many bytes."""
    said = {"SC_PAGE_SIZE": mmap.PAGESIZE, "SC_PHYS_PAGES": memory // mmap.PAGESIZE}
    said["SC_AVPHYS_PAGES"] = free // mmap.PAGESIZE
    monkeypatch.setattr(os, "sysconf", said.__getitem__)


def test_memory_is_found_and_given_back() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    find_memory(4 * MIB)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * mmap.PAGESIZE >= 4 * MIB


def test_each_cpu_gives_back_what_it_has_taken_and_we_may_use_all_of_them_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[tuple[str, set[int]]] = []

    class Memory:
        def __init__(self, *_args: object, **_kwargs: object) -> None:
            log.append(("take", os.sched_getaffinity(0)))

        def close(self) -> None:
            log.append(("give", os.sched_getaffinity(0)))

    ours = os.sched_getaffinity(0)
    with monkeypatch.context() as patch:
        patch.setattr(mmap, "mmap", Memory)
        find_memory(1)
    # All have theirs before the first one gives it back.
    assert log == [(act, {cpu}) for act in ("take", "give") for cpu in sorted(ours)]
    assert os.sched_getaffinity(0) == ours


def test_a_small_copy_finds_all_it_needs_on_any_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    machine_with(monkeypatch, 64 * GIB, 32 * GIB)
    assert share_of(16 * MIB, CPUS) == 18 * MIB


def test_a_large_copy_finds_what_it_needs_beside_the_lists_of_all_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    machine_with(monkeypatch, 64 * GIB, 32 * GIB)
    assert share_of(8 * GIB, CPUS) * CPUS == (9 + 8) * GIB


def test_no_more_memory_is_taken_than_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    machine_with(monkeypatch, 64 * GIB, 3 * GIB)
    assert share_of(8 * GIB, CPUS) * CPUS == GIB
    machine_with(monkeypatch, 64 * GIB, GIB)
    monkeypatch.setattr(mmap, "mmap", lambda *_args, **_kwargs: pytest.fail("memory was taken"))
    find_memory(8 * GIB)
