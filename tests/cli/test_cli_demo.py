"""The demo shows the whole way in one command, and leaves no process behind however it ends."""

from __future__ import annotations

import io
import json
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.process import until

from jimeng_gateway.browser.options import SignerOptions
from jimeng_gateway.browser.profile import sweep
from jimeng_gateway.cli.demo import WrongFileError, check_files, curl, kind_of

PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + bytes(17) + b"\0\0\0\0IEND\xaeB`\x82"
MP4 = b"\0\0\0\x18ftypisom" + bytes(8) + b"\0\0\0\x08moov" + b"\0\0\0\x08mdat"


def write(folder: Path, name: str, data: bytes) -> Path:
    file = folder / name
    file.write_bytes(data)
    return file


@pytest.mark.parametrize(
    ("data", "kind"),
    [(PNG, "PNG"), (MP4, "MP4"), (PNG[:-8], None), (MP4[:16], None), (b"", None), (b"<html></html>", None)],
)
def test_files_are_known_by_their_content(tmp_path: Path, data: bytes, kind: str | None) -> None:
    assert kind_of(write(tmp_path, "file", data)) == kind


def test_the_demo_wants_one_of_each(tmp_path: Path) -> None:
    png, mp4, other = write(tmp_path, "a", PNG), write(tmp_path, "b", MP4), write(tmp_path, "c", b"x")
    check_files([png, mp4])
    for files, reason in (
        ([png], "no MP4"),
        ([mp4], "no PNG"),
        ([], "no PNG"),
        ([png, mp4, other], "neither"),
    ):
        with pytest.raises(WrongFileError, match=reason):
            check_files(files)


def test_a_curl_line_survives_the_shell() -> None:
    body = {"prompt": 'it\'s a "cat" & $HOME 猫'}
    words = shlex.split(curl("POST", "http://h/x?a=1&b=2", "key", body).removeprefix("  $ "))
    assert words[:3] == ["curl", "-sS", "http://h/x?a=1&b=2"]
    assert "Authorization: Bearer key" in words
    assert json.loads(words[words.index("-d") + 1]) == body
    assert shlex.split(curl("POST", "http://h/x", "k"))[2:5] == ["-sS", "-X", "POST"]


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


def start(
    folder: Path, *arguments: str, wanted: Callable[[str], bool] | None = None
) -> tuple[subprocess.Popen[str], str]:
    """A demo, and what it said until the wanted line came."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jimeng_gateway", "demo", *arguments],
        cwd=folder,
        env={
            **os.environ,
            "HTTP_PROXY": "http://127.0.0.1:1",
            "http_proxy": "http://127.0.0.1:1",
            "TMPDIR": str(folder),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = io.StringIO()
    for line in process.stdout:
        said.write(line)
        if wanted is not None and wanted(line):
            break
    return process, said.getvalue()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A place that Chromium can reach too, which runs as nobody if the tests run as root."""
    with tempfile.TemporaryDirectory(prefix="jimeng-test-") as path:
        Path(path).chmod(0o711)
        yield Path(path)


def children(pid: int) -> list[int]:
    """The processes that this one started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found.append(int(stat.parent.name))
    return found


@pytest.mark.e2e
@pytest.mark.long
def test_once_ends_with_both_files(folder: Path) -> None:
    process, said = start(folder, "--once", "--output", "results")
    with process:
        assert process.wait(10) == 0, said
    made = sorted((folder / "results").glob("task_*"), key=lambda file: file.suffix)
    assert [kind_of(file) for file in made] == ["MP4", "MP4", "PNG"]
    assert (folder / "results" / "sound.wav").read_bytes()[:4] == b"RIFF"
    assert "-F files=@results/sound.wav" in said
    assert "signed by the site's own script, in a real Chromium" in said
    assert re.search(r"image +polling +\d+%", said)
    assert re.search(r"video +polling +\d+% +(queue \d+ of \d+, )?about \d+ s", said)
    assert len(re.findall(r"^  \$ curl ", said, re.MULTILINE)) == 10
    assert "each of them once: True" in said
    assert [each.name for each in folder.iterdir()] == ["results"]


@needs_proc
@pytest.mark.e2e
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_demo_and_its_gateway(folder: Path, number: int, code: int) -> None:
    process, _ = start(folder, wanted=lambda line: line.startswith("Submitted the video"))
    started = children(process.pid)
    assert len(started) == 1
    process.send_signal(number)
    with process:
        assert process.wait(20) == code
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)
    assert list(folder.iterdir()) == []


@needs_proc
@pytest.mark.e2e
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="util-linux arranges for it")
def test_a_killed_demo_leaves_no_gateway(folder: Path) -> None:
    process, _ = start(folder, wanted=lambda line: line.startswith("Submitted the video"))
    (gateway,) = children(process.pid)
    end = os.pidfd_open(gateway)
    try:
        process.kill()
        with process:
            assert process.wait(20) == -signal.SIGKILL
        # The descriptor of a process is readable once it has ended.
        assert select.select([end], [], [], 20)[0] == [end]
    finally:
        os.close(end)


@needs_proc
@pytest.mark.e2e
@pytest.mark.parametrize("moment", ["gateway ", "image "])
def test_a_gateway_that_dies_ends_the_demo_with_the_reason(folder: Path, moment: str) -> None:
    process, _ = start(folder, wanted=lambda line: line.startswith(moment))
    os.kill(children(process.pid)[0], signal.SIGKILL)
    with process:
        assert process.stdout is not None
        said = process.stdout.read()
        assert process.wait(20) == 1
    assert "the gateway ended with code -9" in said
    # A browser cleans up after its gateway; of one that was only about to start, the next start does.
    options = SignerOptions(folder=folder / "none", shared_folder=folder)
    until(lambda: sweep(options) == 0 and list(folder.iterdir()) == [], seconds=20, what="an empty folder")
