"""Sources that hang in the kernel, as on a dead NFS mount."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fdtcp.model.order import Checksum, Policy, State
from tests.helpers.hangingfs import HangingFs
from tests.helpers.movers import Job, Pair

SIZE = 3 << 20


@pytest.mark.root
@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="this kernel has no FUSE")
@pytest.mark.parametrize("checksum", [Checksum.ADLER32, Checksum.NONE])
def test_a_read_that_hangs_in_the_kernel_fails_its_file_alone_and_ends_with_the_reader(
    tmp_path: Path, checksum: Checksum
) -> None:
    names = ["one", "dead", "two"]
    with HangingFs(tmp_path / "from", names, SIZE) as disk:
        pairs: list[Pair] = [(disk.at / name, tmp_path / "to" / name) for name in names]
        policy = Policy(stall_timeout=2.0, streams=1, block_size=1 << 20, checksum=checksum)
        with Job(pairs, policy) as job:
            job.start()
            assert job.reader.wait_end().problem is None
            job.writer.wait_end()
            outcomes = job.writer.outcomes
            assert job.reader.process.wait(5) == 0
    assert [outcomes[index].state for index in range(3)] == [State.DONE, State.FAILED, State.DONE]
    assert outcomes[1].problem is not None and outcomes[1].problem.code == "source-hangs"
    assert sorted(os.listdir(tmp_path / "to")) == ["one", "two"]
    assert (tmp_path / "to/one").read_bytes() == (tmp_path / "to/two").read_bytes() == bytes(SIZE)
