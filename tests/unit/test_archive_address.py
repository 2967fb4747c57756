"""Addresses of archives: read as operators write them, and written so that a row says where its file is."""

from __future__ import annotations

import pytest

from jimeng_gateway.domain.archive import ArchiveAddress
from jimeng_gateway.settings import SettingsError, load
from jimeng_gateway.sigv4 import Keys
from jimeng_gateway.store.archive import locate

FULL = "s3://bucket/a/b?endpoint=https://minio.example:9000&region=eu-1&style=path"


def test_all_of_it() -> None:
    address = ArchiveAddress.parse(FULL)
    assert address == ArchiveAddress("bucket", "a/b", "https://minio.example:9000", "eu-1", path_style=True)
    assert ArchiveAddress.parse(str(address)) == address


def test_what_is_left_out_is_amazon() -> None:
    assert ArchiveAddress.parse("s3://bucket") == ArchiveAddress("bucket")
    far = ArchiveAddress.parse("s3://bucket?region=ap-east-1")
    assert (far.endpoint, far.path_style) == ("https://s3.ap-east-1.amazonaws.com", False)
    assert ArchiveAddress.parse("s3://with.dots").path_style, "its certificate would not cover the name"
    assert ArchiveAddress.parse("s3://bucket?endpoint=http://10.0.0.7:9000").path_style


@pytest.mark.parametrize(
    "text",
    [
        "https://bucket",
        "s3://",
        "s3://Bucket",
        "s3://b",
        "s3://key:secret@bucket",
        "s3://bucket/a/../b",
        "s3://bucket/a b",
        "s3://bucket?endpoint=ftp://x",
        "s3://bucket?endpoint=https://key:secret@x",
        "s3://bucket?endpoint=https://x/path",
        "s3://bucket?style=auto",
        "s3://bucket?region=EU",
        "s3://bucket?key=1",
        "s3://bucket#x",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(does|has|bad)"):
        ArchiveAddress.parse(text)


def test_objects_are_found_by_path_or_by_host() -> None:
    url, host, path = locate(ArchiveAddress.parse(FULL), "89/task_1-0.png")
    assert (str(url), host, path) == (
        "https://minio.example:9000/bucket/a/b/89/task_1-0.png",
        "minio.example:9000",
        "/bucket/a/b/89/task_1-0.png",
    )
    url, host, path = locate(
        ArchiveAddress.parse("s3://bucket?endpoint=https://s3.example:443&style=virtual"), "x y"
    )
    assert (str(url), host, path) == ("https://bucket.s3.example/x%20y", "bucket.s3.example", "/x%20y")


def test_the_settings_want_both_keys_and_show_neither() -> None:
    given = {
        "JIMENG_ARCHIVE_URL": FULL,
        "JIMENG_ARCHIVE_KEY_ID": "the-key-id",
        "JIMENG_ARCHIVE_SECRET": "the-secret",
    }
    settings = load(given, lambda _: "")
    assert ArchiveAddress.parse(settings.archive_url) == ArchiveAddress.parse(FULL)
    assert "the-" not in repr(settings) + repr(Keys("id", "the-secret"))
    for missing in ("JIMENG_ARCHIVE_KEY_ID", "JIMENG_ARCHIVE_SECRET"):
        with pytest.raises(SettingsError, match="both of its keys"):
            load({name: value for name, value in given.items() if name != missing}, lambda _: "")
    with pytest.raises(SettingsError, match="region that is none"):
        load(given | {"JIMENG_ARCHIVE_URL": "s3://bucket?region=X"}, lambda _: "")
