"""How a job's bytes are to be moved: what a user may choose, in types.

Decides the choices and their defaults.  How they are spelled is decided by `fdtcp.model.options`, what a site allows
by `fdtd.site.limits`, what they come to by the mover.
"""

from __future__ import annotations

from enum import StrEnum

from fdtcp.errors import Side
from fdtcp.value import dataclass


class Checksum(StrEnum):
    """End-to-end checksums: those whose values of blocks can be combined into the file's without a second read."""

    NONE = "none"
    ADLER32 = "adler32"
    CRC32 = "crc32"


class Sync(StrEnum):
    """When a file counts as safe: after a sync of its own, of its epoch, or (reported as such) unsynced."""

    FILE = "file"
    BATCH = "batch"
    NONE = "none"


class Direct(StrEnum):
    """Whether bytes go to the disk past the page cache: what is much for the host's memory, all, or nothing."""

    AUTO = "auto"
    YES = "yes"
    NO = "no"


class Verify(StrEnum):
    """What of a file is compared with the checksums of the source before it is called done."""

    FLIGHT = "flight"  # what has arrived, on its way into the file
    DISK = "disk"  # and what its disk gives back, after it was synced and dropped from the page cache


class OnExists(StrEnum):
    """What to do when the destination exists: skip the same and refuse another, replace, refuse, or replace another."""

    SKIP_SAME = "skip-same"
    OVERWRITE = "overwrite"
    FAIL = "fail"
    UPDATE = "update"  # not by checksum: what turned out to be another file would have to be sent in a second round


class SameBy(StrEnum):
    """What makes an existing file the same as the source."""

    CHECKSUM = "checksum"
    SIZE = "size"
    TIME = "time"  # size and modification time, to the nanosecond: what a transfer of ours has set


class Encrypt(StrEnum):
    """Whether the data streams are encrypted."""

    SITE = "site"  # if either site says so
    YES = "yes"
    NO = "no"


class Resume(StrEnum):
    """What becomes of what an earlier attempt has left: it is continued where it can be, removed, or never lost."""

    AUTO = "auto"
    NEVER = "never"
    REQUIRE = "require"  # a file whose safe part cannot be continued fails, and its part stays


@dataclass(frozen=True, slots=True)
class Policy:
    """How a job's bytes are to be moved; the daemon has checked it against the site's limits."""

    checksum: Checksum = Checksum.ADLER32
    sync: Sync = Sync.BATCH
    on_exists: OnExists = OnExists.SKIP_SAME
    same_by: SameBy = SameBy.CHECKSUM
    streams: int = 0  # 0: the reader chooses
    block_size: int = 4 << 20
    rate_limit: int = 0  # bytes per second over all streams, 0: none
    congestion: str = ""  # TCP congestion control by name, "": the kernel's default
    buffer_size: int = 0  # socket buffers in bytes, 0: the kernel tunes them
    zero_size: int = 8 << 30  # how long /dev/zero is taken to be
    keep_partials: bool = True
    stall_timeout: float = 30.0  # seconds without a byte until a stream counts as dead
    connect_timeout: float = 10.0  # seconds for a stream to connect and authenticate
    unattended: bool = False  # a detached job: while bytes flow, its end of the job outlives the loss of its client
    most_streams: int = 64  # the site's word: the reader may not choose more
    stream_rate: int = 0  # bytes per second of each stream, paced by the kernel; 0: none
    readers: int = 0  # files of one device that are read at the same time, 0: as many as there are streams
    writers: int = 0  # the same for files that are written
    resume: Resume = Resume.AUTO
    direct: Direct = Direct.AUTO
    verify: Verify = Verify.FLIGHT
    encrypt: Encrypt = Encrypt.SITE
    reverse: bool = False  # the destination connects to the source

    @property
    def may_replace(self) -> bool:
        """Whether what stands in a file's place when it is put there goes."""
        return self.on_exists in (OnExists.OVERWRITE, OnExists.UPDATE)

    @property
    def promise(self) -> str:
        """What "done" means where it is more or less than usual, in a few words; else ""."""
        words = ("not synced" if self.sync is Sync.NONE else "", "read back" if self.verify is Verify.DISK else "")
        return ", ".join(word for word in words if word)

    @property
    def contradiction(self) -> str:
        """What cannot be had together; "" if all of it can."""
        if self.verify is Verify.DISK and self.checksum is Checksum.NONE:
            return "verify=disk compares with a checksum, and checksum=none has none"
        if self.verify is Verify.DISK and self.sync is Sync.NONE:
            return "verify=disk reads what was synced, and sync=none syncs nothing"
        if self.on_exists is OnExists.UPDATE and self.same_by is SameBy.CHECKSUM:
            return "on-exists=update needs same-by=time or same-by=size: checksums are known when it is too late"
        return ""

    @property
    def listener(self) -> Side:
        """Which end listens for streams; the other one connects."""
        return Side.SOURCE if self.reverse else Side.DESTINATION
