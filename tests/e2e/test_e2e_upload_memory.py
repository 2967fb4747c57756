"""A large reference passes through the gateway without being held in it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.media import an_mp4
from support.process import ADMIN_TOKEN, Gateway

MB = 1 << 20
LARGE = 200 * MB
MOST_ADDED = 16 * MB

pytestmark = pytest.mark.e2e


def form(size: int) -> Iterator[bytes]:
    """The pieces of a form with one video."""
    whole = an_mp4()
    at = whole.index(b"mdat") + 4
    gap = size - len(whole)
    head = whole[: at - 8] + (8 + gap).to_bytes(4, "big") + b"mdat"
    yield b'--XX\r\nContent-Disposition: form-data; name="file"; filename="film.mp4"\r\n\r\n' + head
    piece = bytes(256 * 1024)
    while gap > 0:
        yield piece[:gap]
        gap -= len(piece)
    yield whole[at:] + b"\r\n--XX--\r\n"


def upload(url: str, size: int) -> dict[str, object]:
    """Sends a video of that size; the file that came of it."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "multipart/form-data; boundary=XX"}
    connection.request("POST", "/api/v1/files", form(size), headers, encode_chunked=True)
    reply = connection.getresponse()
    body = json.loads(reply.read())
    connection.close()
    assert reply.status == 201, body
    return dict(body)


def memory(pid: int, name: str) -> int:
    """VmRSS or VmHWM of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    (line,) = [line for line in status.splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures by /proc")
def test_two_hundred_megabytes_add_at_most_sixteen(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, {})
    gateway.start()
    try:
        # What is loaded with the first upload is not counted to the large one.
        upload(gateway.url, 3 * MB)
        Path(f"/proc/{gateway.pid}/clear_refs").write_text("5", "ascii")
        before = memory(gateway.pid, "VmRSS")
        file = upload(gateway.url, LARGE)
        added = memory(gateway.pid, "VmHWM") - before
    finally:
        gateway.stop()
    assert (file["size"], file["kind"], file["duration_ms"]) == (LARGE, "video", 5000)
    print(f"added {added / MB:.1f} MB")
    assert added <= MOST_ADDED, f"{added / MB:.1f} MB"
