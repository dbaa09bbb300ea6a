"""S3: objects that appear whole, in one step, and have no names on the way.

Decides how a file becomes an object: one request if it fits into a part, else a multipart upload whose completion is
what publishes it.  S3 itself refuses to replace an object when it is told to (If-None-Match, AWS since 2024; servers
that do not know the header ignore it, so we look first, too).  Requests go through s3fs, which finds credentials where
every S3 tool does: the account's environment, ~/.aws, or the instance.
"""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING, Any, Final

from fdtd.storage.fsspec_store import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S, told_as_os_error
from fdtd.storage.store import Stored

if TYPE_CHECKING:
    from fdtd.storage.mapping import Target

# S3 takes 10,000 parts of 5 MiB to 5 GiB.  Parts that double after each 2,500 reach 585 GiB, and a file of 39 GiB or
# less never holds more than this in memory.
PART_BYTES: Final = 16 << 20
_PARTS_OF_A_SIZE: Final = 2500

# What waits for its commit in one piece; beyond that, what is complete is sent as a part of its own, two requests more.
HELD_BYTES: Final = 64 << 20

# Times that a request is tried again, with pauses that grow (botocore's standard mode).
_ATTEMPTS: Final = 4

Plain = dict[str, Any]  # Any: answers of S3 are maps of all kinds of things


class S3Store:
    """One bucket, below `base`."""

    def __init__(self, target: Target) -> None:
        import s3fs

        options: Plain = {
            "config_kwargs": {
                "connect_timeout": CONNECT_TIMEOUT_S,
                "read_timeout": ANSWER_TIMEOUT_S,
                "retries": {"mode": "standard", "total_max_attempts": _ATTEMPTS},
            }
        }
        if endpoint := target.options.get("endpoint"):
            options["endpoint_url"] = endpoint
        if region := target.options.get("region"):
            options["client_kwargs"] = {"region_name": region}
        self._system = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True, **options)
        self._bucket = target.host
        self._held = 0
        self._lock = threading.Lock()
        self._base = target.base

    def call(self, name: str, key: str, **more: Any) -> Plain:  # Any: see Plain
        """Make one request about an object.  Raises OSError."""
        with told_as_os_error():
            answer: Plain = self._system.call_s3(name, Bucket=self._bucket, Key=self._full(key), **more)
            return answer

    def find(self, key: str) -> Stored | None:
        """Look at an object."""
        try:
            head = self.call("head_object", key)
        except FileNotFoundError:
            return None
        changed_ns = int(head["LastModified"].timestamp()) * 1_000_000_000
        return Stored(head["ContentLength"], changed_ns, head["ETag"])

    def read(self, key: str, offset: int, length: int, tag: str) -> bytes:
        """Read from the very version that was found."""
        from fsspec.asyn import sync

        part = {"Range": f"bytes={offset}-{offset + length - 1}", "IfMatch": tag}

        async def fetch() -> bytes:
            call = self._system._call_s3  # noqa: SLF001  # the body has to be read in the loop that the request ran in
            answer = await call("get_object", Bucket=self._bucket, Key=self._full(key), **part)
            async with answer["Body"] as body:
                return bytes(await body.read())

        try:
            with told_as_os_error():
                data: bytes = sync(self._system.loop, fetch)
                return data
        except OSError as exc:
            if _is_refused(exc):
                raise OSError(errno.ESTALE, "it was replaced by another version", key) from exc
            raise

    def upload(self, key: str) -> S3Upload:
        """Begin an object."""
        return S3Upload(self, key)

    def hold(self, count: int) -> bool:
        """Whether so many bytes may wait in memory; a negative count gives them back."""
        with self._lock:
            if count > 0 and self._held + count > HELD_BYTES:
                return False
            self._held += count
            return True

    def remove(self, key: str) -> None:
        """Remove an object."""
        self.call("delete_object", key)

    def close(self) -> None:
        """Close connections."""
        if (client := self._system._s3) is not None:  # noqa: SLF001  # s3fs has no other way to end them in time
            self._system.close_session(self._system.loop, client)

    def _full(self, key: str) -> str:
        return "/".join(part for part in (self._base, key) if part)


class S3Upload:
    """An object on its way: parts that are sent, and what is too little for one."""

    def __init__(self, store: S3Store, key: str) -> None:
        self.promise = "stored by S3 as one object, as durable as its bucket; mode and time are the store's"
        self._store = store
        self._key = key
        self._upload = ""  # the multipart upload, once there is one
        self._parts: list[Plain] = []
        self._buffer = bytearray()
        self._is_finished = False
        self._holds = 0

    def append(self, piece: bytes) -> None:
        """Collect a part, and send it."""
        self._buffer += piece
        if len(self._buffer) >= PART_BYTES << (len(self._parts) // _PARTS_OF_A_SIZE):
            self._send_part()

    def finish(self) -> None:
        """Send the last part; what fits into one request goes with `publish`, if it may wait so long."""
        if self._is_finished:
            return
        size = len(self._buffer)
        if self._upload or not self._store.hold(size):
            if size:
                self._send_part()
        else:
            self._holds = size
        self._is_finished = True

    def publish(self, *, replace: bool) -> None:
        """Make the object appear."""
        more: Plain
        only_new: Plain = {}
        if not replace:
            if self._store.find(self._key) is not None:
                raise FileExistsError(errno.EEXIST, "exists", self._key)
            only_new = {"IfNoneMatch": "*"}
        if self._upload:
            parts = {"Parts": self._parts}
            last, more = "complete_multipart_upload", {"UploadId": self._upload, "MultipartUpload": parts}
        else:
            last, more = "put_object", {"Body": bytes(self._buffer)}
        try:
            self._call(last, **more, **only_new)
        except OSError as exc:
            if _is_refused(exc):
                raise FileExistsError(errno.EEXIST, "exists", self._key) from exc
            raise
        self._upload = ""
        self._let_go()

    def discard(self) -> None:
        """Give up the parts that were sent."""
        self._let_go()
        if self._upload:
            try:
                self._call("abort_multipart_upload", UploadId=self._upload)
            except OSError:
                pass  # the bucket's lifecycle rule removes it: docs/howto-storage.md
            self._upload = ""

    def _let_go(self) -> None:
        self._buffer.clear()
        self._store.hold(-self._holds)
        self._holds = 0

    def _send_part(self) -> None:
        if not self._upload:
            self._upload = self._call("create_multipart_upload")["UploadId"]
        number = len(self._parts) + 1
        answer = self._call("upload_part", UploadId=self._upload, PartNumber=number, Body=bytes(self._buffer))
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        self._buffer.clear()

    def _call(self, name: str, **more: Any) -> Plain:  # Any: see Plain
        return self._store.call(name, self._key, **more)


def _is_refused(exc: OSError) -> bool:
    """Whether S3 did not do it because of If-Match or If-None-Match."""
    response: Plain = getattr(exc.__cause__, "response", None) or {}
    return response.get("Error", {}).get("Code") in ("PreconditionFailed", "412")
