"""HDFS's REST interface with the behaviour that matters: redirects, appends only, renames that refuse by `false`."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

ROOT = "/webhdfs/v1"


class FakeHdfs(ThreadingHTTPServer):
    """One name node that is its own data node; `files` by path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.changed: dict[str, int] = {}
        self.users: set[str] = set()
        self.readonly = False
        self.deleted: list[str] = []

    def put(self, path: str, data: bytes) -> None:
        self.files[path] = data
        self.changed[path] = max(int(time.time() * 1000), self.changed.get(path, 0) + 1)


class _Handler(BaseHTTPRequestHandler):
    server: FakeHdfs
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer in one piece: two would wait for each other's acknowledgement

    def log_message(self, *_: object) -> None:
        """Be silent."""

    def do_GET(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        path, op = unquote(url.path.removeprefix(ROOT)), query["op"].upper()
        self.server.users.add(query.get("user.name", ""))
        files = self.server.files
        if op in ("CREATE", "APPEND"):
            self._write(path, files[path] + body if op == "APPEND" else body, is_data_node="data" in query)
        elif op == "MKDIRS":
            self._json({"boolean": True})
        elif op == "DELETE":
            self.server.deleted.append(path)
            self._json({"boolean": files.pop(path, None) is not None})
        elif op == "RENAME":
            target = query["destination"]
            moved = path in files and (target not in files or query.get("renameoptions") == "OVERWRITE")
            if moved:
                self.server.put(target, files.pop(path))
            self._json({"boolean": moved})
        elif path not in files and not any(name.startswith(path.rstrip("/") + "/") for name in files):
            self._fail(404, "FileNotFoundException", f"File does not exist: {path}")
        elif op == "GETFILESTATUS":
            self._status(path)
        elif op == "OPEN":
            start = int(query.get("offset", 0))
            self._answer(200, files[path][start : start + int(query.get("length", len(files[path])))])
        else:
            self._fail(400, "UnsupportedOperationException", op)

    def _write(self, path: str, data: bytes, *, is_data_node: bool) -> None:
        if self.server.readonly:
            self._fail(403, "AccessControlException", "Permission denied")
        elif is_data_node:
            self.server.put(path, data)
            self._answer(201, b"")
        else:
            self._answer(307, b"", {"Location": f"http://{self.headers['Host']}{self.path}&data=true"})

    def _status(self, path: str) -> None:
        data = self.server.files.get(path)
        kind = "DIRECTORY" if data is None else "FILE"
        status = {"type": kind, "length": len(data or b""), "modificationTime": self.server.changed.get(path, 0)}
        self._json({"FileStatus": status})

    def _json(self, value: object) -> None:
        self._answer(200, json.dumps(value).encode())

    def _fail(self, status: int, name: str, message: str) -> None:
        self._answer(status, json.dumps({"RemoteException": {"exception": name, "message": message}}).encode())

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def fake_hdfs() -> Iterator[FakeHdfs]:
    """Serve until the end of the block."""
    with FakeHdfs() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
