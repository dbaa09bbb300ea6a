"""Prefixes and back ends."""

from __future__ import annotations

import pytest

from fdtcp.errors import PathRefused
from fdtcp.model.order import Mapped
from fdtd.storage.mapping import Place, PrefixMap, parse_backend, parse_target

MAP = PrefixMap(
    [
        Mapped(b"/mnt/hadoop", "webhdfs://nn:9870/"),
        Mapped(b"/mnt/hadoop/tmp", "posix"),
        Mapped(b"/mnt/hadoop/tmp/s3/", "s3://bucket/above"),
        Mapped(b"/mnt/tape", "sequential"),
    ]
)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (b"/mnt/hadoop/a/b", Place("webhdfs://nn:9870/", (b"a", b"b"))),
        (b"//mnt/./hadoop///a", Place("webhdfs://nn:9870/", (b"a",))),
        (b"/mnt/hadoop/tmp/a", None),
        (b"/mnt/hadoop/tmp/s3/a", Place("s3://bucket/above", (b"a",))),
        (b"/mnt/tape/a", Place("sequential", (b"a",))),
        (b"/mnt/hadooper/a", None),
        (b"/mnt/hadoop", None),  # the directory itself is no file of the store
        (b"/webhdfs://nn:9870/a", None),  # what a user writes chooses nothing
    ],
)
def test_the_longest_prefix_decides_and_nothing_else(path: bytes, place: Place | None) -> None:
    assert MAP.find(path) == place


def test_no_path_climbs_into_another_storage() -> None:
    with pytest.raises(PathRefused):
        MAP.find(b"/mnt/hadoop/tmp/../../secret")


def test_back_ends_are_read() -> None:
    target = parse_target("s3://Bucket/a//b/?endpoint=https://s3.example.org:9000&region=eu-1")
    assert (target.scheme, target.host, target.base) == ("s3", "Bucket", "a/b")
    assert target.options == {"endpoint": "https://s3.example.org:9000", "region": "eu-1"}
    hdfs = parse_target("webhdfs://nn.example.org:9870/")
    assert (hdfs.host, hdfs.port, hdfs.base) == ("nn.example.org", 9870, "")
    assert [parse_backend(text) for text in ("posix", "sequential", "memory://")] == [
        "posix",
        "sequential",
        "memory://",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/mnt/other",
        "file:///etc",
        "hdfs://nn/",
        "s3:bucket",
        "s3:///above",
        "webhdfs:///above",
        "s3://key:secret@bucket/",
        "s3://bucket/?anon=yes",
        "s3://bucket/../other",
        "webhdfs://nn:99999/",
    ],
)
def test_what_is_no_back_end_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_backend(text)
